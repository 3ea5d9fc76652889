#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/library.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "change_session.hpp"
#include "deb_install.hpp"
#include "unpack.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

constexpr archive::Limits tar_limits{.max_entries = 1'000'000, .max_bytes = 64ULL << 30U};

[[noreturn]] void refuse_all(const std::string& what, const std::vector<std::string>& problems)
{
    std::string text = what;
    for (const std::string& problem : problems) {
        text += "\n  " + problem;
    }
    throw Error(ErrorCode::conflict, text, "nothing was changed");
}

Time newest_of(const std::vector<Deb>& debs)
{
    Time newest{};
    for (const Deb& deb : debs) {
        for (const auto& entry : deb.entries) {
            newest = std::max(newest, entry.modified);
        }
    }
    return newest;
}

// ---- plain files --------------------------------------------------------------------------------

/// One source with its content's digest, known before anything is changed.
struct PlannedFile {
    fs::path source;
    std::string target;
    std::uint32_t mode = 0644;
    std::uint64_t size = 0;
    Digest sha256;
};

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

void plan_file(std::vector<PlannedFile>& planned, const FileInstall& wanted)
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
    planned.push_back({.source = wanted.source,
                       .target = target,
                       .mode = wanted.mode.value_or(mode),
                       .size = ids.size,
                       .sha256 = ids.sha256});
}

void put_planned(ChangeSession& session, const PlannedFile& file)
{
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
}

// ---- tarballs -----------------------------------------------------------------------------------

Json put_tar(ChangeSession& session, const std::string& path, const Cancel& cancel)
{
    const Accounts accounts = Accounts::load(session.editor().tree());
    Json files = Json::array();
    auto reader = archive::Reader::open(path, archive::Format::tar, tar_limits);
    while (auto entry = reader.next()) {
        cancel.check();
        const auto safe = archive::safe_path(entry->path);
        if (!safe || entry->path.starts_with('/')) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: the name \"{}\" in it leads out of the tree",
                                    path,
                                    printable(entry->path)),
                        "nothing was changed");
        }
        if (safe->empty()) {
            continue;
        }
        if (entry->kind == archive::EntryKind::hard_link) {
            const auto target = archive::safe_path(entry->link_target);
            if (!target || entry->link_target.starts_with('/')) {
                throw Error(ErrorCode::corrupt,
                            fmt::format("{}: the link \"{}\" in it leads out of the tree",
                                        path,
                                        printable(entry->path)));
            }
            entry->link_target = "/" + *target;
        }
        put_entry(session.editor(), accounts, *entry, "/" + *safe, reader);
        if (entry->kind != archive::EntryKind::directory) {
            files.push_back(json_text("/" + *safe));
        }
    }
    return files;
}

// ---- all together -------------------------------------------------------------------------------

Json deb_entry(const Deb& deb, const std::string& vendor)
{
    return {{"kind", "deb"},
            {"name", deb.name()},
            {"version", deb.version()},
            {"arch", deb.arch()},
            {"sha256", deb.sha256},
            {"purl", deb_purl(vendor, deb.name(), deb.version(), deb.arch())},
            {"path", fs::absolute(deb.path).lexically_normal().string()}};
}

void install_debs(World& world,
                  ChangeSession& session,
                  const std::vector<Deb>& debs,
                  NewVersion& version)
{
    if (debs.empty()) {
        return;
    }
    auto database = DpkgDatabase::load(session.editor().tree());
    DebPlan plan = plan_debs(database, session.editor().tree(), debs);
    if (!plan.problems.empty()) {
        refuse_all("the packages cannot be installed:", plan.problems);
    }
    version.notes.insert(version.notes.end(), plan.notes.begin(), plan.notes.end());
    Activity activity(world.progress, "unpacking", plan.order.size(), "packages");
    for (const Deb* deb : plan.order) {
        activity.detail(deb->name());
        doing([&] { unpack_deb(session.editor(), database, *deb, session.now(), world.cancel); },
              "installing {}",
              deb->path);
        version.installed.push_back(deb_entry(*deb, database.vendor()));
        activity.advance();
    }
    write_database(session.editor(), database, session.now());
}

void expect_something(const InstallRequest& request)
{
    if (request.debs.empty() && request.files.empty() && request.tars.empty()) {
        throw Error(ErrorCode::usage,
                    "nothing to install",
                    "give --deb F, --file SRC:DST or --tar F, each as often as needed");
    }
    if (request.mode != Mode::extract) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the mode \"{}\" is not built yet",
                                request.mode == Mode::appliance ? "appliance" : "chroot"),
                    "--mode extract runs nothing; scripts of packages run at the first boot");
    }
}

} // namespace

Change install(World& world, const InstallRequest& request)
{
    expect_name(request.name);
    expect_something(request);
    make_folder(world.folder);
    std::vector<Deb> debs;
    for (const std::string& path : request.debs) {
        debs.push_back(read_deb(path));
    }
    std::vector<PlannedFile> files;
    for (const FileInstall& file : request.files) {
        plan_file(files, file);
    }
    const auto base = recorded_base(world, request.base);
    ChangeSession session(world, base, newest_of(debs));
    NewVersion version;
    version.name = request.name;
    version.parent = base.digest;
    install_debs(world, session, debs, version);
    for (const std::string& tar : request.tars) {
        Json paths =
            doing([&] { return put_tar(session, tar, world.cancel); }, "installing {}", tar);
        version.installed.push_back({{"kind", "tar"},
                                     {"name", json_text(fs::path(tar).filename().string())},
                                     {"sha256", sha256_file(tar).hex()},
                                     {"purl", nullptr},
                                     {"path", json_text(fs::absolute(tar).string())},
                                     {"files", std::move(paths)}});
    }
    for (const PlannedFile& file : files) {
        doing([&] { put_planned(session, file); }, "installing {}", file.source.string());
        version.installed.push_back({{"kind", "file"},
                                     {"name", json_text(file.source.filename().string())},
                                     {"sha256", file.sha256.hex()},
                                     {"purl", nullptr},
                                     {"path", json_text(file.target)}});
    }
    if (request.dry_run) {
        Change change{.image = base, .existed = false, .notes = version.notes};
        change.image.name = request.name;
        change.image.parent = base.digest;
        change.image.installed = version.installed;
        return change;
    }
    return session.finish(version);
}

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
        auto database = DpkgDatabase::load(session.editor().tree());
        for (const std::string& name : request.packages) {
            const Stanza* there = database.find(name);
            const Stanza gone = there != nullptr ? *there : Stanza{};
            remove_deb(session.editor(), database, name, session.now());
            const auto arch = gone.get("Architecture");
            version.removed.push_back(
                {{"kind", "deb"},
                 {"name", name},
                 {"version", gone.get("Version")},
                 {"arch", arch},
                 {"sha256", nullptr},
                 {"purl", deb_purl(database.vendor(), name, gone.get("Version"), arch)},
                 {"path", nullptr}});
        }
        write_database(session.editor(), database, session.now());
    }
    for (const std::string& path : request.files) {
        session.editor().remove(expect_target(path));
        version.removed.push_back({{"kind", "file"},
                                   {"name", json_text(fs::path(path).filename().string())},
                                   {"sha256", nullptr},
                                   {"purl", nullptr},
                                   {"path", json_text(path)}});
    }
    if (request.dry_run) {
        Change change{.image = base, .existed = false, .notes = version.notes};
        change.image.name = request.name;
        return change;
    }
    return session.finish(version);
}

} // namespace stemma::image
