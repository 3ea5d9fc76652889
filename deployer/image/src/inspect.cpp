#include "stemma/image/inspect.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <elf.h>

#include <algorithm>
#include <set>

#include "dpkg_database.hpp"
#include "elf_notes.hpp"
#include "record.hpp"
#include "windows.hpp"

namespace stemma::image {

namespace {

using volume::NodeInfo;
using volume::NodeKind;

/// What one read of a file tells.
struct FileIds {
    std::string path;
    std::string sha256;
    std::string build_id;
};

class Inspector {
public:
    Inspector(lineage::Store* store,
              volume::Filesystem& tree,
              const std::string& digest,
              const Cancel& cancel)
        : store_(store), tree_(tree), digest_(digest), cancel_(cancel)
    {
    }

    Inspection inspect()
    {
        find_os();
        if (DpkgDatabase::present(tree_)) {
            found_.packages = DpkgDatabase::load(tree_).packages_json();
        }
        volume::walk(
            tree_,
            "/",
            [&](const std::string& path, const NodeInfo& info) {
                cancel_.check();
                if (info.kind == NodeKind::file && info.size > 0) {
                    take(path);
                }
                return true;
            },
            [&](const std::string& path, const std::string& why) { damaged(path, why); });
        find_parent();
        return std::move(found_);
    }

private:
    void find_os()
    {
        found_.os = os_release_value(tree_, "PRETTY_NAME");
        if (!found_.os.empty()) {
            return;
        }
        try {
            const auto windows = windows_version(tree_);
            found_.os = windows.name;
            if (windows.unclean) {
                damaged("the registry", "its newest changes lie in log files and are not seen");
            }
        } catch (const Error& error) {
            damaged("the registry", error.one_line());
        }
    }

    void damaged(const std::string& path, const std::string& why)
    {
        found_.damage.push_back(printable(path) + ": " + why);
    }

    void take(const std::string& path)
    {
        Sha256 hash;
        std::string head;
        try {
            tree_.read(path, [&](std::string_view part) {
                hash.update(part);
                head += part.substr(0, elf_head_bytes - std::min(head.size(), elf_head_bytes));
                return true;
            });
        } catch (const Error& error) {
            if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::unsupported) {
                throw;
            }
            damaged(path, error.one_line());
            return;
        }
        ++found_.files;
        FileIds ids{.path = path, .sha256 = hash.finish().hex(), .build_id = {}};
        take_notes(ids, head);
        look_up(ids);
    }

    void take_notes(FileIds& ids, std::string_view head)
    {
        for (ElfNote& note : elf_notes(head)) {
            if (note.owner == "GNU" && note.type == NT_GNU_BUILD_ID) {
                ids.build_id = to_hex(note.value);
                ++found_.programs;
            } else if (note.owner != "GNU") {
                found_.notes.push_back({.path = ids.path,
                                        .owner = std::move(note.owner),
                                        .type = note.type,
                                        .value = std::move(note.value)});
            }
        }
    }

    void look_up(const FileIds& ids)
    {
        if (store_ == nullptr) {
            return;
        }
        std::string basis = "content";
        auto known = store_->known_content(std::span(&ids.sha256, 1));
        if (known.empty() && !ids.build_id.empty()) {
            basis = "build-id";
            known = store_->known_build_id(ids.build_id);
        }
        if (known.empty()) {
            return;
        }
        // The newest of the builds that made it; a package's payload only when no build is known.
        const auto best = std::find_if(
            known.rbegin(), known.rend(), [](const auto& each) { return each.kind != "payload"; });
        const auto& link = best != known.rend() ? *best : known.back();
        found_.known.push_back({.path = ids.path,
                                .sha256 = basis == "content" ? ids.sha256 : link.sha256,
                                .basis = basis,
                                .kind = link.kind,
                                .name = link.path,
                                .repo = link.repo,
                                .build = link.build,
                                .build_id = ids.build_id});
    }

    static std::set<std::string> names_of(const Json& packages)
    {
        std::set<std::string> names;
        for (const auto& package : packages) {
            names.insert(text_of(member(package, "name"), "name") + " " +
                         text_of(member(package, "version"), "version") + " " +
                         text_of(member(package, "arch"), "arch"));
        }
        return names;
    }

    void find_parent()
    {
        constexpr double least = 0.5;
        const auto mine = names_of(found_.packages);
        if (store_ == nullptr || mine.empty()) {
            return;
        }
        for (const auto& image : store_->images()) {
            if (image.digest == digest_) {
                continue;
            }
            const auto theirs = names_of(image.packages);
            const auto both =
                static_cast<double>(std::count_if(mine.begin(), mine.end(), [&](const auto& each) {
                    return theirs.count(each) != 0;
                }));
            const double share = both / (static_cast<double>(mine.size() + theirs.size()) - both);
            if (share >= least && (!found_.parent || share > found_.parent->share)) {
                found_.parent = Likely{.name = image.name, .digest = image.digest, .share = share};
            }
        }
    }

    lineage::Store* store_;
    volume::Filesystem& tree_;
    const std::string& digest_;
    const Cancel& cancel_;
    Inspection found_;
};

} // namespace

Inspection inspect(lineage::Store* store,
                   volume::Filesystem& tree,
                   const std::string& digest,
                   const Cancel& cancel)
{
    return Inspector(store, tree, digest, cancel).inspect();
}

Change import_inspected(World& world,
                        const std::string& name,
                        const Selected& source,
                        const Inspection& inspection)
{
    expect_name(name);
    make_folder(world.folder);
    NewVersion version;
    version.name = name;
    version.os = inspection.os;
    version.packages = inspection.packages;
    for (const KnownFile& file : inspection.known) {
        version.installed.push_back({{"kind", "found"},
                                     {"name", json_text(file.name)},
                                     {"sha256", file.sha256},
                                     {"purl", nullptr},
                                     {"path", json_text(file.path)},
                                     {"basis", file.basis}});
    }
    const auto chain = disk::chain_of(source.path, source.open);
    const auto published = import_file(world.folder, chain, world.cancel, world.log);
    if (const auto known = world.store.find_image(published.digest.hex())) {
        throw Error(ErrorCode::conflict,
                    fmt::format("this content is recorded already, as image:{}", known->name),
                    "what was told of it counts more than what can be guessed");
    }
    world.cancel.check();
    return record(world, version, published);
}

} // namespace stemma::image
