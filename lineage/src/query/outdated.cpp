#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <tuple>

#include "query_impl.hpp"

namespace stemma::lineage {

namespace {

constexpr std::size_t shown_digits = 12; ///< of a digest
constexpr std::string_view newest_of_name = "newest of the name";

std::string shown(std::string_view digest)
{
    return to_hex(digest).substr(0, shown_digits);
}

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

/// The newest head of each channel, by kind and name.
std::vector<ChannelHead> read_heads(Query::Impl& query, std::int64_t moment)
{
    auto& rows = query.store.db.cached(
        "SELECT channel, kind, name, version, digest, at FROM channel WHERE seq <= ? AND at <= ? "
        "ORDER BY at, place");
    rows.bind(query.graph.known_at(), moment);
    std::map<std::tuple<std::string, std::string, std::string>, ChannelHead> newest;
    while (rows.step()) {
        newest[{rows.text(0), rows.text(1), rows.text(2)}] = {.channel = rows.text(0),
                                                              .kind = rows.text(1),
                                                              .name = rows.text(2),
                                                              .version = rows.text(3),
                                                              .digest = rows.optional_text(4),
                                                              .at = to_time(rows.integer(5))};
    }
    rows.reset();
    std::vector<ChannelHead> heads;
    heads.reserve(newest.size());
    for (auto& [key, head] : newest) {
        heads.push_back(std::move(head));
    }
    return heads;
}

std::int64_t moment_of(const Query::Impl& query)
{
    return query.view.as_of ? to_integer(*query.view.as_of) : forever;
}

class Finder {
public:
    Finder(Query::Impl& query, std::string_view wanted, std::string_view channel)
        : query_(query),
          db_(query.store.db),
          wanted_(wanted),
          channel_(channel),
          moment_(moment_of(query)),
          heads_(read_heads(query, moment_))
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
    [[nodiscard]] bool is_wanted(const std::string& name) const
    {
        return wanted_.empty() || name == wanted_ || glob_match(wanted_, name);
    }
    void collect();
    void collect_listed();
    std::string branch_of(std::int64_t package);
    /// Heads that somebody set for the name.
    [[nodiscard]] std::vector<ChannelHead> heads_set(std::string_view kind,
                                                     const std::string& name) const;
    /// The head that the candidate is behind of; nullopt: it is a head itself.
    std::optional<ChannelHead> head_above(const Candidate& candidate);
    void add_holders(const Candidate& candidate, const ChannelHead& head);
    /// What is out of date, and by what, without where.
    void add_images(const std::set<std::int64_t>& images, Outdated found);
    void add_image_lines();
    void add_image_line(const std::string& name, const std::vector<std::int64_t>& images);
    std::string digest_of(std::int64_t image); ///< bytes

    Query::Impl& query_;
    sqlite::Database& db_;
    std::string_view wanted_;
    std::string_view channel_;
    std::int64_t moment_;
    std::vector<ChannelHead> heads_;
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
        if (is_wanted(name)) {
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
    collect_listed();
}

/// What package databases list and nobody packed here, where a channel has a head for its name: a
/// distribution's openssl, for instance.
void Finder::collect_listed()
{
    std::set<std::string> names;
    for (const auto& head : heads_) {
        if (head.kind == "package" && is_wanted(head.name)) {
            names.insert(head.name);
        }
    }
    for (const auto& name : names) {
        auto& rows =
            db_.cached("SELECT id, version, arch, sha256 FROM package WHERE name = ? AND NOT "
                       "EXISTS (SELECT 1 FROM packed WHERE package = id)");
        rows.bind(name);
        while (rows.step()) {
            candidates_.push_back(
                {rows.integer(0), name, rows.text(1), rows.text(2), "", rows.optional_text(3), 0});
        }
        rows.reset();
    }
}

std::vector<ChannelHead> Finder::heads_set(std::string_view kind, const std::string& name) const
{
    std::vector<ChannelHead> heads;
    for (const auto& head : heads_) {
        if (head.kind == kind && head.name == name &&
            (channel_.empty() || head.channel == channel_)) {
            heads.push_back(head);
        }
    }
    return heads;
}

std::optional<ChannelHead> Finder::head_above(const Candidate& candidate)
{
    const auto heads = heads_set("package", candidate.name);
    if (!heads.empty()) {
        const bool is_head = std::any_of(heads.begin(), heads.end(), [&](const auto& head) {
            return head.digest && candidate.sha256 ? head.digest == candidate.sha256
                                                   : head.version == candidate.version;
        });
        return is_head ? std::nullopt : std::optional(heads.front());
    }
    if (!channel_.empty()) {
        return std::nullopt;
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
    ChannelHead head;
    head.channel =
        candidate.branch.empty() ? std::string(newest_of_name) : "branch " + candidate.branch;
    head.version = last->version;
    head.digest = last->sha256;
    return head;
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

void Finder::add_holders(const Candidate& candidate, const ChannelHead& head)
{
    std::set<std::int64_t> images;
    for (const auto& holder : query_.graph.images().holders_of_package(candidate.id)) {
        images.insert(holder.image);
    }
    std::string wanted = head.version;
    if (wanted.empty() || wanted == candidate.version) {
        wanted = head.digest ? "sha256:" + shown(*head.digest) : wanted;
    }
    add_images(images, {{}, candidate.name, candidate.version, wanted, head.channel});
}

std::string Finder::digest_of(std::int64_t image)
{
    auto& row = db_.cached("SELECT digest FROM image WHERE id = ?");
    row.bind(image);
    auto digest = row.step() ? row.text(0) : std::string();
    row.reset();
    return digest;
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
        if (is_wanted(name)) {
            lines[name].push_back(rows.integer(1));
        }
    }
    rows.reset();
    for (const auto& [name, images] : lines) {
        add_image_line(name, images);
    }
}

void Finder::add_image_line(const std::string& name, const std::vector<std::int64_t>& images)
{
    const std::set<std::int64_t> all(images.begin(), images.end());
    auto heads = heads_set("image", name);
    if (heads.empty() && channel_.empty()) {
        heads.resize(1);
        heads[0].channel = newest_of_name;
        heads[0].digest = digest_of(images.back());
    }
    for (const auto image : all) {
        const auto digest = digest_of(image);
        const bool behind =
            !heads.empty() && std::none_of(heads.begin(), heads.end(), [&](auto& head) {
                return head.digest == digest;
            });
        if (behind) {
            const auto& head = heads.front();
            add_images({image},
                       {{},
                        name,
                        shown(digest),
                        head.digest ? shown(*head.digest) : head.version,
                        head.channel});
        }
    }
}

} // namespace

std::vector<Outdated> Query::outdated(std::string_view package, std::string_view channel)
{
    return Finder(*impl_, package, channel).run();
}

std::vector<ChannelHead> Query::channel_heads()
{
    return read_heads(*impl_, moment_of(*impl_));
}

} // namespace stemma::lineage
