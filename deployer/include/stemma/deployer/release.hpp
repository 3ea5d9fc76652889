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

/// One network card.
struct NetworkCard {
    enum class Kind { user, network, bridge } kind = Kind::user;
    std::string source; ///< name of the libvirt network or the bridge
    std::string mac;    ///< empty: libvirt chooses one
};
/// libvirt's words: user, network, bridge.
std::string_view to_string(NetworkCard::Kind kind) noexcept;

/// A text that stands in the release file, or in a file of its own.
struct TextSource {
    std::string text;
    std::filesystem::path file; ///< empty: it is `text`
};

/// What cloud-init finds on its seed disk (datasource NoCloud).
struct CloudInit {
    TextSource user_data;
    std::optional<TextSource> meta_data; ///< else: instance-id and local-hostname of the VM
    std::optional<TextSource> network_config;
};

/// Who may answer inside: a channel for each is put into the VM.
enum class Helper { stemma, agent, both };
std::string_view to_string(Helper helper) noexcept;

struct VmWanted {
    std::string name;
    std::string image; ///< name, digest or its beginning, as the lineage knows it
    std::string host;  ///< empty: any of those with `labels`
    std::map<std::string, std::string> labels;
    /// Spread evenly over the values of this host label; empty: over the hosts.
    std::string spread;
    /// Never two of one `group` on one host ("host"), or on hosts with one value of this label.
    std::string anti_affinity;
    std::string group; ///< the pattern of names that it comes from
    std::uint64_t memory_mib = 512;
    unsigned vcpus = 1;
    std::string network = "user";      ///< "user", "none", or the name of a libvirt network
    std::vector<NetworkCard> networks; ///< when not empty: these, instead of `network`
    std::uint64_t system_disk_mib = 0; ///< 0: as large as the image
    std::optional<DirectBoot> boot;
    std::vector<DataDisk> data_disks;
    std::optional<CloudInit> cloud_init;
    Helper helper = Helper::stemma;
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

/// GET, HTTP/1.0, from inside the VM.
struct HttpCheck {
    std::string address = "127.0.0.1";
    std::uint16_t port = 80;
    std::string path = "/";
    std::string host; ///< the header Host; empty: the address
    int status = 200;
    std::string expect; ///< must be in the answer's body
};

struct CommandCheck {
    std::vector<std::string> argv;
    int exit = 0;
    std::string expect; ///< must be in its standard output
};

/// Compared with its peers: the VMs of the release that run the same image.
struct CompareCheck {
    unsigned allowed = 0;            ///< settings that may stand apart
    std::vector<std::string> ignore; ///< patterns of FILE:SETTING
};

struct Verification {
    std::vector<FileCheck> files;
    std::vector<TcpCheck> tcp;
    std::vector<HttpCheck> http;
    std::vector<CommandCheck> commands;
    std::optional<CompareCheck> compare;
};

struct Rollout {
    /// blue_green: each VM is two, NAME-blue and NAME-green; the new ones are proven before the old
    /// ones go.
    enum class Strategy { rolling, blue_green } strategy = Strategy::rolling;
    unsigned canary = 1; ///< VMs of the first wave
    unsigned batch = 0;  ///< VMs of each later wave; 0: all of them
    /// VMs that were good and are down at one moment, rollback included; 0: as many as a wave has.
    unsigned max_unavailable = 0;
    std::chrono::seconds deadline{0};       ///< for all waves together; 0: none
    std::chrono::seconds boot_timeout{180}; ///< until the helper answers
    std::chrono::seconds check_timeout{60}; ///< until every check holds
    std::chrono::seconds stop_timeout{20};  ///< then the plug is pulled
    std::chrono::seconds pause{0};          ///< between waves
    enum class OnFailure { rollback, stop } on_failure = OnFailure::rollback;
};

struct Release {
    std::string name;
    std::string version; ///< free text; may be empty
    Digest digest; ///< of the file's bytes; of several files, or with settings: of all of them
    std::vector<VmWanted> vms; ///< in the file's order, names expanded
    Verification verify;
    Rollout rollout;
};

/// A release file, what is laid over it in this order, and values for its `variables`.
struct ReleaseSources {
    std::vector<std::filesystem::path> files; ///< at least one
    std::map<std::string, std::string> set;   ///< must be names that `variables` has
};

/// throws  config: "FILE:LINE:COLUMN: …", with the nearest name for an unknown key
Release load_release(const ReleaseSources& sources);
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
