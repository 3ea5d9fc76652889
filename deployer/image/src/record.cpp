#include "record.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/borrowed.hpp"

#include "dpkg_database.hpp"
#include "windows.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

void expect_name(const std::string& name)
{
    const bool sound = !name.empty() && name.size() <= 128 &&
                       name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789.-_+~") == std::string::npos &&
                       name.front() != '.' && name.front() != '-';
    if (!sound) {
        throw Error(ErrorCode::usage,
                    fmt::format("\"{}\" cannot be an image's name", printable(name)),
                    "letters, digits and . - _ + ~, at most 128, not starting with . or -");
    }
    if (Digest::from_hex(name)) {
        throw Error(ErrorCode::usage, "an image's name cannot look like a digest");
    }
}

void make_folder(const fs::path& folder)
{
    std::error_code problem;
    fs::create_directories(folder, problem);
    if (problem) {
        throw system_error(problem.value(), fmt::format("make the folder {}", folder.string()));
    }
}

void describe_tree(NewVersion& version, volume::Filesystem& tree)
{
    version.os = os_name(tree);
    if (DpkgDatabase::present(tree)) {
        version.packages = DpkgDatabase::load(tree).packages_json();
    }
}

void describe(NewVersion& version, volume::Volume& disk, World& world)
{
    try {
        const auto tree =
            disk::open_root(std::make_unique<volume::Borrowed>(disk), {.cancel = &world.cancel});
        describe_tree(version, *tree);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported && error.code() != ErrorCode::not_found &&
            error.code() != ErrorCode::usage && error.code() != ErrorCode::remote) {
            throw;
        }
        version.notes.push_back("its content is not known: " + error.one_line());
        world.log.debug("{}", error.one_line());
    }
}

namespace {

/// The version before. A change that changed nothing has that of its base: nothing is its own
/// parent.
std::optional<std::string>
parent_of(World& world, const NewVersion& version, const std::string& digest)
{
    if (version.parent != digest) {
        return version.parent;
    }
    const auto same = world.store.find_image(digest);
    return same ? same->parent : std::nullopt;
}

} // namespace

Change record(World& world, const NewVersion& version, const Transaction::Published& published)
{
    Change change;
    change.notes = version.notes;
    const auto digest = published.digest.hex();
    const auto parent = parent_of(world, version, digest);
    if (const auto known = world.store.find_image(version.name);
        known && known->digest == digest && !known->retired) {
        change.image = *known;
        change.existed = true;
        return change;
    }
    change.image.name = version.name;
    change.image.digest = digest;
    change.image.parent = parent;
    change.image.path = published.path.string();
    change.image.format = "qcow2";
    change.image.size = published.size;
    change.image.os = version.os;
    change.image.installed = version.installed;
    change.image.packages = version.packages;
    change.image.created = world.clock.now();
    world.store.record({.at = change.image.created,
                        .kind = "image.created",
                        .body = {{"name", version.name},
                                 {"digest", digest},
                                 {"parent", json_or_null(parent)},
                                 {"format", change.image.format},
                                 {"size", published.size},
                                 {"path", change.image.path},
                                 {"os", json_text(version.os)},
                                 {"installed", version.installed},
                                 {"removed", version.removed},
                                 {"packages", version.packages}}});
    return change;
}

} // namespace stemma::image
