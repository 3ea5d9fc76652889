#pragma once

#include "stemma/jail/channel.hpp"
#include "stemma/volume/filesystem.hpp"

/// The inside of a jail that reads a file tree. Private to this library.
namespace stemma::jail {

/// Answers questions about `tree` until the other side is gone. An Error becomes an answer; other
/// exceptions leave.
void serve(Channel& channel, volume::Filesystem& tree);

} // namespace stemma::jail
