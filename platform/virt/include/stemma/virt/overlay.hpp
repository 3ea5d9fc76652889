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

/// Files that a disk of a running domain consists of, the one that is written first, then what lies
/// below; as libvirt says, without looking into the files. Empty: there is no such disk.
/// throws  corrupt: not a domain's XML
std::vector<std::string> files_of_disk(const std::string& domain_xml, const std::string& target);

/// Waits until libvirt has done all that callers asked of this domain before, also callers that are
/// gone: a call goes on in the daemon when its caller is killed, and until it ends the domain's XML
/// says what was before. Changes nothing.
/// throws  remote: something took longer than libvirt waits (30 s)
void settle(const Domain& domain, const std::string& target);

/// Merges what lies above the file `base` of a disk into it and lets the guest go on there (an
/// active commit and pivot). The files are not removed. Waits at most `patience`; a job that is not
/// ready then is ended, and the guest goes on with the overlay. Where a job of that disk runs
/// already, that one is finished.
/// throws  remote: it was not ready in time, or QEMU refused
void merge_overlay(const Domain& domain,
                   const std::string& target,
                   const std::string& base,
                   std::chrono::seconds patience);

} // namespace stemma::virt
