#pragma once

#include "stemma/jail/process.hpp"

#include <sys/types.h>

#include <vector>

/// Giving up what a process can do. Private to this library.
namespace stemma::jail {

/// Leaves this process nothing but `keep` (and, under a sanitizer, standard error for its report).
/// There is no way back; call it in a child only.
///
/// parent  whose death ends this process too
/// throws  unsupported: this kernel refuses a part of it
void confine(const std::vector<int>& keep, const Limits& limits, pid_t parent);

} // namespace stemma::jail
