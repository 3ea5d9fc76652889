#include "quiet.hpp"

#include "stemma/core/error.hpp"

#include <chrono>

namespace stemma::analyzer {

using namespace std::chrono_literals;

Freeze::Freeze(const virt::Domain& domain, Log& log) : domain_(domain), log_(log)
{
    try {
        (void)domain_.agent_command(R"({"execute":"guest-fsfreeze-freeze"})", 10s);
    } catch (const Error& error) {
        throw Error(error.code(),
                    fmt::format("cannot freeze the file systems of {}: {}",
                                domain_.name(),
                                error.message()),
                    "install qemu-guest-agent in the VM and give it the channel "
                    "org.qemu.guest_agent.0, or leave --quiesce out");
    }
}

Freeze::~Freeze()
{
    try {
        (void)domain_.agent_command(R"({"execute":"guest-fsfreeze-thaw"})", 10s);
    } catch (const std::exception& error) {
        log_.warning("the file systems of the VM may still be frozen: {}", error.what());
    }
}

} // namespace stemma::analyzer
