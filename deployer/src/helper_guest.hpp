#pragma once

#include "stemma/deployer/guest_port.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/guest_client.hpp"

#include <memory>

namespace stemma::deployer {

/// Over Stemma's helper. `client` has said hello.
std::unique_ptr<GuestPort> helper_guest(std::unique_ptr<virt::GuestClient> client);

/// Over the QEMU guest agent. The domain outlives the answer's use.
std::unique_ptr<GuestPort> agent_guest(virt::Domain domain, const Cancel* cancel);

} // namespace stemma::deployer
