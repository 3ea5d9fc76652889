#pragma once

#include "stemma/hooks/journal.hpp"

#include <optional>
#include <string>
#include <vector>

namespace stemma::hooks {

/// How a process tree is watched.
enum class Backend {
    automatic, ///< the best that works here
    notify,    ///< seccomp user notification: sees every program, static ones too
    preload,   ///< a library in every dynamic program; what it cannot see is declared
    none,      ///< not at all: the journal then says so
};
std::string_view to_string(Backend backend) noexcept;
std::optional<Backend> backend_from(std::string_view word) noexcept;

struct Observation {
    std::vector<std::string> argv; ///< what to run; argv[0] is looked up in PATH
    std::string journal;           ///< file to append to
    SessionRecord session{};       ///< id, machine …; `backend` is filled in
    std::optional<Tag> tag = std::nullopt;
    Backend backend = Backend::automatic;
};

struct ObservedExit {
    int code = 0;          ///< meaningful when signal is 0
    int signal = 0;        ///< what ended the command
    int start_error = 0;   ///< errno when the command could not be started at all
    bool recorded = false; ///< the whole journal was written
    Backend backend = Backend::none;
};

/// Runs a command under observation and writes the journal while it runs. The command keeps
/// standard input and outputs, process group, signals and exit; ^C reaches it and not the caller
/// until it is done. Never fails because of the observation: gaps become hole records.
/// Uses fork and signal masks: call it from the main thread.
ObservedExit observe(Observation observation);

/// True when this process already runs under an observation whose owner is alive.
bool is_observed() noexcept;

/// Name of the environment variable that says so to launchers: the observer's process id.
inline constexpr const char* observer_variable = "STEMMA_OBSERVER";

/// Name of the one that chooses a way of watching where Backend::automatic is asked for.
inline constexpr const char* backend_variable = "STEMMA_OBSERVE";

} // namespace stemma::hooks
