#pragma once

#include "session.hpp"

/// Which file systems may be changed. Private to this library.
namespace stemma::ext {

/// throws  unsupported: a feature that is not written faithfully here (named), orphaned inodes;
///         corrupt: the file system is marked as having errors
void expect_writable_features(const Session& session);

} // namespace stemma::ext
