#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/library.hpp"

#include "change_session.hpp"
#include "deb_install.hpp"
#include "put_files.hpp"
#include "restore.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

Json removed_deb(const DpkgDatabase& database, const std::string& name)
{
    const Stanza* there = database.find(name);
    const auto version = there == nullptr ? "" : there->get("Version");
    const auto arch = there == nullptr ? "" : there->get("Architecture");
    return {{"kind", "deb"},
            {"name", name},
            {"version", version},
            {"arch", arch},
            {"sha256", nullptr},
            {"purl", deb_purl(database.vendor(), name, version, arch)},
            {"path", nullptr}};
}

void expect_there(const DpkgDatabase& database, const std::string& name)
{
    const Stanza* there = database.find(name);
    if (there == nullptr || !is_there(*there)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no package {} in the image", printable(name)));
    }
}

void purge_by_dpkg(World& world, ChangeSession& session, const RemoveRequest& request)
{
    std::string script = "exec /usr/bin/dpkg --log=/dev/null --purge";
    for (const std::string& name : request.packages) {
        script += " " + shell_quote(name);
    }
    const auto result = session.run_by(request.mode, script + "\n", {});
    world.log.debug("dpkg: {}", result.output);
    if (result.exit != 0) {
        throw Error(ErrorCode::conflict,
                    fmt::format("dpkg in the image failed with status {}: {}",
                                result.exit,
                                printable(trim(result.output))),
                    "nothing was changed");
    }
}

void remove_packages(World& world,
                     ChangeSession& session,
                     const RemoveRequest& request,
                     NewVersion& version)
{
    auto database = DpkgDatabase::load(session.editor().tree());
    for (const std::string& name : request.packages) {
        expect_there(database, name);
        version.removed.push_back(removed_deb(database, name));
    }
    if (request.mode == Mode::extract) {
        for (const std::string& name : removal_order(database, request.packages)) {
            remove_deb(session.editor(), database, name, session.now());
        }
        write_database(session.editor(), database, session.now());
    } else if (!request.dry_run) {
        purge_by_dpkg(world, session, request);
    }
}

Json removed_entry(const Installed& installed)
{
    Json entry = installed.entry;
    for (const std::string_view key : {"files", "folders"}) {
        entry.erase(std::string(key));
    }
    return entry;
}

void remove_archive(World& world,
                    ChangeSession& session,
                    const lineage::ImageInfo& base,
                    const std::string& name,
                    NewVersion& version)
{
    auto installed = find_installed(world, base, "tar", name);
    if (!installed) {
        throw Error(ErrorCode::not_found,
                    fmt::format("no archive {} was installed into this image or one before it",
                                printable(name)),
                    "stemma image show says what was, with its name and sha256");
    }
    restore(session, *installed);
    version.removed.push_back(removed_entry(*installed));
}

/// A file that an install put gives way to what was there before; any other just goes.
void remove_file(World& world,
                 ChangeSession& session,
                 const lineage::ImageInfo& base,
                 const std::string& path,
                 NewVersion& version)
{
    auto installed = find_installed(world, base, "file", path);
    if (installed && installed->before) {
        const bool replaced = installed->before->look(path).has_value();
        restore(session, *installed);
        version.removed.push_back(removed_entry(*installed));
        if (replaced) {
            version.notes.push_back(
                fmt::format("{}: back as it was before {}", printable(path), installed->version));
        }
        return;
    }
    session.editor().remove(path);
    version.removed.push_back({{"kind", "file"},
                               {"name", json_text(fs::path(path).filename().string())},
                               {"sha256", nullptr},
                               {"purl", nullptr},
                               {"path", json_text(path)}});
}

} // namespace

Change remove(World& world, const RemoveRequest& request)
{
    expect_name(request.name);
    make_folder(world.folder);
    const auto base = recorded_base(world, request.base);
    ChangeSession session(world, base, std::nullopt);
    NewVersion version;
    version.name = request.name;
    version.parent = base.digest;
    if (!request.packages.empty()) {
        remove_packages(world, session, request, version);
    }
    for (const std::string& name : request.tars) {
        doing([&] { remove_archive(world, session, base, name, version); }, "removing {}", name);
    }
    for (const std::string& path : request.files) {
        remove_file(world, session, base, expect_target(path), version);
    }
    if (request.dry_run) {
        Change change{.image = base, .existed = false, .notes = version.notes};
        change.image.name = request.name;
        return change;
    }
    return session.finish(version);
}

} // namespace stemma::image
