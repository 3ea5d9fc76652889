#pragma once

#include "stemma/deployer/watch.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace stemma::deployer {

/// What a watch shows of itself.
struct WatchFigures {
    std::vector<ObservedHost> hosts; ///< of the last look
    RecordedVms vms;                 ///< what the lineage has
    std::vector<Drift> drift;
    std::uint64_t looks = 0;
    Time last_look{};
    std::uint64_t repairs = 0;
    std::uint64_t failed_repairs = 0;
};

/// In Prometheus' text format 0.0.4:
///
///     stemma_host_up{host}                 1 when it answered at the last look
///     stemma_vm_state{vm,host,release,state}  1
///     stemma_vms{host,state}               how many
///     stemma_drift{host,vm,kind}           1 for each difference
///     stemma_looks_total, stemma_last_look_timestamp_seconds
///     stemma_repairs_total{result}         ok, failed
///
/// source  prometheus.io/docs/instrumenting/exposition_formats
std::string prometheus_text(const WatchFigures& figures);

} // namespace stemma::deployer
