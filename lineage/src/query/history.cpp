#include "stemma/core/error.hpp"

#include <algorithm>
#include <set>

#include "query_impl.hpp"

namespace stemma::lineage {

namespace {

using Seqs = std::set<std::int64_t>;

void add(Seqs& seqs, sqlite::Statement& rows)
{
    for (const auto seq : integers(rows)) {
        seqs.insert(seq);
    }
}

void history_of_image(sqlite::Database& db, std::int64_t image, Seqs& seqs)
{
    add(seqs, db.cached("SELECT seq FROM image_name WHERE image = ?").bind(image));
    add(seqs, db.cached("SELECT DISTINCT placed FROM vm_span WHERE image = ?").bind(image));
}

void history_of_package(sqlite::Database& db, std::int64_t package, Seqs& seqs)
{
    add(seqs, db.cached("SELECT seq FROM packed WHERE package = ?").bind(package));
    add(seqs,
        db.cached("SELECT image.seq FROM image_package p JOIN image ON image.id = p.image WHERE "
                  "p.package = ? "
                  "AND image.seq IS NOT NULL")
            .bind(package));
    add(seqs,
        db.cached(
              "SELECT channel.seq FROM channel JOIN package ON channel.name = package.name WHERE "
              "channel.kind = 'package' AND package.id = ?")
            .bind(package));
}

void history_of_host(sqlite::Database& db, std::int64_t host, Seqs& seqs)
{
    add(seqs, db.cached("SELECT seq FROM host_event WHERE host = ?").bind(host));
    add(seqs, db.cached("SELECT seq FROM vm_span WHERE host = ?").bind(host));
    // What ended a stay here is told by the event that began the next span.
    add(seqs,
        db.cached("SELECT n.seq FROM vm_span s JOIN vm_span n ON n.vm = s.vm AND n.since = s.until "
                  "WHERE "
                  "s.host = ?")
            .bind(host));
}

/// Builds in which this content of the file first appeared.
void history_of_source(sqlite::Database& db, std::int64_t version, Seqs& seqs)
{
    add(seqs,
        db.cached("SELECT b.seq FROM file_use f JOIN build b ON b.id = f.build WHERE f.version = ? "
                  "ORDER BY b.finished, b.run LIMIT 1")
            .bind(version));
}

void history_of(sqlite::Database& db, Node node, Seqs& seqs)
{
    switch (node.kind) {
    case Kind::source:
        return history_of_source(db, node.id, seqs);
    case Kind::artifact:
        return add(seqs,
                   db.cached("SELECT seq FROM build WHERE id = ?").bind(Output::of(node).build));
    case Kind::package:
        return history_of_package(db, node.id, seqs);
    case Kind::image:
        return history_of_image(db, node.id, seqs);
    case Kind::vm:
        add(seqs, db.cached("SELECT seq FROM vm_event WHERE vm = ?").bind(node.id));
        return add(seqs, db.cached("SELECT seq FROM snapshot WHERE vm = ?").bind(node.id));
    case Kind::host:
        return history_of_host(db, node.id, seqs);
    }
}

} // namespace

std::vector<std::uint64_t> Query::history(const Nodes& nodes)
{
    auto& db = impl_->store.db;
    Seqs seqs;
    for (const auto node : nodes) {
        history_of(db, node, seqs);
    }
    for (const auto& release : impl_->releases) {
        add(seqs, db.cached("SELECT seq FROM release_event WHERE name = ?").bind(release));
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> sorted;
    for (const auto seq : seqs) {
        auto& row = db.cached("SELECT at FROM event WHERE seq = ? AND seq <= ?");
        row.bind(seq, impl_->graph.known_at());
        const auto at = one_integer(row);
        if (at && (!impl_->view.as_of || *at <= to_integer(*impl_->view.as_of))) {
            sorted.emplace_back(*at, seq);
        }
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<std::uint64_t> found;
    found.reserve(sorted.size());
    for (const auto& [at, seq] : sorted) {
        found.push_back(static_cast<std::uint64_t>(seq));
    }
    return found;
}

std::vector<std::uint64_t> Query::history()
{
    auto& rows =
        impl_->store.db.cached("SELECT seq FROM event WHERE seq <= ? AND at <= ? ORDER BY at, seq");
    rows.bind(impl_->graph.known_at(),
              impl_->view.as_of ? to_integer(*impl_->view.as_of) : forever);
    std::vector<std::uint64_t> found;
    for (const auto seq : integers(rows)) {
        found.push_back(static_cast<std::uint64_t>(seq));
    }
    return found;
}

namespace {

std::string word(const Json& body, std::string_view key)
{
    const auto found = body.find(key);
    if (found == body.end() || found->is_null()) {
        return {};
    }
    return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string short_digest(const std::string& digest)
{
    return digest.substr(0, 12);
}

/// "reason" in brackets, when there is one.
std::string with_reason(const std::string& text, const Json& body)
{
    const auto reason = word(body, "reason");
    return reason.empty() ? text : fmt::format("{} ({})", text, reason);
}

std::string image_detail(const Json& body)
{
    std::string text = "digest " + short_digest(word(body, "digest"));
    if (const auto parent = word(body, "parent"); !parent.empty()) {
        text += ", from " + short_digest(parent);
    }
    for (const auto& entry : body.value("installed", Json::array())) {
        text += ", with " + word(entry, "name");
    }
    return text;
}

std::string vm_detail(const std::string& kind, const Json& body)
{
    if (kind == "vm.deployed") {
        const auto image = word(body, "image");
        return fmt::format("image {} on {}{}",
                           image.empty() ? "unknown" : short_digest(image),
                           word(body, "host"),
                           word(body, "adopted") == "true" ? ", adopted" : "");
    }
    if (kind == "vm.state") {
        return with_reason(fmt::format("{} on {}", word(body, "state"), word(body, "host")), body);
    }
    if (kind == "vm.migrated") {
        return fmt::format("{} → {}", word(body, "from"), word(body, "to"));
    }
    if (kind == "vm.verified") {
        return word(body, "ok") == "true" ? "is what it should be" : "is not what it should be";
    }
    return with_reason(word(body, "what"), body);
}

std::string detail_of(const std::string& kind, const Json& body)
{
    if (kind.starts_with("vm.")) {
        return vm_detail(kind, body);
    }
    if (kind == "build.recorded") {
        const auto commit = short_digest(word(body, "rev"));
        return fmt::format("{}{}",
                           commit.empty() ? "no commit" : "commit " + commit,
                           body.value("dirty", 0) != 0 ? ", with uncommitted changes" : "");
    }
    if (kind == "package.packed") {
        return fmt::format("{} {}, sha256 {}",
                           word(body, "version"),
                           word(body, "arch"),
                           short_digest(word(body, "sha256")));
    }
    if (kind.starts_with("image.")) {
        return with_reason(image_detail(body), body);
    }
    if (kind == "release.step") {
        return fmt::format("{} {} {} {}",
                           word(body, "step"),
                           word(body, "phase"),
                           word(body, "subject"),
                           word(body, "detail"));
    }
    if (kind == "channel.set") {
        return fmt::format("{} = {}{}",
                           word(body, "channel"),
                           word(body, "version"),
                           short_digest(word(body, "digest")));
    }
    if (kind == "action.run") {
        std::string text = word(body, "phase") + ":";
        for (const auto& argument : body.value("command", Json::array())) {
            text += " " + (argument.is_string() ? argument.get<std::string>() : argument.dump());
        }
        if (const auto exit = word(body, "exit"); !exit.empty()) {
            text += " → " + exit;
        }
        return with_reason(text, body);
    }
    return with_reason(word(body, kind == "host.added" ? "uri" : "state"), body);
}

} // namespace

model::Event Query::event(std::uint64_t seq)
{
    return impl_->store.event_at(seq);
}

Json Query::event_item(std::uint64_t seq)
{
    const auto event = impl_->store.event_at(seq);
    Json body = event.body;
    if (event.kind == "build.recorded") {
        const auto& build = member(member(body, "manifest"), "build");
        const auto& run = member(member(body, "manifest"), "run");
        body = {{"name", build.value("name", Json())},
                {"repo", build.value("repo", Json())},
                {"rev", build.value("commit", Json())},
                {"branch", build.value("branch", Json())},
                {"dirty", build.value("dirty", Json::array()).size()},
                {"run", run.value("id", Json())},
                {"machine", run.value("machine", Json())}};
    }
    if (event.kind == "image.created") {
        body.erase("packages");
    }
    if (event.kind == "package.packed") {
        body.erase("payload");
    }
    auto& recorded = impl_->store.db.cached(
        "SELECT recorded FROM commits WHERE last >= ? ORDER BY last LIMIT 1");
    recorded.bind(seq);
    const auto at = one_integer(recorded);
    auto subject = word(body, event.kind.starts_with("release.") ? "release" : "name");
    return {{"seq", seq},
            {"at", format_time(event.at)},
            {"recorded", at ? Json(format_time(to_time(*at))) : Json()},
            {"origin", event.origin},
            {"oseq", event.oseq},
            {"kind", event.kind},
            {"subject", subject},
            {"detail", detail_of(event.kind, body)},
            {"body", body}};
}

} // namespace stemma::lineage
