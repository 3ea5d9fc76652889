#include "looks.hpp"

#include "stemma/core/error.hpp"

namespace stemma::deployer {

Background<ObservedHost> begin_look(std::shared_ptr<Hypervisor> host)
{
    return Background<ObservedHost>([host = std::move(host)] { return host->observe(); });
}

ObservedHost seen_until(Background<ObservedHost>& look,
                        std::chrono::steady_clock::time_point until,
                        const Cancel& cancel)
{
    ObservedHost host;
    try {
        if (auto seen = look.wait_until(until, &cancel)) {
            return std::move(*seen);
        }
        host.error = "no answer in time";
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        host.error = error.one_line();
    }
    return host;
}

} // namespace stemma::deployer
