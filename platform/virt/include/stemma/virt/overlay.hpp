#pragma once

#include "stemma/core/cancel.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace stemma::virt {

class Domain;

/// Puts an empty qcow2 file on top of one disk of a running domain, at once and without a pause:
/// from then on the guest writes there, and the file below stands still (an external, disk-only
/// snapshot without metadata).
///
/// target  "vda"; the disks of `others` stay as they are
/// file    is made; where QEMU can write
/// throws  conflict: a block job runs; unsupported; remote
void put_overlay(const Domain& domain,
                 const std::string& target,
                 const std::vector<std::string>& others,
                 const std::string& file);

/// Merges the top file of a disk into the one below and lets the guest go on there (an active
/// commit and pivot). The file is not removed. Waits at most `patience`; a job that is not ready
/// then is ended, and the guest goes on with the overlay.
/// throws  remote: it was not ready in time, or QEMU refused
void merge_overlay(const Domain& domain,
                   const std::string& target,
                   std::chrono::seconds patience);

} // namespace stemma::virt
