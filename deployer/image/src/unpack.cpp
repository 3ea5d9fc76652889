#include "unpack.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

namespace stemma::image {

using archive::EntryKind;

void make_parents(ext::Editor& editor, const std::string& path, Time now)
{
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        editor.put_folder(path.substr(0, slash), {.mode = 0755, .modified = now});
    }
}

void put_entry(ext::Editor& editor,
               const Accounts& accounts,
               const archive::Entry& entry,
               const std::string& path,
               archive::Reader& reader)
{
    const ext::Attributes attributes{.mode = entry.mode,
                                     .uid = accounts.user(entry.user, entry.uid),
                                     .gid = accounts.group(entry.group, entry.gid),
                                     .modified = entry.modified,
                                     .xattrs = entry.xattrs};
    make_parents(editor, path, entry.modified);
    switch (entry.kind) {
    case EntryKind::directory:
        editor.put_folder(path, attributes);
        return;
    case EntryKind::file:
        editor.put_file(path, attributes, entry.size, [&](const auto& sink) {
            reader.content([&](std::string_view part) {
                sink(part);
                return true;
            });
        });
        return;
    case EntryKind::hard_link:
        editor.put_hard_link(entry.link_target, path);
        return;
    case EntryKind::symlink:
        editor.put_symlink(path, attributes, entry.link_target);
        return;
    case EntryKind::fifo:
        editor.put_fifo(path, attributes);
        return;
    case EntryKind::char_device:
    case EntryKind::block_device:
        editor.put_device(path,
                          attributes,
                          entry.kind == EntryKind::block_device,
                          entry.device_major,
                          entry.device_minor);
        return;
    case EntryKind::socket:
        break;
    }
    throw Error(
        ErrorCode::unsupported,
        fmt::format("{} is a socket; only a running program can make one", printable(entry.path)));
}

} // namespace stemma::image
