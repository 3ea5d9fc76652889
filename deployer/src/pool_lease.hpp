#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/lease.hpp"
#include "stemma/virt/storage.hpp"

#include <memory>
#include <string>
#include <vector>

namespace stemma::deployer {

/// A lease as an empty volume of the host's pool, `lease~RELEASE~OWNER`: libvirt makes a volume
/// once. Who finds another's beside its own takes its own back; two that try at once try again.
///
/// host     its name, for the error
/// returns  nullptr when this process has it already (two hosts may share a pool's folder)
/// throws   conflict: another deployer works there, and is not known to be dead; remote
std::unique_ptr<Lease> take_lease(const virt::StoragePool& pool,
                                  const std::string& host,
                                  const std::string& release,
                                  const Cancel* cancel);

/// Takes all leases of a release away, whoever has them.
/// returns  the owners in words
std::vector<std::string> end_leases(const virt::StoragePool& pool, const std::string& release);

} // namespace stemma::deployer
