#pragma once

#include "stemma/analyzer/feature.hpp"

#include <string>
#include <vector>

namespace stemma::analyzer {

/// What the hypervisor says of a VM, from its libvirt XML: memory, vCPUs, machine, processor,
/// firmware, disks, interfaces, devices. Kind and type are "vm"; devices are records of their own
/// ("disk[vda]", "interface[0]", "channel[org.qemu.guest_agent.0]").
/// throws  corrupt: not a domain's XML
std::vector<Feature> vm_features(const std::string& domain_xml);

} // namespace stemma::analyzer
