#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/deployer/background.hpp"
#include "stemma/deployer/hypervisor.hpp"

#include <chrono>
#include <memory>

namespace stemma::deployer {

/// A look at a whole host that nobody has to wait for.
Background<ObservedHost> begin_look(std::shared_ptr<Hypervisor> host);

/// What it gave until then; else a host that is not reachable, with the reason.
/// throws  interrupted alone
ObservedHost seen_until(Background<ObservedHost>& look,
                        std::chrono::steady_clock::time_point until,
                        const Cancel& cancel);

} // namespace stemma::deployer
