#pragma once

#include "stemma/virt/connection.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stemma::virt {

struct MigrationRequest {
    std::string live_xml;       ///< the domain as it runs, with the target's paths
    std::string persistent_xml; ///< what its next start will use there
    std::vector<std::string>
        disks;                ///< targets ("vda") to copy; empty: both hosts see the same files
    std::string data_address; ///< where the target's QEMU is reached; empty: the target says
    /// URI of the target as the source's daemon reaches it. When set, the two daemons do it among
    /// themselves and go on when this process dies; else it ends with this process.
    std::string peer_uri;
};

/// Moves a running domain. It is defined on the target and undefined on the source afterwards.
/// Files that are on the target under the wanted paths are used: overlays must be empty.
/// throws  remote, conflict, unsupported: whatever the two daemons say. The domain may then be
///         anywhere: look.
void migrate(const Domain& domain, const Connection& target, const MigrationRequest& request);

/// XML of the running domain, fit for another host.
std::string migratable_xml(const Domain& domain);

/// The same document with every attribute and text that equals a key of `moved` replaced.
/// throws  corrupt: not XML
std::string with_paths(const std::string& xml, const std::map<std::string, std::string>& moved);

struct JobProgress {
    std::uint64_t done = 0; ///< bytes
    std::uint64_t total = 0;
};
/// Of the migration (or another long job) of a domain; nullopt when none is under way.
std::optional<JobProgress> job_progress(const Domain& domain);

} // namespace stemma::virt
