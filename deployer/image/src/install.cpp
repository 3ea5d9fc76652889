#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/library.hpp"

#include <algorithm>

#include "change_session.hpp"
#include "deb_install.hpp"
#include "put_files.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

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
    auto database = DpkgDatabase::load(session.editor().tree());
    const DebPlan plan = plan_debs(database, session.editor().tree(), debs);
    if (!plan.problems.empty()) {
        refuse_all("the packages cannot be installed:", plan.problems);
    }
    Activity activity(world.progress, "unpacking", plan.order.size(), "packages");
    for (const Deb* deb : plan.order) {
        activity.detail(deb->name());
        const auto why_open = doing(
            [&] {
                return unpack_deb(session.editor(), database, *deb, session.now(), world.cancel);
            },
            "installing {}",
            deb->path);
        if (why_open) {
            version.notes.push_back(
                fmt::format("{} {}: left unpacked, to be configured at the first boot: {}",
                            deb->name(),
                            deb->version(),
                            *why_open));
        }
        version.installed.push_back(deb_entry(*deb, database.vendor()));
        activity.advance();
    }
    write_database(session.editor(), database, session.now());
}

/// The last lines of what a program said, for a message.
std::string last_words(const std::string& output)
{
    constexpr std::size_t most_lines = 20;
    const auto lines = split_lines(output);
    std::string words;
    for (std::size_t i = lines.size() - std::min(lines.size(), most_lines); i < lines.size(); ++i) {
        words += "\n  " + printable(lines[i]);
    }
    return words;
}

/// The image's own dpkg, scripts and all, in a small VM or on a copy.
void install_debs_by_dpkg(World& world,
                          ChangeSession& session,
                          const std::vector<Deb>& debs,
                          const InstallRequest& request,
                          NewVersion& version)
{
    auto database = DpkgDatabase::load(session.editor().tree());
    const DebPlan plan = plan_debs(database, session.editor().tree(), debs, true);
    if (!plan.problems.empty()) {
        refuse_all("the packages cannot be installed:", plan.problems);
    }
    std::map<std::string, fs::path> files;
    std::string script = "exec /usr/bin/dpkg --log=/dev/null --force-unsafe-io --install";
    for (const Deb* deb : plan.order) {
        const auto name = fmt::format("{:04}.deb", files.size());
        files.emplace(name, deb->path);
        script += " /run/stemma/" + name;
        version.installed.push_back(deb_entry(*deb, database.vendor()));
    }
    if (request.dry_run) {
        return;
    }
    const auto result = session.run_by(request.mode, script + "\n", files);
    world.log.debug("dpkg: {}", result.output);
    if (result.exit != 0) {
        throw Error(ErrorCode::conflict,
                    fmt::format("dpkg in the image failed with status {}:{}",
                                result.exit,
                                last_words(result.output)),
                    "nothing was changed");
    }
}

void expect_something(const InstallRequest& request)
{
    if (request.debs.empty() && request.files.empty() && request.tars.empty() &&
        request.diffs.empty()) {
        throw Error(ErrorCode::usage,
                    "nothing to install",
                    "give --deb F, --file SRC:DST or --tar F, each as often as needed");
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
        files.push_back(plan_file(file));
    }
    const auto base = recorded_base(world, request.base);
    ChangeSession session(world, base, newest_of(debs));
    NewVersion version;
    version.name = request.name;
    version.parent = base.digest;
    if (!debs.empty() && request.mode == Mode::extract) {
        install_debs(world, session, debs, version);
    } else if (!debs.empty()) {
        install_debs_by_dpkg(world, session, debs, request, version);
    }
    for (const std::string& tar : request.tars) {
        version.installed.push_back(
            doing([&] { return put_tar(session, tar, world.cancel); }, "installing {}", tar));
    }
    for (const PlannedFile& file : files) {
        version.installed.push_back(doing(
            [&] { return put_planned(session, file); }, "installing {}", file.source.string()));
    }
    for (const std::string& diff : request.diffs) {
        version.installed.push_back(
            doing([&] { return put_text_patch(session, diff); }, "applying {}", diff));
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

} // namespace stemma::image
