#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>

#include "deb_install.hpp"
#include "deb_scripts.hpp"

namespace stemma::image {

namespace {

using archive::Entry;
using archive::EntryKind;
using volume::NodeKind;

/// What a set of installed packages offers to those who depend on it.
class PackageWorld {
public:
    explicit PackageWorld(const std::vector<Stanza>& stanzas,
                          bool (*counts)(const Stanza&) = is_there)
    {
        for (const Stanza& stanza : stanzas) {
            if (counts(stanza)) {
                add(stanza);
            }
        }
    }

    [[nodiscard]] bool satisfies(const std::vector<Relation>& alternatives) const
    {
        return std::any_of(alternatives.begin(), alternatives.end(), [&](const Relation& each) {
            return offers(each, {});
        });
    }

    /// True when a package other than `except` matches.
    [[nodiscard]] bool offers(const Relation& relation, const std::string& except) const
    {
        const auto [from, to] = offers_.equal_range(relation.name);
        return std::any_of(from, to, [&](const auto& each) {
            const Offer& offer = each.second;
            if (offer.package == except) {
                return false;
            }
            return relation.op.empty() ||
                   (!offer.version.empty() && relation.allows(offer.version));
        });
    }

private:
    struct Offer {
        std::string package;
        std::string version; ///< empty: provided without a version
    };

    void add(const Stanza& stanza)
    {
        const auto name = stanza.get("Package");
        offers_.emplace(name, Offer{.package = name, .version = stanza.get("Version")});
        for (const auto& group : parse_relations(stanza.get("Provides"), name)) {
            offers_.emplace(group.front().name,
                            Offer{.package = name, .version = group.front().version});
        }
    }

    std::multimap<std::string, Offer> offers_;
};

Relations relations_of(const Stanza& stanza, std::initializer_list<std::string_view> fields)
{
    Relations all;
    for (const std::string_view field : fields) {
        auto some =
            parse_relations(stanza.get(field), stanza.get("Package") + ": " + std::string(field));
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

std::string title(const Deb& deb)
{
    return deb.name() + " " + deb.version();
}

class Judge {
public:
    Judge(DpkgDatabase& database,
          volume::Filesystem& tree,
          const std::vector<Deb>& debs,
          bool scripts_run)
        : database_(database), tree_(tree), debs_(debs), scripts_run_(scripts_run)
    {
    }

    DebPlan judge()
    {
        expect_different_names();
        for (const Deb& deb : debs_) {
            judge_arch(deb);
            judge_scripts(deb);
            judge_files(deb);
            note_unchanged(deb);
        }
        judge_relations();
        order();
        return std::move(plan_);
    }

private:
    void problem(const Deb& deb, const std::string& text)
    {
        plan_.problems.push_back(title(deb) + ": " + text);
    }

    void expect_different_names()
    {
        std::map<std::string, const Deb*> seen;
        for (const Deb& deb : debs_) {
            const auto [place, fresh] = seen.emplace(deb.file_stem(), &deb);
            if (!fresh) {
                problem(deb, fmt::format("given twice ({} and {})", place->second->path, deb.path));
            }
        }
    }

    void judge_arch(const Deb& deb)
    {
        if (!database_.knows_arch(deb.arch())) {
            problem(deb,
                    fmt::format("it is for {}, the image is for {}", deb.arch(), database_.arch()));
        }
        const Stanza* old = database_.find(deb.name(), deb.arch());
        if (old != nullptr && old->get("Status").starts_with("hold ")) {
            problem(deb, "the image holds this package at " + old->get("Version"));
        }
    }

    void judge_scripts(const Deb& deb)
    {
        const Stanza* old = database_.find(deb.name(), deb.arch());
        const bool there = old != nullptr && is_there(*old);
        if (scripts_run_) {
            return;
        }
        if (const auto reason = reason_against_unpacking(tree_, deb, there ? old : nullptr)) {
            problem(deb,
                    *reason + ", and the mode \"extract\" runs nothing (use --mode appliance)");
        }
    }

    void judge_files(const Deb& deb)
    {
        std::set<std::string> conffiles(deb.conffiles.begin(), deb.conffiles.end());
        std::string first_diverted;
        for (const Entry& entry : deb.entries) {
            if (entry.path == "/") {
                continue;
            }
            if (entry.kind == EntryKind::directory) {
                judge_folder(deb, entry);
                continue;
            }
            const auto [place, fresh] = claimed_.emplace(database_.merged(entry.path), &deb);
            if (!fresh && place->second != &deb) {
                problem(
                    deb,
                    fmt::format("{} is also in {}", printable(entry.path), title(*place->second)));
            }
            judge_file(deb, entry, conffiles.count(entry.path) != 0);
        }
    }

    void judge_folder(const Deb& deb, const Entry& entry)
    {
        const auto there = tree_.look_through(entry.path);
        if (there && there->kind != NodeKind::directory) {
            problem(deb,
                    fmt::format("{} is a {} in the image, not a folder",
                                printable(entry.path),
                                to_string(there->kind)));
        }
    }

    /// Where dpkg would put a file elsewhere, or give it other rights.
    void judge_redirections(const Deb& deb, const Entry& entry)
    {
        const std::string where = database_.merged(entry.path);
        for (const Diversion& each : database_.diversions()) {
            if (database_.merged(each.from) == where && each.package != deb.name()) {
                problem(deb,
                        fmt::format("{} is diverted to {} by {}",
                                    printable(entry.path),
                                    printable(each.to),
                                    each.package == ":" ? "the administrator" : each.package));
            }
        }
        if (database_.overridden().count(where) != 0) {
            problem(deb, fmt::format("{} has a dpkg-statoverride", printable(entry.path)));
        }
    }

    void judge_file(const Deb& deb, const Entry& entry, bool is_conffile)
    {
        if (!scripts_run_) {
            judge_redirections(deb, entry);
        }
        const auto there = tree_.look(entry.path);
        if (!there) {
            return;
        }
        if (there->kind == NodeKind::directory) {
            problem(deb, fmt::format("{} is a folder in the image", printable(entry.path)));
            return;
        }
        for (const std::string& owner : database_.owners(tree_, entry.path)) {
            const std::string name = owner.substr(0, owner.find(':'));
            if (name != deb.name() && !replaces(deb, name)) {
                problem(deb, fmt::format("{} belongs to {}", printable(entry.path), name));
            }
        }
        if (is_conffile && there->kind == NodeKind::file) {
            judge_conffile(deb, entry);
        }
    }

    bool replaces(const Deb& deb, const std::string& name)
    {
        const Stanza* other = database_.find(name);
        for (const auto& group : relations_of(deb.control, {"Replaces"})) {
            if (group.front().name == name && other != nullptr &&
                group.front().allows(other->get("Version"))) {
                return true;
            }
        }
        return false;
    }

    /// dpkg's rule: the administrator's change survives unless the package changed too.
    void judge_conffile(const Deb& deb, const Entry& entry)
    {
        constexpr std::uint64_t most = std::uint64_t{64} << 20U;
        const auto present = md5_hex(tree_.read_all(entry.path, most));
        const auto wanted = new_md5(deb, entry.path);
        if (present == wanted) {
            return;
        }
        const Stanza* old = database_.find(deb.name(), deb.arch());
        const auto known =
            old == nullptr ? std::map<std::string, std::string>() : conffiles_of(*old);
        const auto recorded = known.find(entry.path);
        if (recorded == known.end()) {
            problem(deb,
                    fmt::format("the configuration file {} is in the image already, with other "
                                "content",
                                printable(entry.path)));
        } else if (present != recorded->second && wanted != recorded->second) {
            problem(deb,
                    fmt::format("the configuration file {} was changed in the image, and the "
                                "package brings a new one",
                                printable(entry.path)));
        }
    }

    static std::string new_md5(const Deb& deb, const std::string& path)
    {
        std::string digest;
        auto reader = archive::open_deb(deb.path, archive::DebMember::data);
        while (auto entry = reader.next()) {
            const auto safe = archive::safe_path(entry->path);
            if (safe && "/" + *safe == path && entry->kind == EntryKind::file) {
                digest = md5_hex(reader.content_all(std::uint64_t{64} << 20U));
            }
        }
        return digest;
    }

    void note_unchanged(const Deb& deb)
    {
        const Stanza* old = database_.find(deb.name(), deb.arch());
        if (old != nullptr && is_there(*old) && old->get("Version") == deb.version()) {
            plan_.unchanged.push_back(title(deb));
        }
    }

    void judge_relations()
    {
        DpkgDatabase after = database_;
        for (const Deb& deb : debs_) {
            Stanza stanza = deb.control;
            stanza.set("Status", "install ok installed");
            after.put(stanza);
        }
        const PackageWorld before(database_.stanzas());
        const PackageWorld world(after.stanzas());
        std::set<std::string> fresh;
        for (const Deb& deb : debs_) {
            fresh.insert(deb.name());
            for (const auto& group : relations_of(deb.control, {"Pre-Depends", "Depends"})) {
                if (!world.satisfies(group)) {
                    problem(deb, "it needs " + to_text(group) + ", which is not in the image");
                }
            }
            for (const auto& group : relations_of(deb.control, {"Conflicts", "Breaks"})) {
                if (world.offers(group.front(), deb.name())) {
                    problem(deb, "it conflicts with " + group.front().text() + ", which is there");
                }
            }
        }
        for (const Stanza& other : after.stanzas()) {
            if (is_there(other) && fresh.count(other.get("Package")) == 0) {
                judge_old_package(other, before, world);
            }
        }
    }

    /// A package that stays must not lose what it needs, nor meet what it cannot bear.
    void
    judge_old_package(const Stanza& other, const PackageWorld& before, const PackageWorld& world)
    {
        const auto name = other.get("Package");
        for (const auto& group : relations_of(other, {"Pre-Depends", "Depends"})) {
            if (before.satisfies(group) && !world.satisfies(group)) {
                plan_.problems.push_back(
                    fmt::format("{}, which is in the image, would lose {}", name, to_text(group)));
            }
        }
        for (const auto& group : relations_of(other, {"Conflicts", "Breaks"})) {
            if (!before.offers(group.front(), name) && world.offers(group.front(), name)) {
                plan_.problems.push_back(fmt::format(
                    "{}, which is in the image, conflicts with {}", name, group.front().text()));
            }
        }
    }

    /// Dependencies first; those in a circle in the order of their names.
    void order()
    {
        std::multimap<std::string, const Deb*> by_name; // what they are and what they provide
        std::map<std::string, const Deb*> sorted;
        for (const Deb& deb : debs_) {
            sorted.emplace(deb.file_stem(), &deb);
            by_name.emplace(deb.name(), &deb);
            for (const auto& group : relations_of(deb.control, {"Provides"})) {
                by_name.emplace(group.front().name, &deb);
            }
        }
        std::set<const Deb*> placed;
        for (const auto& [name, deb] : sorted) {
            place(deb, by_name, placed);
        }
    }

    void place(const Deb* deb,
               const std::multimap<std::string, const Deb*>& by_name,
               std::set<const Deb*>& placed)
    {
        if (!placed.insert(deb).second) {
            return;
        }
        for (const auto& group : relations_of(deb->control, {"Pre-Depends", "Depends"})) {
            for (const Relation& each : group) {
                const auto [from, to] = by_name.equal_range(each.name);
                for (auto found = from; found != to; ++found) {
                    place(found->second, by_name, placed);
                }
            }
        }
        plan_.order.push_back(deb);
    }

    DpkgDatabase& database_;
    volume::Filesystem& tree_;
    const std::vector<Deb>& debs_;
    bool scripts_run_;
    DebPlan plan_;
    std::map<std::string, const Deb*> claimed_;
};

} // namespace

std::vector<std::string> dependents_of(const DpkgDatabase& database, const Stanza& gone)
{
    DpkgDatabase after = database;
    after.erase(gone.get("Package"), gone.get("Architecture"));
    const PackageWorld before(database.stanzas());
    const PackageWorld world(after.stanzas());
    std::vector<std::string> losers;
    for (const Stanza& other : after.stanzas()) {
        if (!is_there(other)) {
            continue;
        }
        const auto groups = relations_of(other, {"Pre-Depends", "Depends"});
        if (std::any_of(groups.begin(), groups.end(), [&](const auto& group) {
                return before.satisfies(group) && !world.satisfies(group);
            })) {
            losers.push_back(other.get("Package"));
        }
    }
    return losers;
}

std::optional<std::string> unconfigured_dependency(const DpkgDatabase& database, const Deb& deb)
{
    const PackageWorld configured(database.stanzas(), [](const Stanza& stanza) {
        return is_there(stanza) && state_of(stanza) != "unpacked" &&
               state_of(stanza) != "half-configured";
    });
    for (const auto& group : relations_of(deb.control, {"Pre-Depends", "Depends"})) {
        if (!configured.satisfies(group)) {
            return to_text(group);
        }
    }
    return std::nullopt;
}

std::vector<std::string> removal_order(const DpkgDatabase& database,
                                       const std::vector<std::string>& names)
{
    std::vector<std::string> left = names;
    std::vector<std::string> order;
    DpkgDatabase after = database;
    for (bool moved = true; moved && !left.empty();) {
        moved = false;
        for (auto name = left.begin(); name != left.end();) {
            const Stanza* there = after.find(*name);
            if (there != nullptr && !dependents_of(after, *there).empty()) {
                ++name;
                continue;
            }
            if (there != nullptr) {
                after.erase(there->get("Package"), there->get("Architecture"));
            }
            order.push_back(*name);
            name = left.erase(name);
            moved = true;
        }
    }
    order.insert(order.end(), left.begin(), left.end()); // those that others need are told later
    return order;
}

DebPlan plan_debs(DpkgDatabase& database,
                  volume::Filesystem& tree,
                  const std::vector<Deb>& debs,
                  bool scripts_run)
{
    return Judge(database, tree, debs, scripts_run).judge();
}

} // namespace stemma::image
