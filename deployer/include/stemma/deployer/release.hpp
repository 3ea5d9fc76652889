#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A release file as plain structs. docs/deployer.md has the format.
namespace stemma::deployer {

/// Boot with the host's copy of a kernel instead of the disk's boot loader.
struct DirectBoot {
    std::filesystem::path kernel;
    std::filesystem::path initrd; ///< may be empty
    std::string cmdline;
};

/// A disk that outlives re-imaging.
struct DataDisk {
    std::string name;
    std::uint64_t size_mib = 0;
};

struct VmWanted {
    std::string name;
    std::string image; ///< name, digest or its beginning, as the lineage knows it
    std::string host;  ///< empty: any of those with `labels`
    std::map<std::string, std::string> labels;
    std::uint64_t memory_mib = 512;
    unsigned vcpus = 1;
    std::string network = "user"; ///< "user", "none", or the name of a libvirt network
    std::optional<DirectBoot> boot;
    std::vector<DataDisk> data_disks;
    std::string place; ///< FILE:LINE:COLUMN, for messages
};

/// A file whose content must be, inside the VM, what it was when it was built.
struct FileCheck {
    std::string path;
    std::string sha256; ///< empty: what the lineage knows of this path in the VM's image
};

struct TcpCheck {
    std::string address = "127.0.0.1"; ///< seen from inside the VM
    std::uint16_t port = 0;
    std::string send;
    std::string expect; ///< must be in the answer; empty: being accepted is enough
};

struct CommandCheck {
    std::vector<std::string> argv;
    int exit = 0;
    std::string expect; ///< must be in its standard output
};

struct Verification {
    std::vector<FileCheck> files;
    std::vector<TcpCheck> tcp;
    std::vector<CommandCheck> commands;
    [[nodiscard]] bool empty() const noexcept
    {
        return files.empty() && tcp.empty() && commands.empty();
    }
};

struct Rollout {
    unsigned canary = 1;                    ///< VMs of the first wave
    unsigned batch = 0;                     ///< VMs of each later wave; 0: all of them
    std::chrono::seconds boot_timeout{180}; ///< until the helper answers
    std::chrono::seconds check_timeout{60}; ///< until every check holds
    std::chrono::seconds stop_timeout{20};  ///< then the plug is pulled
    std::chrono::seconds pause{0};          ///< between waves
    enum class OnFailure { rollback, stop } on_failure = OnFailure::rollback;
};

struct Release {
    std::string name;
    std::string version;       ///< free text; may be empty
    Digest digest;             ///< of the file's bytes
    std::vector<VmWanted> vms; ///< in the file's order, names expanded
    Verification verify;
    Rollout rollout;
};

/// throws  config: "FILE:LINE:COLUMN: …", with the nearest name for an unknown key
Release load_release(const std::filesystem::path& path);
Release parse_release(std::string_view text, const std::string& name);

/// For the record of what was applied. Reading throws corrupt.
Json to_json(const Verification& verify);
Verification verification_from_json(const Json& json);

/// "shop-{1..4}" → shop-1 … shop-4; "a-{01..03}" keeps the zeros. At most 10,000 names.
/// throws  usage: not a pattern
std::vector<std::string> expand_names(std::string_view pattern);

/// Letters, digits, ".", "_" and "-", at most 63, beginning with a letter or digit: what is safe
/// in a path, in XML and as a host name.
bool is_name(std::string_view text) noexcept;

} // namespace stemma::deployer
