#pragma once

#include "stemma/core/fd.hpp"
#include "stemma/jail/process.hpp"
#include "stemma/volume/mapped.hpp"
#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace stemma::guestfs {

/// Parts of a volume, served read-only over NBD on a Unix socket: newstyle negotiation and simple
/// replies, as far as qemu asks
/// (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md). The server is a jailed
/// process that can read the volume and nothing else; it ends with this object.
class DiskServer {
public:
    /// disk     owned; must not be used elsewhere meanwhile
    /// exports  each is served under its name; empty pieces: the whole disk
    /// socket   made here, for this user alone
    /// throws   usage: the path is too long for a socket; io
    struct Export {
        std::string name;
        std::vector<volume::Piece> pieces;
    };
    DiskServer(std::unique_ptr<volume::Volume> disk,
               std::vector<Export> exports,
               const std::filesystem::path& socket);

private:
    std::unique_ptr<volume::Volume> disk_;
    std::vector<std::unique_ptr<volume::Volume>> parts_;
    std::vector<Export> exports_;
    Fd listener_;
    jail::Process process_;
};

} // namespace stemma::guestfs
