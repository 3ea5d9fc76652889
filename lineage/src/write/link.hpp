#pragma once

#include "stemma/core/fd.hpp"

#include <optional>
#include <string>

#include "message.hpp"

namespace stemma::lineage {

/// A process's way to the writer of a store, if there is one.
class WriterLink {
public:
    explicit WriterLink(const std::string& store_path);

    /// What became of one request.
    struct Sent {
        std::optional<AppendResult> result;
        /// No result, and the writer may or may not have recorded it: it ended before it answered.
        bool unsure = false;
    };
    /// True when a writer listens, or listened at the last request.
    bool listens();
    /// Without a result when no writer listens: then nothing was recorded, unless `unsure`.
    /// throws  what the writer refused it for; conflict: it does not answer
    Sent send(const std::string& request);

private:
    std::string place_;
    Fd fd_;
};

} // namespace stemma::lineage
