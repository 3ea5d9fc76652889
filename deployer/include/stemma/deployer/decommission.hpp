#pragma once

#include "stemma/deployer/hypervisor.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace stemma::deployer {

/// Takes a VM from its host: the domain with all that libvirt keeps of it (snapshots, checkpoints,
/// managed save, NVRAM), and every file in its folder. Base images stay. Interrupted anywhere, the
/// same call completes it; what is gone already is fine.
///
/// patience  until the plug is pulled
/// returns   disks of it that lie elsewhere and were left there, in the domain's order
std::vector<std::string> decommission(Hypervisor& host,
                                      const std::string& uuid,
                                      const std::string& name,
                                      std::chrono::seconds patience);

} // namespace stemma::deployer
