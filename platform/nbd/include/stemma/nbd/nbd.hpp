#pragma once

#include "stemma/volume/volume.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace stemma::nbd {

/// Where a block export is to be found.
struct Address {
    std::filesystem::path socket; ///< a Unix socket
    std::string export_name;      ///< may be empty: the default export
};

/// Reads "nbd+unix:///EXPORT?socket=PATH"; nullopt when the text is no such URI.
std::optional<Address> parse_uri(std::string_view text);

/// Connects to an export that somebody else serves, e.g. qemu's backup export of a running VM.
/// throws  remote: nobody listens there, or there is no such export
std::unique_ptr<volume::Volume> connect(const Address& address, std::string name);

struct ServeOptions {
    bool writable = false;
    /// False: flush() gives the bytes to the kernel and does not wait for the disk. For a file that
    /// nobody uses before its maker has called fsync(2).
    bool durable = true;
    std::string snapshot{}; ///< name of an internal snapshot (qcow2); empty: the current state
    std::string format{};   ///< the format of `node` when it is a plain path
    std::shared_ptr<void> needs{}; ///< kept as long as the answer
};

/// Starts qemu-nbd on a private socket (systemd socket activation: no name in any folder) and
/// connects to it. It ends with the returned object, and also when this process is killed or the
/// calling thread ends.
///
/// node  a blockdev description in JSON, as volume::blockdev_json() makes it
/// name  what messages call the volume
/// throws  conflict: a running VM or another transaction uses the file; not_found: qemu-nbd is not
///         installed; remote: it refuses, with its words
std::unique_ptr<volume::Volume>
serve(const std::string& node, const std::string& name, const ServeOptions& options);

} // namespace stemma::nbd
