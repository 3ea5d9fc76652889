#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"

namespace stemma::analyzer {

/// The guest's file systems are frozen while this lives, through the QEMU guest agent.
class Freeze {
public:
    /// throws  not_found: no agent answers; remote: it refuses
    Freeze(const virt::Domain& domain, Log& log);
    ~Freeze();
    Freeze(const Freeze&) = delete;
    Freeze& operator=(const Freeze&) = delete;

private:
    const virt::Domain& domain_;
    Log& log_;
};

/// Asks the guest's helper, else its agent, to write out what it holds in memory. What a guest
/// changed in the last half minute may otherwise not be on its disk yet. returns  false when nobody
/// in there could do it
bool flush_guest(const virt::Domain& domain,
                 const virt::DomainDescription& description,
                 const Clock& clock,
                 const Cancel& cancel,
                 Log& log);

} // namespace stemma::analyzer
