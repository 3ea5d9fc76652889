#include "stemma/deployer/decommission.hpp"

#include "stemma/core/digest.hpp"

#include <algorithm>

namespace stemma::deployer {

namespace {

/// A file that hosts keep by its content: a seed that others may have too.
bool is_shared(const std::string& disk)
{
    return Digest::from_hex(std::string_view(disk).substr(disk.rfind('/') + 1)).has_value();
}

} // namespace

std::vector<std::string> decommission(Hypervisor& host,
                                      const std::string& uuid,
                                      const std::string& name,
                                      std::chrono::seconds patience)
{
    const auto seen = host.look(uuid);
    host.stop(uuid, patience);
    host.undefine(uuid);
    std::vector<std::string> removed;
    for (const auto& disk : host.observe().disks) {
        if (disk.vm == name) {
            host.remove_disk(disk.path);
            removed.push_back(disk.path);
        }
    }
    host.forget(name);
    std::vector<std::string> left;
    for (const auto& disk : seen ? seen->disks : std::vector<std::string>()) {
        if (!is_shared(disk) && std::ranges::find(removed, disk) == removed.end()) {
            left.push_back(disk);
        }
    }
    return left;
}

} // namespace stemma::deployer
