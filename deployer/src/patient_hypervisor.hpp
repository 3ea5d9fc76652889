#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/hypervisor.hpp"

#include <chrono>
#include <memory>

namespace stemma::deployer {

/// Gives every call of a host a deadline. A host that misses one counts as hung from then on: later
/// calls fail at once, since the one that hangs holds its connection.
///
/// deadline  of calls that a working host answers at once. Calls that wait for a guest get it on
///           top of their patience; those that move data rely on keepalive alone
std::unique_ptr<Hypervisor> with_deadlines(std::shared_ptr<Hypervisor> inner,
                                           std::chrono::milliseconds deadline,
                                           const Cancel* cancel);

} // namespace stemma::deployer
