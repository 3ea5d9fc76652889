#pragma once

#include "stemma/core/error.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/path_walk.hpp"

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "channel.hpp"

/// An open ext file system. Private to this library.
namespace stemma::ext {

using Inode = ext2_inode_large;

struct DirEntry {
    ext2_ino_t inode = 0;
    int type = EXT2_FT_UNKNOWN;
};
using Directory = std::map<std::string, DirEntry>;

/// A run of a file's content on the volume. Missing logical blocks read as zeros.
struct Run {
    std::uint64_t logical = 0;  ///< in blocks
    std::uint64_t physical = 0; ///< in blocks
    std::uint64_t count = 0;    ///< blocks
};

/// Owns an ext2_filsys; every libext2fs error becomes an Error that names what was being done.
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): nothing derives from it
class Session final : private volume::WalkedTree {
public:
    Session(volume::Volume& volume, int flags);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    [[nodiscard]] ext2_filsys fs() const noexcept { return fs_; }
    [[nodiscard]] volume::Volume& volume() const noexcept { return *target_.volume; }
    [[nodiscard]] std::uint32_t block_size() const noexcept { return fs_->blocksize; }
    /// True when the superblock was damaged and a copy of it is used.
    [[nodiscard]] bool is_from_backup() const noexcept { return from_backup_; }
    /// "ext2", "ext3" or "ext4", by the features that are in use; says when a backup is read.
    [[nodiscard]] std::string driver() const;

    /// throws  what the volume threw, else corrupt or io with libext2fs' words
    void check(errcode_t code, std::string_view what);

    [[nodiscard]] Inode read_inode(ext2_ino_t number, const std::string& path);
    /// The entries of a directory, kept for the next question.
    [[nodiscard]] const Directory& directory(ext2_ino_t number, const std::string& path);
    void forget_directory(ext2_ino_t number);
    /// For the writer, which keeps an entry up to date instead of reading it again.
    [[nodiscard]] Directory* known_directory(ext2_ino_t number);

    /// The inode that a path names; nullopt when there is none.
    [[nodiscard]] std::optional<ext2_ino_t> resolve(const std::string& path, bool through);

    [[nodiscard]] std::vector<Run>
    runs(ext2_ino_t number, const Inode& inode, const std::string& path);
    void read_content(ext2_ino_t number,
                      const Inode& inode,
                      const std::string& path,
                      const std::function<bool(std::string_view)>& sink);
    [[nodiscard]] std::string
    link_target(ext2_ino_t number, const Inode& inode, const std::string& path);
    [[nodiscard]] std::map<std::string, std::string> extended_attributes(ext2_ino_t number,
                                                                         const std::string& path);

    void close(bool flush);

private:
    struct KnownDirectory {
        ext2_ino_t number = 0;
        Directory entries;
    };
    std::optional<Step>
    step(std::uint64_t folder, const std::string& name, const std::string& shown) override;
    std::string link(std::uint64_t node, const std::string& shown) override;
    errcode_t open_backup(int flags);

    bool from_backup_ = false;
    ChannelTarget target_;
    ext2_filsys fs_ = nullptr;
    std::list<KnownDirectory> known_; ///< most recently used first
    std::unordered_map<ext2_ino_t, std::list<KnownDirectory>::iterator> known_by_number_;
    std::size_t known_entries_ = 0;
};

/// The older part of a large inode, which most of libext2fs asks for.
inline ext2_inode* small_part(Inode& inode) noexcept
{
    return reinterpret_cast<ext2_inode*>(&inode);
}

/// throws  corrupt: the file system is larger than its volume (a cut-off image)
void expect_whole(Session& session);

volume::NodeKind kind_of(std::uint32_t mode) noexcept;
volume::NodeInfo info_of(ext2_ino_t number, const Inode& inode, std::uint32_t inode_size);
std::uint64_t size_of(const Inode& inode) noexcept;

} // namespace stemma::ext
