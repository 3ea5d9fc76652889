#pragma once

#include <string>
#include <unordered_map>

#include "session.hpp"

/// Changes to the blocks of folders. Private to this library.
namespace stemma::ext {

/// Adds, changes and removes names. Unlike libext2fs' own functions it remembers where the last
/// free place was, so that filling a folder with n names costs n and not n².
class FolderWriter {
public:
    explicit FolderWriter(Session& session) : session_(session) {}

    /// The name must not be there yet.
    void add(ext2_ino_t folder, const std::string& name, ext2_ino_t target, int type);
    /// Lets an existing name lead to another inode.
    void change(ext2_ino_t folder, const std::string& name, ext2_ino_t target, int type);
    void remove(ext2_ino_t folder, const std::string& name);
    /// Call when a folder was freed: its number may come back.
    void forget(ext2_ino_t folder);

private:
    void drop_index(ext2_ino_t folder);
    [[nodiscard]] std::uint64_t block_count(ext2_ino_t folder);
    [[nodiscard]] blk64_t physical(ext2_ino_t folder, std::uint64_t logical);
    void load(ext2_ino_t folder, std::uint64_t logical, std::string& block);
    void store(ext2_ino_t folder, std::uint64_t logical, std::string& block);
    bool insert(std::string& block, const std::string& name, ext2_ino_t target, int type);
    template <typename Act>
    void with_entry(ext2_ino_t folder, const std::string& name, Act&& act);
    [[nodiscard]] std::size_t usable() const;

    Session& session_;
    std::unordered_map<ext2_ino_t, std::uint64_t> first_with_room_;
};

} // namespace stemma::ext
