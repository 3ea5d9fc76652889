#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::volume {

enum class NodeKind { file, directory, symlink, fifo, socket, char_device, block_device };
/// "file", "directory", …
std::string_view to_string(NodeKind kind) noexcept;

struct NodeInfo {
    NodeKind kind = NodeKind::file;
    std::uint32_t mode = 0; ///< permission bits, with setuid, setgid and sticky: 07777
    std::uint32_t uid = 0;
    std::uint32_t gid = 0;
    std::uint64_t size = 0; ///< bytes
    std::uint64_t inode = 0;
    std::uint32_t links = 1;
    Time modified{};
};

struct FolderEntry {
    std::string name; ///< bytes, never "." or ".."
    NodeKind kind = NodeKind::file;
};

/// All that a folder's entry is, but for the content itself.
struct NodeSurvey {
    std::string name;
    std::optional<NodeInfo> info{};                  ///< nullopt: it cannot be said
    std::optional<Digest> digest{};                  ///< of a regular file's content
    std::optional<std::string> target{};             ///< of a symbolic link
    std::map<std::string, std::string> attributes{}; ///< extended attributes
    /// False where something of this is not known; the single questions have the reason.
    bool whole = true;
};

/// A file tree that is only read, whatever it lies on: an ext4 in a disk image, an unpacked folder,
/// a tar archive. Everything in it is untrusted: implementations bound every loop and size.
///
/// Paths are absolute within the tree, "/"-separated bytes. Symbolic links in the leading folders
/// are followed within the tree (an absolute target starts at the tree's root, ".." stops there;
/// after 40 links nothing has that name); the last component is followed only where a function says
/// so.
class Filesystem {
public:
    virtual ~Filesystem() = default;
    Filesystem() = default;
    Filesystem(const Filesystem&) = delete;
    Filesystem& operator=(const Filesystem&) = delete;

    /// "ext4", "folder", "tar", … for messages.
    [[nodiscard]] virtual std::string driver() const = 0;

    /// True when nothing can be read any more, because whatever reads for us ended.
    [[nodiscard]] virtual bool gone() const noexcept { return false; }

    /// What `path` itself is; nullopt when nothing has that name.
    /// throws  corrupt: the tree is damaged there; io
    [[nodiscard]] virtual std::optional<NodeInfo> look(const std::string& path) = 0;

    /// As look(), after following a last symbolic link too.
    [[nodiscard]] virtual std::optional<NodeInfo> look_through(const std::string& path) = 0;

    /// A folder's entries sorted by name.
    /// throws  not_found; usage: not a folder; unsupported: more than 1 M entries; corrupt
    [[nodiscard]] virtual std::vector<FolderEntry> list(const std::string& path) = 0;

    /// Gives a regular file's content in order, in pieces of at most 1 MiB; a last link is
    /// followed. Stops early, without an error, when `sink` returns false. throws  not_found;
    /// usage: not a regular file; corrupt; io
    virtual void read(const std::string& path,
                      const std::function<bool(std::string_view)>& sink) = 0;

    /// Target of a symbolic link.
    /// throws  not_found; usage: not a symbolic link
    [[nodiscard]] virtual std::string read_link(const std::string& path) = 0;

    /// Extended attributes: name with its prefix ("security.capability") → bytes.
    [[nodiscard]] virtual std::map<std::string, std::string>
    extended_attributes(const std::string& path) = 0;

    /// All entries of a folder at once, sorted by name: one question where the others take several
    /// per entry. Large files have no digest.
    /// digests  of regular files are taken as well
    /// throws   as list(); what is damaged in an entry only makes that one incomplete
    [[nodiscard]] virtual std::vector<NodeSurvey> survey(const std::string& folder, bool digests);

    /// The whole content of a regular file.
    /// throws  as read(); unsupported: larger than max_bytes
    [[nodiscard]] std::string read_all(const std::string& path, std::uint64_t max_bytes);

    /// SHA-256 of a regular file's content.
    /// throws  as read()
    [[nodiscard]] Digest digest(const std::string& path);
};

/// The path of a folder's entry.
std::string join_path(const std::string& folder, const std::string& name);

/// Visits a tree in order of path, parents first; `visit` returns false to skip a folder's inside.
/// Does not follow symbolic links. Folders deeper than 256 levels are skipped and reported through
/// `on_damage`, as is every node that cannot be read.
void walk(Filesystem& tree,
          const std::string& root,
          const std::function<bool(const std::string& path, const NodeInfo& info)>& visit,
          const std::function<void(const std::string& path, const std::string& why)>& on_damage);

/// An unpacked tree in a folder of this machine; symbolic links never lead out of it.
/// throws  not_found; usage: not a folder
std::unique_ptr<Filesystem> open_folder(const std::string& path);

/// A .tar, .tar.gz, .tar.zst or .tar.xz, read once into memory (content up to `max_bytes` in all).
std::unique_ptr<Filesystem> open_tar(const std::string& path,
                                     std::uint64_t max_bytes = 1ULL << 30U);

} // namespace stemma::volume
