#include "put_files.hpp"

#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <set>

#include "text_patch.hpp"
#include "unpack.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

constexpr archive::Limits tar_limits{.max_entries = 1'000'000, .max_bytes = 64ULL << 30U};
constexpr std::uint64_t most_text = std::uint64_t{64} << 20U;

/// An entry's place in the image.
std::string place_of(const std::string& name, const std::string& tar)
{
    const auto safe = archive::safe_path(name);
    if (!safe || name.starts_with('/')) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("{}: the name \"{}\" in it leads out of the tree", tar, printable(name)),
            "nothing was changed");
    }
    return "/" + *safe;
}

/// The folders above a path that are not there yet.
void note_missing_parents(volume::Filesystem& tree,
                          const std::string& path,
                          std::set<std::string>& missing)
{
    for (auto slash = path.rfind('/'); slash != 0 && slash != std::string::npos;
         slash = path.rfind('/', slash - 1)) {
        const auto folder = path.substr(0, slash);
        if (missing.count(folder) != 0 || tree.look_through(folder)) {
            return;
        }
        missing.insert(folder);
    }
}

Json texts(const std::set<std::string>& names)
{
    Json all = Json::array();
    for (const std::string& name : names) {
        all.push_back(json_text(name));
    }
    return all;
}

ext::Attributes attributes_of(volume::Filesystem& tree, const std::string& path, Time modified)
{
    const auto info = tree.look(path);
    if (!info) {
        return {.modified = modified};
    }
    if (info->kind != volume::NodeKind::file) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} is a {} in the image, and the patch is for a file",
                                printable(path),
                                to_string(info->kind)));
    }
    return {.mode = info->mode,
            .uid = info->uid,
            .gid = info->gid,
            .modified = modified,
            .xattrs = tree.extended_attributes(path)};
}

void apply_part(ChangeSession& session, const TextPatch& patch)
{
    auto& tree = session.editor().tree();
    const bool there = tree.look(patch.path).has_value();
    if (there == patch.creates) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} is {} in the image, and the patch {} it",
                                printable(patch.path),
                                there ? "there" : "not there",
                                patch.creates ? "makes" : "changes"));
    }
    const auto attributes = attributes_of(tree, patch.path, session.now());
    const auto fresh =
        apply_text_patch(patch, there ? tree.read_all(patch.path, most_text) : std::string());
    if (patch.deletes && !fresh.empty()) {
        throw Error(
            ErrorCode::conflict,
            fmt::format("{} has more in the image than the patch removes", printable(patch.path)));
    }
    if (patch.deletes) {
        session.editor().remove(patch.path);
        return;
    }
    make_parents(session.editor(), patch.path, session.now());
    session.editor().put_file(patch.path, attributes, fresh);
}

} // namespace

std::string expect_target(const std::string& target)
{
    if (!target.starts_with('/')) {
        throw Error(ErrorCode::usage,
                    fmt::format("the place in the image must be absolute: {}", printable(target)));
    }
    const auto safe = archive::safe_path(target.substr(1));
    if (!safe || (safe->empty() && target != "/")) {
        throw Error(ErrorCode::usage,
                    fmt::format("not a place in an image: {}", printable(target)));
    }
    return "/" + *safe + (target.ends_with('/') && target != "/" ? "/" : "");
}

PlannedFile plan_file(const FileInstall& wanted)
{
    struct stat info {};
    if (::lstat(wanted.source.c_str(), &info) != 0) {
        throw system_error(errno, fmt::format("read {}", wanted.source.string()));
    }
    if (!S_ISREG(info.st_mode)) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} is not a regular file", wanted.source.string()),
                    "a folder goes in as a tarball: tar -C FOLDER -cf F.tar . ; --tar F.tar");
    }
    std::string target = expect_target(wanted.target);
    if (target.ends_with('/')) {
        target += wanted.source.filename().string();
    }
    const std::uint32_t mode = (info.st_mode & 0111U) != 0 ? 0755 : 0644;
    const ContentIds ids = hash_file(wanted.source.string());
    return {.source = wanted.source,
            .target = target,
            .mode = wanted.mode.value_or(mode),
            .size = ids.size,
            .sha256 = ids.sha256};
}

Json put_planned(ChangeSession& session, const PlannedFile& file)
{
    const auto there = session.editor().tree().look(file.target);
    if (there && there->kind != volume::NodeKind::file &&
        there->kind != volume::NodeKind::symlink && there->kind != volume::NodeKind::directory) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} is a {} in the image; a file does not take its place",
                                printable(file.target),
                                to_string(there->kind)),
                    fmt::format("remove it first: stemma image remove … --file {}",
                                shell_quote(file.target)));
    }
    make_parents(session.editor(), file.target, session.now());
    const Fd source = open_file(file.source.string(), O_RDONLY);
    Sha256 seen;
    session.editor().put_file(
        file.target,
        {.mode = file.mode, .modified = session.now()},
        file.size,
        [&](const auto& sink) {
            std::array<char, 1 << 16> buffer{};
            for (;;) {
                const ssize_t got = ::read(source.get(), buffer.data(), buffer.size());
                if (got < 0 && errno != EINTR) {
                    throw system_error(errno, fmt::format("read {}", file.source.string()));
                }
                if (got == 0) {
                    return;
                }
                if (got > 0) {
                    const std::string_view part(buffer.data(), static_cast<std::size_t>(got));
                    seen.update(part);
                    sink(part);
                }
            }
        });
    if (seen.finish() != file.sha256) {
        throw Error(ErrorCode::conflict,
                    fmt::format("{} changed while it was copied", file.source.string()),
                    "run the command again when nobody writes to it");
    }
    return {{"kind", "file"},
            {"name", json_text(file.source.filename().string())},
            {"sha256", file.sha256.hex()},
            {"purl", nullptr},
            {"path", json_text(file.target)}};
}

Json put_tar(ChangeSession& session, const std::string& tar, const Cancel& cancel)
{
    auto& editor = session.editor();
    const Accounts accounts = Accounts::load(editor.tree());
    Json files = Json::array();
    std::set<std::string> folders;
    auto reader = archive::Reader::open(tar, archive::Format::tar, tar_limits);
    while (auto entry = reader.next()) {
        cancel.check();
        const auto path = place_of(entry->path, tar);
        if (path == "/") {
            continue;
        }
        if (entry->kind == archive::EntryKind::hard_link) {
            entry->link_target = place_of(entry->link_target, tar);
        }
        const bool folder = entry->kind == archive::EntryKind::directory;
        note_missing_parents(editor.tree(), folder ? path + "/" : path, folders);
        put_entry(editor, accounts, *entry, path, reader);
        if (!folder) {
            files.push_back(json_text(path));
        }
    }
    return {{"kind", "tar"},
            {"name", json_text(fs::path(tar).filename().string())},
            {"sha256", sha256_file(tar).hex()},
            {"purl", nullptr},
            {"path", json_text(fs::absolute(tar).string())},
            {"files", std::move(files)},
            {"folders", texts(folders)}};
}

Json put_text_patch(ChangeSession& session, const std::string& file)
{
    const auto text = read_file(file, most_text);
    std::set<std::string> paths;
    for (const TextPatch& patch : parse_text_patches(text, file)) {
        apply_part(session, patch);
        paths.insert(patch.path);
    }
    return {{"kind", "patch"},
            {"name", json_text(fs::path(file).filename().string())},
            {"sha256", sha256(text).hex()},
            {"purl", nullptr},
            {"path", nullptr},
            {"files", texts(paths)}};
}

} // namespace stemma::image
