#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/deployer/plan.hpp"

#include <string>
#include <utility>

namespace stemma::deployer {

inline std::string digest_named(const std::string& name)
{
    return sha256(name).hex();
}

/// A release of `count` VMs web-1 … on an image of that name.
inline Release release_with(const std::string& image, unsigned count)
{
    Release release;
    release.name = "web";
    release.version = image;
    release.digest = sha256(image + std::to_string(count));
    for (unsigned i = 1; i <= count; ++i) {
        VmWanted vm;
        vm.name = "web-" + std::to_string(i);
        vm.image = image;
        release.vms.push_back(std::move(vm));
    }
    return release;
}

inline Resolved images_named(const std::vector<std::string>& names)
{
    Resolved resolved;
    for (const auto& name : names) {
        resolved.images[name] = {.name = name,
                                 .digest = digest_named(name),
                                 .path = "/images/" + name + ".qcow2",
                                 .format = "qcow2",
                                 .size = 1024};
    }
    return resolved;
}

inline ObservedHost host_named(const std::string& name)
{
    ObservedHost host;
    host.name = name;
    host.reachable = true;
    return host;
}

inline World world_with(std::vector<ObservedHost> hosts)
{
    World world;
    world.hosts = std::move(hosts);
    for (const auto& host : world.hosts) {
        world.host_labels[host.name] = {};
    }
    return world;
}

/// "web-1 create, web-2 keep": a plan in one line.
inline std::string summary(const Plan& plan)
{
    std::string text;
    for (const auto& vm : plan.vms) {
        text += (text.empty() ? "" : ", ") + vm.spec.name + " " + std::string(to_string(vm.action));
    }
    return text;
}

} // namespace stemma::deployer
