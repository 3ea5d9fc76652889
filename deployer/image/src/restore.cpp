#include "restore.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/query.hpp"

#include <algorithm>

namespace stemma::image {

namespace {

using volume::Filesystem;
using volume::NodeInfo;
using volume::NodeKind;

bool is_entry(const Json& entry, std::string_view kind, const std::string& word)
{
    if (optional_string_member(entry, "kind").value_or("deb") != kind) {
        return false;
    }
    for (const std::string_view key : {"name", "path", "sha256"}) {
        const auto value = entry.find(key);
        if (value != entry.end() && !value->is_null() && text_of(*value, key) == word) {
            return true;
        }
    }
    return false;
}

/// What a change of an image took out, as it was recorded.
Json removed_by(World& world, const lineage::ImageInfo& image)
{
    lineage::Query query(world.store, {});
    return query.event(image.seq).body.value("removed", Json::array());
}

/// True when `removal` took out what `entry` had put.
bool takes_out(const Json& removal, const Json& entry)
{
    const auto same = [&](const std::string& key) {
        return removal.value(key, Json()) == entry.value(key, Json());
    };
    return same("kind") && same("name") && same("path") && same("sha256");
}

/// Entries of later versions' "removed" that no entry of "installed" was found for yet.
class Removals {
public:
    void add(Json entries)
    {
        for (auto& entry : entries) {
            open_.push_back(std::move(entry));
        }
    }
    /// True when `entry` was taken out later; each removal counts once.
    bool take(const Json& entry)
    {
        const auto found = std::find_if(open_.begin(), open_.end(), [&](const Json& removal) {
            return takes_out(removal, entry);
        });
        if (found == open_.end()) {
            return false;
        }
        open_.erase(found);
        return true;
    }

private:
    std::vector<Json> open_;
};

std::unique_ptr<Filesystem> open_version(World& world, const std::string& digest)
{
    auto selected = select(&world.store, digest, std::nullopt, world.allow);
    return open_selected(selected);
}

std::string content_of(Filesystem& tree, const std::string& path, const NodeInfo& info)
{
    if (info.kind == NodeKind::symlink) {
        return tree.read_link(path);
    }
    if (info.kind != NodeKind::file) {
        return {};
    }
    return tree.digest(path).hex();
}

/// True when both trees have the same node there, its content and metadata included.
bool is_same(Filesystem& left, Filesystem& right, const std::string& path)
{
    const auto a = left.look(path);
    const auto b = right.look(path);
    if (!a || !b) {
        return !a && !b;
    }
    return a->kind == b->kind && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->size == b->size &&
           left.extended_attributes(path) == right.extended_attributes(path) &&
           content_of(left, path, *a) == content_of(right, path, *b);
}

class Restorer {
public:
    Restorer(ChangeSession& session, Filesystem& before)
        : editor_(session.editor()), before_(before)
    {
    }

    void put_back(const std::string& path)
    {
        const auto was = before_.look(path);
        if (!was) {
            if (editor_.tree().look(path)) {
                editor_.remove(path);
            }
            remove_new_folders(path);
            return;
        }
        if (was->links > 1 && link_to_other_name(path, *was)) {
            return;
        }
        copy(path, *was);
    }

private:
    /// Folders above a path that were not there before, as long as they are empty.
    void remove_new_folders(const std::string& path)
    {
        for (auto slash = path.rfind('/'); slash != 0 && slash != std::string::npos;
             slash = path.rfind('/', slash - 1)) {
            const auto folder = path.substr(0, slash);
            const auto info = editor_.tree().look(folder);
            if (before_.look_through(folder) || !info || info->kind != NodeKind::directory ||
                !editor_.remove_folder(folder)) {
                return;
            }
        }
    }

    /// A file that had several names gets this one back beside another that it still has.
    bool link_to_other_name(const std::string& path, const NodeInfo& was)
    {
        if (was.kind == NodeKind::directory) {
            return false;
        }
        std::string other;
        volume::walk(
            before_,
            "/",
            [&](const std::string& at, const NodeInfo& info) {
                if (info.inode == was.inode && at != path && other.empty() &&
                    is_same(before_, editor_.tree(), at)) {
                    other = at;
                }
                return other.empty();
            },
            [](const std::string&, const std::string&) {});
        if (!other.empty()) {
            editor_.put_hard_link(other, path);
        }
        return !other.empty();
    }

    void copy(const std::string& path, const NodeInfo& was)
    {
        const ext::Attributes attributes{.mode = was.mode,
                                         .uid = was.uid,
                                         .gid = was.gid,
                                         .modified = was.modified,
                                         .xattrs = before_.extended_attributes(path)};
        switch (was.kind) {
        case NodeKind::file:
            editor_.put_file(path, attributes, was.size, [&](const auto& sink) {
                before_.read(path, [&](std::string_view part) {
                    sink(part);
                    return true;
                });
            });
            return;
        case NodeKind::symlink:
            editor_.put_symlink(path, attributes, before_.read_link(path));
            return;
        case NodeKind::fifo:
            editor_.put_fifo(path, attributes);
            return;
        default:
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} was a {}, which is not put back here",
                                    printable(path),
                                    to_string(was.kind)),
                        "start again from the version before");
        }
    }

    ext::Editor& editor_;
    Filesystem& before_;
};

} // namespace

std::vector<std::string> paths_of(const Json& entry)
{
    std::vector<std::string> paths;
    const auto files = entry.find("files");
    if (files != entry.end() && files->is_array()) {
        for (const auto& file : *files) {
            paths.push_back(text_of(file, "files"));
        }
    } else if (const auto path = entry.find("path"); path != entry.end() && !path->is_null()) {
        paths.push_back(text_of(*path, "path"));
    }
    return paths;
}

std::optional<Installed> find_installed(World& world,
                                        const lineage::ImageInfo& image,
                                        std::string_view kind,
                                        const std::string& word)
{
    constexpr int most_versions = 10'000; // a circle of parents must end too
    std::optional<lineage::ImageInfo> at = image;
    Removals removals;
    for (int i = 0; at && i < most_versions; ++i) {
        const auto& entries = at->installed;
        const auto found = std::find_if(entries.rbegin(), entries.rend(), [&](const Json& entry) {
            return is_entry(entry, kind, word) && !removals.take(entry);
        });
        if (found != entries.rend()) {
            Installed installed{
                .entry = *found, .version = at->name, .after = nullptr, .before = nullptr};
            installed.after = open_version(world, at->digest);
            if (at->parent) {
                installed.before = open_version(world, *at->parent);
            }
            return installed;
        }
        removals.add(removed_by(world, *at));
        at = at->parent ? world.store.find_image(*at->parent) : std::nullopt;
    }
    return std::nullopt;
}

void restore(ChangeSession& session, Installed& installed)
{
    auto& tree = session.editor().tree();
    auto paths = paths_of(installed.entry);
    std::sort(paths.rbegin(), paths.rend()); // what is inside a folder before the folder
    std::string changed;
    for (const std::string& path : paths) {
        if (!is_same(*installed.after, tree, path)) {
            changed += "\n  " + printable(path);
        }
    }
    if (!changed.empty()) {
        throw Error(ErrorCode::conflict,
                    fmt::format("changed since {} got them:{}", installed.version, changed),
                    "nothing was changed; remove single files by --file PATH");
    }
    if (!installed.before) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("what was there before {} is not known", installed.version),
                    "remove single files by --file PATH");
    }
    Restorer restorer(session, *installed.before);
    for (const std::string& path : paths) {
        restorer.put_back(path);
    }
    const auto folders = installed.entry.find("folders");
    if (folders == installed.entry.end()) {
        return;
    }
    for (auto folder = folders->rbegin(); folder != folders->rend(); ++folder) {
        const auto path = text_of(*folder, "folders");
        const auto info = tree.look(path);
        if (info && info->kind == NodeKind::directory && !installed.before->look_through(path)) {
            session.editor().remove_folder(path);
        }
    }
}

} // namespace stemma::image
