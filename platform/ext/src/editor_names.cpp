#include "stemma/core/text.hpp"

#include "editor_impl.hpp"

namespace stemma::ext {

namespace {

using volume::NodeKind;

struct Split {
    std::string parent;
    std::string name;
};

Split split_path(const std::string& path)
{
    std::string_view text = path;
    while (text.size() > 1 && text.ends_with('/')) {
        text.remove_suffix(1);
    }
    const auto slash = text.rfind('/');
    if (slash == std::string_view::npos) {
        return {.parent = "/", .name = std::string(text)};
    }
    return {.parent = slash == 0 ? "/" : std::string(text.substr(0, slash)),
            .name = std::string(text.substr(slash + 1))};
}

} // namespace

Editor::Impl::Place Editor::Impl::find(const std::string& path)
{
    const Split parts = split_path(path);
    if (parts.name.empty() || parts.name == "." || parts.name == "..") {
        throw Error(ErrorCode::usage, fmt::format("not a file's name: {}", printable(path)));
    }
    const auto folder = session->resolve(parts.parent, true);
    if (!folder) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no folder {} in the image", printable(parts.parent)));
    }
    const Inode inode = session->read_inode(*folder, parts.parent);
    if (kind_of(inode.i_mode) != NodeKind::directory) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a folder", printable(parts.parent)));
    }
    Place place{.folder = *folder, .name = parts.name, .present = std::nullopt};
    const Directory& entries = session->directory(*folder, parts.parent);
    if (const auto found = entries.find(parts.name); found != entries.end()) {
        place.present = found->second.inode;
    }
    return place;
}

Editor::Impl::Place Editor::Impl::place_for(const std::string& path)
{
    Place place = find(path);
    if (place.present) {
        const Inode inode = session->read_inode(*place.present, path);
        if (kind_of(inode.i_mode) == NodeKind::directory) {
            throw Error(ErrorCode::usage,
                        fmt::format("{} is a folder in the image", printable(path)));
        }
        expect_changeable(inode, path);
    }
    return place;
}

void Editor::Impl::expect_changeable(const Inode& inode, const std::string& path)
{
    if ((inode.i_flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL)) != 0) {
        throw Error(
            ErrorCode::usage,
            fmt::format("{} is marked immutable or append-only in the image", printable(path)),
            "chattr -i -a it in a running VM first");
    }
}

void Editor::Impl::touch_folder(ext2_ino_t folder)
{
    Inode inode = session->read_inode(folder, "a folder");
    __u32 unused = 0;
    const bool large = inode.i_extra_isize >= 24;
    set_time(inode.i_mtime, large ? inode.i_mtime_extra : unused, now);
    set_time(inode.i_ctime, large ? inode.i_ctime_extra : unused, now);
    write_inode(folder, inode);
}

void Editor::Impl::enter(const Place& place, ext2_ino_t number, int type)
{
    if (place.present) {
        folders.change(place.folder, place.name, number, type);
    } else {
        folders.add(place.folder, place.name, number, type);
    }
    if (Directory* known = session->known_directory(place.folder)) {
        (*known)[place.name] = {.inode = number, .type = type};
    }
    touch_folder(place.folder);
    if (place.present) {
        drop_link(*place.present);
    }
}

void Editor::Impl::leave(const Place& place)
{
    folders.remove(place.folder, place.name);
    if (Directory* known = session->known_directory(place.folder)) {
        known->erase(place.name);
    }
}

void Editor::Impl::drop_link(ext2_ino_t number)
{
    Inode inode = session->read_inode(number, "a replaced file");
    if (inode.i_links_count > 1) {
        --inode.i_links_count;
        __u32 unused = 0;
        set_time(inode.i_ctime, inode.i_extra_isize >= 24 ? inode.i_ctime_extra : unused, now);
        write_inode(number, inode);
        return;
    }
    release(number, inode);
}

} // namespace stemma::ext
