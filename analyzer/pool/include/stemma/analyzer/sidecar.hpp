#pragma once

#include "stemma/analyzer/feature.hpp"

#include <filesystem>

namespace stemma::analyzer {

/// What a hypervisor knows of a VM whose tree lies in a folder or .tar: from a JSON file beside it
/// with the same stem ("web1.tar" → "web1.json"), as features of kind "vm". Known members: "mem"
/// (MiB) or "memory_mib", "vcpu" or "vcpus", "disks" (object: name → UUID of the file system),
/// "mac". Anything else is left alone; without a file nothing happens.
/// throws  corrupt: the file is no JSON object
void add_sidecar(const std::filesystem::path& tree, FeatureSet& set);

} // namespace stemma::analyzer
