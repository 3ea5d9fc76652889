#pragma once

#include <cstddef>
#include <cstdint>

/// What the preloaded library tells the observer: one datagram per event over a socket of the
/// observer's. Datagrams of all processes come in the order in which they were sent.
namespace stemma::hooks::preload {

/// "SOCKET:LIBRARY", in the environment of every process.
inline constexpr const char* variable = "STEMMA_PRELOAD";

enum class Kind : std::uint32_t {
    started = 1, ///< a program runs; list: its arguments
    opened,      ///< for reading, already done
    opens,       ///< about to; flags as for open(2)
    executes,    ///< about to; list: arguments
    spawns,      ///< about to start another process with this program
    renames,
    links,
    symlinks,
    changes_folder,
    exits, ///< flags: the status
    hole,  ///< path: the reason
};

/// Followed by two texts, without a zero. With it come, where `waits` is set, the end of a pipe on
/// which the sender waits for one byte (an Answer), and, where `has_list` is set, a file with
/// texts that each end with a zero.
struct Message {
    Kind kind;
    std::int32_t folder;
    std::int32_t second_folder;
    std::int32_t flags;
    std::uint32_t path_size;
    std::uint32_t second_size;
    std::uint32_t waits;
    std::uint32_t has_list;
};

inline constexpr std::size_t longest_path = 4096;
inline constexpr std::size_t largest = sizeof(Message) + 2 * longest_path;

enum class Answer : unsigned char {
    go_on = 1,
    alone = 2, ///< the program cannot take the library, and would complain
};

} // namespace stemma::hooks::preload
