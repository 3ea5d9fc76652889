#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/deployer/libvirt_hypervisor.hpp"
#include "stemma/virt/domain_xml.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "helper_guest.hpp"

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view agent_port = "org.qemu.guest_agent.0";

/// Never used before for any VM: 64 random bits.
std::uint64_t new_epoch()
{
    std::uint64_t epoch = 0;
    const auto random = open_file("/dev/urandom", O_RDONLY);
    if (::read(random.get(), &epoch, sizeof epoch) != static_cast<ssize_t>(sizeof epoch)) {
        throw Error(ErrorCode::io, "cannot read random bytes");
    }
    return epoch;
}

/// The agent comes up some time after its VM.
/// throws  remote: it says nothing within `patience`
std::unique_ptr<GuestPort>
wait_for_agent(const virt::Domain& domain, std::chrono::milliseconds patience, const Cancel* cancel)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (true) {
        auto guest = agent_guest(domain, cancel);
        try {
            (void)guest->info();
            return guest;
        } catch (const Error& error) {
            const bool silent =
                error.code() == ErrorCode::not_found || error.code() == ErrorCode::remote;
            if (!silent) {
                throw;
            }
            if (std::chrono::steady_clock::now() > deadline) {
                throw Error(ErrorCode::remote, error.message(), error.hint());
            }
        }
        std::this_thread::sleep_for(200ms);
    }
}

} // namespace

std::unique_ptr<GuestPort>
open_guest(const virt::Domain& domain, std::chrono::milliseconds patience, const Cancel* cancel)
{
    const auto about = virt::describe_domain(domain.xml());
    const auto find = [&](std::string_view name) {
        return std::ranges::find(about.channels, name, &virt::ChannelInfo::name);
    };
    const auto channel = find(guest::port_name);
    const bool has_agent = find(agent_port) != about.channels.end();
    if (channel != about.channels.end() && !channel->path.empty()) {
        try {
            auto client = std::make_unique<virt::GuestClient>(
                virt::open_channel(domain, channel->name, channel->path), new_epoch(), cancel);
            (void)client->hello(patience);
            return helper_guest(std::move(client));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::remote || !has_agent) {
                throw;
            }
        }
        return wait_for_agent(domain, 1s, cancel); // it had as long as the helper
    }
    if (has_agent) {
        return wait_for_agent(domain, patience, cancel);
    }
    throw Error(ErrorCode::unsupported,
                "VM " + about.name + " has no channel that its inside could be asked through",
                "add a virtio channel org.stemma.guest.0 (or org.qemu.guest_agent.0) to it");
}

} // namespace stemma::deployer
