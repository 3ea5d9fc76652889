#pragma once

#include "stemma/ext/editor.hpp"

#include "folders.hpp"
#include "session_tree.hpp"

/// What an Editor consists of. Private to this library.
namespace stemma::ext {

std::int64_t seconds_of(Time time);

struct Editor::Impl {
    /// A name in a folder, and what it leads to now.
    struct Place {
        ext2_ino_t folder = 0;
        std::string name;
        std::optional<ext2_ino_t> present;
    };

    Impl(volume::Volume& volume, Time moment);

    [[nodiscard]] ext2_filsys fs() const { return session->fs(); }

    // editor_names.cpp: what is called how

    Place find(const std::string& path);
    /// A place for something that is no folder; refused when a folder is there.
    Place place_for(const std::string& path);
    static void expect_changeable(const Inode& inode, const std::string& path);
    /// Lets `place` lead to a new inode; what it led to before loses one name.
    void enter(const Place& place, ext2_ino_t number, int type);
    /// Takes the name away; what it led to stays.
    void leave(const Place& place);
    void drop_link(ext2_ino_t number);
    void touch_folder(ext2_ino_t folder);

    // editor_inodes.cpp: what a file is

    void set_time(__u32& base, __u32& extra, Time time) const;
    void set_fields(Inode& inode, std::uint32_t format, const Attributes& attributes) const;
    [[nodiscard]] Inode fresh_inode(std::uint32_t format, const Attributes& attributes) const;
    ext2_ino_t allocate(ext2_ino_t folder, std::uint32_t mode);
    /// All bytes of the inode on disk, so that nothing of an earlier owner stays.
    void write_fresh(ext2_ino_t number, const Inode& inode);
    void write_inode(ext2_ino_t number, Inode& inode);
    void release(ext2_ino_t number, Inode& inode);
    void set_xattrs(ext2_ino_t number, const std::map<std::string, std::string>& wanted);

    // editor_content.cpp: what is in it

    /// Gives the blocks of a new file: contiguous where there is room.
    void
    fill(ext2_ino_t number, std::uint64_t size, const std::string& path, const Content& content);

    std::unique_ptr<Session> session;
    SessionTree tree;
    FolderWriter folders;
    Time now;

private:
    static std::unique_ptr<Session> open_clean(volume::Volume& volume);
};

} // namespace stemma::ext
