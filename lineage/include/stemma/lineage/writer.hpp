#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/lineage/store.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace stemma::lineage {

/// The one writer of a store, for as long as it lives: every Store object that another process has
/// open for writing hands it what it records, and waits. What has come in while the disk was busy
/// is committed together, so that many processes share one flush; each is answered after it, with
/// its own result. Without a writer, or when it ends, they write themselves.
///
/// It listens on a Unix socket beside the store, "lineage.db-writer", which those may use who may
/// write the store. One thread; memory follows what is being received (at most 1 GiB a message).
class Writer {
public:
    /// Opens the store for writing, and listens.
    /// throws  conflict: the store has a writer; what Store::open throws
    Writer(const std::string& store_url, const Clock& clock, Log& log);
    ~Writer();
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;

    struct Counts {
        std::uint64_t requests = 0;
        std::uint64_t events = 0; ///< new ones
        std::uint64_t groups = 0; ///< commits, each flushed once
    };

    /// Until `cancel` is requested; what was received by then in full is answered.
    Counts run(const Cancel& cancel);
    /// Where it listens.
    [[nodiscard]] const std::string& place() const noexcept;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace stemma::lineage
