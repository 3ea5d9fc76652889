#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <tuple>

#include "query_impl.hpp"

namespace stemma::lineage {

namespace {

/// One recorded package file, with what decides whether it is the newest of its kind.
struct Candidate {
    std::int64_t id = 0;
    std::string name;
    std::string version;
    std::string arch;
    std::string branch;
    std::optional<std::string> sha256;
    std::int64_t at = 0;
};

struct Head {
    std::string channel;
    std::string version;
    std::optional<std::string> digest; ///< bytes
};

class Finder {
public:
    Finder(Query::Impl& query, std::string_view wanted)
        : query_(query),
          db_(query.store.db),
          wanted_(wanted),
          moment_(query.view.as_of ? to_integer(*query.view.as_of) : forever)
    {
    }

    std::vector<Outdated> run()
    {
        collect();
        for (const auto& candidate : candidates_) {
            if (const auto head = head_above(candidate)) {
                add_holders(candidate, *head);
            }
        }
        add_image_lines();
        std::sort(found_.begin(), found_.end(), [](const Outdated& a, const Outdated& b) {
            return std::tie(a.node, a.package, a.version) < std::tie(b.node, b.package, b.version);
        });
        return std::move(found_);
    }

private:
    void collect();
    std::string branch_of(std::int64_t package);
    /// Heads that somebody set for the name, the newest of each channel.
    std::vector<Head> heads_set(std::string_view kind, const std::string& name);
    /// The head that the candidate is behind of; nullopt: it is a head itself.
    std::optional<Head> head_above(const Candidate& candidate);
    void add_holders(const Candidate& candidate, const Head& head);
    /// What is out of date, and by what, without where.
    void add_images(const std::set<std::int64_t>& images, Outdated found);
    void add_image_lines();
    std::string digest_of(std::int64_t image);

    Query::Impl& query_;
    sqlite::Database& db_;
    std::string_view wanted_;
    std::int64_t moment_;
    std::vector<Candidate> candidates_;
    std::vector<Outdated> found_;
};

std::string Finder::branch_of(std::int64_t package)
{
    auto& row = db_.cached(
        "SELECT b.branch FROM packed p JOIN build b ON b.run = p.run WHERE p.package = ? AND "
        "p.seq <= ?2 AND b.seq <= ?2 ORDER BY p.at, p.run LIMIT 1");
    row.bind(package, query_.graph.known_at());
    std::string branch = row.step() ? row.text(0) : "";
    row.reset();
    return branch;
}

void Finder::collect()
{
    auto& rows = db_.cached(
        "SELECT p.id, p.name, p.version, p.arch, p.sha256, min(k.at) FROM package p JOIN packed k "
        "ON k.package = p.id WHERE k.seq <= ?1 AND k.at <= ?2 GROUP BY p.id "
        "ORDER BY min(k.at), p.sha256");
    rows.bind(query_.graph.known_at(), moment_);
    while (rows.step()) {
        const auto name = rows.text(1);
        if (wanted_.empty() || name == wanted_ || glob_match(wanted_, name)) {
            candidates_.push_back({rows.integer(0),
                                   name,
                                   rows.text(2),
                                   rows.text(3),
                                   "",
                                   rows.optional_text(4),
                                   rows.integer(5)});
        }
    }
    rows.reset();
    for (auto& candidate : candidates_) {
        candidate.branch = branch_of(candidate.id);
    }
}

std::vector<Head> Finder::heads_set(std::string_view kind, const std::string& name)
{
    auto& rows = db_.cached(
        "SELECT channel, version, digest FROM channel WHERE kind = ? AND name = ? AND seq <= ? "
        "AND at <= ? ORDER BY at, place");
    rows.bind(kind, name, query_.graph.known_at(), moment_);
    std::map<std::string, Head> newest;
    while (rows.step()) {
        newest[rows.text(0)] = {rows.text(0), rows.text(1), rows.optional_text(2)};
    }
    rows.reset();
    std::vector<Head> heads;
    heads.reserve(newest.size());
    for (auto& [channel, head] : newest) {
        heads.push_back(std::move(head));
    }
    return heads;
}

std::optional<Head> Finder::head_above(const Candidate& candidate)
{
    const auto heads = heads_set("package", candidate.name);
    if (!heads.empty()) {
        const bool is_head = std::any_of(heads.begin(), heads.end(), [&](const Head& head) {
            return head.digest ? head.digest == candidate.sha256
                               : head.version == candidate.version;
        });
        return is_head ? std::nullopt : std::optional(heads.front());
    }
    // None was set: the newest of the same name, architecture and branch, by when it was packed.
    const auto same_line = [&](const Candidate& other) {
        return std::tie(other.name, other.arch, other.branch) ==
               std::tie(candidate.name, candidate.arch, candidate.branch);
    };
    const auto last = std::find_if(candidates_.rbegin(), candidates_.rend(), same_line);
    if (last->id == candidate.id) {
        return std::nullopt;
    }
    return Head{candidate.branch.empty() ? "newest of the name" : "branch " + candidate.branch,
                last->version,
                last->sha256};
}

void Finder::add_images(const std::set<std::int64_t>& images, Outdated found)
{
    for (const auto image : images) {
        if (!query_.is_retired(image)) {
            found.node = {Kind::image, image};
            found_.push_back(found);
        }
    }
    query_.graph.placements().visit_images(images, [&](std::int64_t vm, std::int64_t /*host*/) {
        found.node = {Kind::vm, vm};
        found_.push_back(found);
    });
}

void Finder::add_holders(const Candidate& candidate, const Head& head)
{
    std::set<std::int64_t> images;
    for (const auto& holder : query_.graph.images().holders_of_package(candidate.id)) {
        images.insert(holder.image);
    }
    std::string wanted = head.version;
    if (wanted.empty() || wanted == candidate.version) {
        wanted = head.digest ? "sha256:" + to_hex(*head.digest).substr(0, 12) : wanted;
    }
    add_images(images, {{}, candidate.name, candidate.version, wanted, head.channel});
}

std::string Finder::digest_of(std::int64_t image)
{
    auto& row = db_.cached("SELECT digest FROM image WHERE id = ?");
    row.bind(image);
    const auto digest = row.step() ? to_hex(row.view(0)) : std::string();
    row.reset();
    return digest.substr(0, 12);
}

/// An image is out of date when its name now means another one.
void Finder::add_image_lines()
{
    auto& rows =
        db_.cached("SELECT name, image FROM image_name WHERE retired = 0 AND seq <= ? AND at <= ? "
                   "ORDER BY at, place");
    rows.bind(query_.graph.known_at(), moment_);
    std::map<std::string, std::vector<std::int64_t>> lines;
    while (rows.step()) {
        const auto name = rows.text(0);
        if (wanted_.empty() || glob_match(wanted_, name)) {
            lines[name].push_back(rows.integer(1));
        }
    }
    rows.reset();
    for (const auto& [name, images] : lines) {
        const auto newest = digest_of(images.back());
        std::set<std::int64_t> older(images.begin(), images.end());
        older.erase(images.back());
        for (const auto image : older) {
            add_images({image}, {{}, name, digest_of(image), newest, "newest of the name"});
        }
    }
}

} // namespace

std::vector<Outdated> Query::outdated(std::string_view package)
{
    return Finder(*impl_, package).run();
}

} // namespace stemma::lineage
