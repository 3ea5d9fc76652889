#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "../store/ids.hpp"
#include "query_impl.hpp"

namespace stemma::lineage {

using sqlite::Blob;

namespace {

Json text_or_null(std::string_view text)
{
    return text.empty() ? Json(nullptr) : json_text(text);
}

std::string text_of_id(sqlite::Database& db, std::string_view sql, std::int64_t id)
{
    auto& row = db.cached(sql);
    row.bind(id);
    std::string text = row.step() ? row.text(0) : "";
    row.reset();
    return text;
}

std::string repo_name(sqlite::Database& db, std::int64_t id)
{
    return text_of_id(db, "SELECT name FROM repo WHERE id = ?", id);
}

std::string sha256_of(sqlite::Database& db, std::int64_t content)
{
    return to_hex(text_of_id(db, "SELECT sha256 FROM content WHERE id = ?", content));
}

/// What a step of this kind makes, for outputs that a manifest does not name as artifacts.
model::ArtifactKind kind_made_by(const Build& build, model::FileIndex file)
{
    const auto [from, to] = build.makers(file);
    if (from == to) {
        return model::ArtifactKind::other;
    }
    switch (build.graph.steps[*from].kind) {
    case model::StepKind::compile:
        return model::ArtifactKind::object;
    case model::StepKind::archive:
        return model::ArtifactKind::archive;
    case model::StepKind::generate:
        return model::ArtifactKind::generated;
    case model::StepKind::pack:
        return model::ArtifactKind::package;
    default:
        return model::ArtifactKind::other;
    }
}

} // namespace

std::int64_t Query::Impl::build_of_version(std::int64_t version)
{
    const auto seen = seen_in.find(version);
    if (seen != seen_in.end()) {
        return seen->second;
    }
    auto& row = store.db.cached(
        "SELECT b.id FROM file_use f JOIN build b ON b.id = f.build WHERE "
        "f.version = ? AND b.seq <= ? ORDER BY b.finished DESC, b.run DESC LIMIT 1");
    row.bind(version, graph.known_at());
    return one_integer(row).value_or(0);
}

bool Query::Impl::is_known(std::int64_t version)
{
    auto& row = store.db.cached("SELECT 1 FROM file_use f JOIN build b ON b.id = f.build WHERE "
                                "f.version = ? AND b.seq <= ? LIMIT 1");
    return one_integer(row.bind(version, graph.known_at())).has_value();
}

namespace {

Json state_word(std::optional<std::int64_t> role)
{
    return role ? Json(model::to_string(FileRole(static_cast<std::uint8_t>(*role)).state()))
                : Json(nullptr);
}

} // namespace

Json Query::Impl::source_item(std::int64_t version)
{
    const auto* build = graph.builds().row(build_of_version(version));
    auto& row = store.db.cached(
        "SELECT e.path, r.name, v.blob, c.sha256, v.package, (SELECT f.role FROM file_use f WHERE "
        "f.version = v.id AND f.build = ?2), r.id FROM version v JOIN element e ON e.id = "
        "v.element JOIN repo r ON r.id = e.repo JOIN content c ON c.id = v.content WHERE v.id = "
        "?1");
    row.bind(version, build == nullptr ? 0 : build->id);
    if (!row.step()) {
        throw Error(ErrorCode::corrupt, fmt::format("the store lost file version {}", version));
    }
    Json item = Json::object(); // member by member: answers have ten thousands of these
    item["type"] = "source";
    item["path"] = json_text(row.view(0));
    item["repo"] = text_or_null(row.view(1));
    item["rev"] = nullptr;
    item["blob"] = json_or_null(row.optional_text(2));
    item["sha256"] = to_hex(row.view(3));
    item["state"] = nullptr;
    item["package"] = json_or_null(row.optional_text(4));
    item["build"] = nullptr;
    if (build != nullptr) {
        item["build"] = build->run;
        item["state"] = state_word(row.optional_integer(5));
        // A commit says nothing of what lies outside of its repository.
        if (build->revision && build->repo == row.integer(6)) {
            item["rev"] = *build->revision;
        }
    }
    row.reset();
    return item;
}

Json Query::Impl::artifact_item(Node node)
{
    const auto output = Output::of(node);
    const auto* build = graph.builds().row(output.build);
    const auto files = graph.builds().files(output.build);
    if (build == nullptr || !files || output.file >= files->size()) {
        throw Error(ErrorCode::corrupt, fmt::format("the store lost build {}", output.build));
    }
    const auto version = files->versions[output.file];
    const auto path = text_of_id(store.db,
                                 "SELECT path FROM element JOIN version ON version.element = "
                                 "element.id WHERE version.id = ?",
                                 version);
    Json item = {{"type", "artifact"},
                 {"sha256", sha256_of(store.db, graph.content_of(version))},
                 {"name", json_text(path.substr(path.rfind('/') + 1))},
                 {"path", json_text(path)},
                 {"kind", nullptr},
                 {"build_id", nullptr},
                 {"build", build->run},
                 {"repo", text_or_null(repo_name(store.db, build->repo))},
                 {"rev", json_or_null(build->revision)},
                 {"branch", json_or_null(build->branch)},
                 {"dirty", build->dirty != 0}};
    auto& row = store.db.cached("SELECT kind, build_id FROM artifact WHERE build = ? AND file = ?");
    row.bind(output.build, output.file);
    if (row.step()) {
        item["kind"] = model::to_string(static_cast<model::ArtifactKind>(row.integer(0)));
        item["build_id"] = json_or_null(row.optional_text(1));
    }
    row.reset();
    if (item["kind"].is_null()) {
        item["kind"] =
            model::to_string(kind_made_by(*graph.builds().get(output.build), output.file));
    }
    return item;
}

Json Query::Impl::package_item(std::int64_t id)
{
    const auto& row = graph.images().package(id);
    Json item = {{"type", "package"},
                 {"purl", text_or_null(row.purl)},
                 {"name", json_text(row.name)},
                 {"version", json_text(row.version)},
                 {"arch", text_or_null(row.arch)},
                 {"sha256", row.sha256 ? Json(to_hex(*row.sha256)) : Json(nullptr)},
                 {"build", nullptr},
                 {"repo", nullptr},
                 {"rev", nullptr},
                 {"branch", nullptr},
                 {"dirty", nullptr}};
    auto& packed =
        store.db.cached("SELECT run FROM packed WHERE package = ? AND seq <= ? AND run IS NOT "
                        "NULL ORDER BY at DESC, run DESC LIMIT 1");
    packed.bind(id, graph.known_at());
    const auto run = packed.step() ? packed.optional_text(0) : std::nullopt;
    packed.reset();
    if (run) {
        item["build"] = *run;
        if (const auto* build = graph.builds().row(graph.builds().of_run(*run).value_or(0))) {
            item["repo"] = text_or_null(repo_name(store.db, build->repo));
            item["rev"] = json_or_null(build->revision);
            item["branch"] = json_or_null(build->branch);
            item["dirty"] = build->dirty != 0;
        }
    }
    return item;
}

bool Query::Impl::is_retired(std::int64_t image)
{
    auto& row = store.db.cached(
        "SELECT max(at) FROM image_name WHERE image = ?1 AND retired = 1 AND seq <= "
        "?2 AND at >= (SELECT max(at) FROM image_name WHERE image = ?1 AND retired = 0)");
    const auto at = one_integer(row.bind(image, graph.known_at()));
    return at && *at <= (view.as_of ? to_integer(*view.as_of) : forever);
}

Json Query::Impl::image_item(std::int64_t id)
{
    Json item = {
        {"type", "image"},
        {"name", nullptr},
        {"digest", to_hex(text_of_id(store.db, "SELECT digest FROM image WHERE id = ?", id))},
        {"parent", nullptr},
        {"created", nullptr},
        {"state", "unknown"}};
    auto& row = store.db.cached(
        "SELECT name, at FROM image_name WHERE image = ? AND retired = 0 AND seq <= ? "
        "ORDER BY at DESC, place DESC LIMIT 1");
    row.bind(id, graph.known_at());
    if (row.step()) {
        item["name"] = json_text(row.view(0));
        item["created"] = format_time(to_time(row.integer(1)));
        item["state"] = "live";
    }
    row.reset();
    if (is_retired(id)) {
        item["state"] = "retired";
    }
    if (const auto parent = graph.images().parent(id)) {
        item["parent"] =
            to_hex(text_of_id(store.db, "SELECT digest FROM image WHERE id = ?", *parent));
    }
    return item;
}

Json Query::Impl::vm_item(std::int64_t id)
{
    auto& row = store.db.cached("SELECT uuid, name FROM vm WHERE id = ?");
    row.bind(id);
    row.step();
    Json item = Json::object(); // member by member, as above
    item["type"] = "vm";
    item["uuid"] = row.text(0);
    item["name"] = json_text(row.view(1));
    item["host"] = nullptr;
    item["image"] = nullptr;
    item["state"] = "retired";
    item["since"] = nullptr;
    item["release"] = nullptr;
    row.reset();
    if (const auto placement = graph.placements().of(id)) {
        item["host"] = text_or_null(
            text_of_id(store.db, "SELECT name FROM host WHERE id = ?", placement->host));
        item["image"] = text_or_null(to_hex(
            text_of_id(store.db, "SELECT digest FROM image WHERE id = ?", placement->image)));
        item["state"] = placement->state;
        item["since"] = format_time(to_time(placement->since));
        item["release"] = text_or_null(placement->release);
    }
    auto& conflicts = store.db.cached("SELECT reason FROM vm_conflict WHERE vm = ? AND seq <= ?");
    conflicts.bind(id, graph.known_at());
    while (conflicts.step()) {
        graph.note(fmt::format("VM {}", text_of(item["name"], "name")), conflicts.text(0));
    }
    conflicts.reset();
    return item;
}

Json Query::Impl::host_item(std::int64_t id)
{
    HostView limits;
    limits.known_at = static_cast<std::int64_t>(graph.known_at());
    limits.at = view.as_of ? to_integer(*view.as_of) : forever;
    const auto host =
        host_at(store, id, text_of_id(store.db, "SELECT name FROM host WHERE id = ?", id), limits);
    return {{"type", "host"},
            {"name", json_text(host.name)},
            {"uri", text_or_null(host.uri)},
            {"uuid", text_or_null(host.uuid)},
            {"state", host.removed ? "removed" : host.state},
            {"labels", host.labels}};
}

Json Query::item(Node node)
{
    switch (node.kind) {
    case Kind::source:
        return impl_->source_item(node.id);
    case Kind::artifact:
        return impl_->artifact_item(node);
    case Kind::package:
        return impl_->package_item(node.id);
    case Kind::image:
        return impl_->image_item(node.id);
    case Kind::vm:
        return impl_->vm_item(node.id);
    case Kind::host:
        return impl_->host_item(node.id);
    }
    throw Error(ErrorCode::corrupt, "a node of an unknown kind");
}

namespace {

std::string sort_text(const Json& item, std::string_view key)
{
    const auto found = item.find(key);
    if (found == item.end() || found->is_null()) {
        return {};
    }
    return found->is_string() ? found->get<std::string>() : found->dump();
}

/// What makes an item one and the same for whoever reads the answer, and how items are sorted.
std::vector<std::string> identity(Kind kind, const Json& item)
{
    switch (kind) {
    case Kind::source: {
        // What people wrote comes first, the system's headers and tools after it.
        const auto repo = sort_text(item, "repo");
        return {repo.empty() ? "1" : "0", repo, sort_text(item, "path"), sort_text(item, "sha256")};
    }
    case Kind::artifact:
        return {sort_text(item, "repo"), sort_text(item, "name"), sort_text(item, "sha256")};
    case Kind::package:
        return {sort_text(item, "name"),
                sort_text(item, "version"),
                sort_text(item, "arch"),
                sort_text(item, "sha256")};
    case Kind::image:
        return {sort_text(item, "name"), sort_text(item, "digest")};
    case Kind::vm:
        return {sort_text(item, "name"), sort_text(item, "uuid")};
    case Kind::host:
        return {sort_text(item, "name")};
    }
    return {};
}

} // namespace

Json Query::items(const Nodes& nodes)
{
    std::map<std::pair<Kind, std::vector<std::string>>, std::pair<Node, Json>> sorted;
    for (const auto node : nodes) {
        auto found = item(node);
        auto key = std::pair(node.kind, identity(node.kind, found));
        const auto known = sorted.find(key);
        if (known == sorted.end()) {
            sorted.emplace(std::move(key), std::pair(node, std::move(found)));
        } else if (node.kind == Kind::artifact) {
            // Of several builds that made the same artifact, the newest speaks.
            const auto build = Output::of(node).build;
            if (impl_->newer(Output::of(known->second.first).build, build) == build) {
                known->second = {node, std::move(found)};
            }
        }
    }
    Json items = Json::array();
    for (auto& [key, entry] : sorted) {
        items.push_back(std::move(entry.second));
    }
    return items;
}

Json Query::link_item(const Link& link)
{
    Json item = {{"from", this->item(link.from)},
                 {"to", this->item(link.to)},
                 {"relation", link.relation},
                 {"event", nullptr},
                 {"step", nullptr},
                 {"inferred", link.inferred},
                 {"basis", text_or_null(link.basis)}};
    auto& row = impl_->store.db.cached(
        "SELECT event.at, event.kind, origin.name, event.oseq FROM event JOIN origin "
        "ON origin.id = event.origin WHERE seq = ?");
    row.bind(link.seq);
    if (row.step()) {
        item["event"] = {{"seq", link.seq},
                         {"at", format_time(to_time(row.integer(0)))},
                         {"kind", row.text(1)},
                         {"origin", row.text(2)},
                         {"oseq", row.integer(3)}};
    }
    row.reset();
    if (link.step >= 0) {
        const auto manifest =
            impl_->store.event_at(link.seq).body.value("manifest", Json::object());
        const auto steps = manifest.find("steps");
        if (steps != manifest.end() && steps->is_array() &&
            static_cast<std::size_t>(link.step) < steps->size()) {
            const auto& step = (*steps)[static_cast<std::size_t>(link.step)];
            item["step"] = {{"index", link.step},
                            {"argv", step.value("argv", Json::array())},
                            {"cwd", step.value("cwd", Json(nullptr))},
                            {"target", step.value("target", Json(nullptr))}};
        }
    }
    return item;
}

std::optional<Time> Query::first_seen(Node node)
{
    auto& db = impl_->store.db;
    const auto known_at = impl_->graph.known_at();
    const auto ask = [&](std::string_view sql, std::int64_t id) -> std::optional<Time> {
        auto& row = db.cached(sql);
        row.bind(id, known_at);
        const auto at = one_integer(row);
        return at ? std::optional(to_time(*at)) : std::nullopt;
    };
    switch (node.kind) {
    case Kind::source:
        return impl_->view.known_at
                   ? ask("SELECT min(b.finished) FROM file_use f JOIN build b ON b.id = f.build "
                         "WHERE "
                         "f.version = ? "
                         "AND b.seq <= ?",
                         node.id)
                   : ask("SELECT first FROM version WHERE id = ? AND ?2 >= 0", node.id);
    case Kind::artifact:
        return ask("SELECT finished FROM build WHERE id = ? AND seq <= ?", Output::of(node).build);
    case Kind::package:
        return ask("SELECT min(at) FROM packed WHERE package = ? AND seq <= ?", node.id);
    case Kind::image:
        return ask("SELECT min(at) FROM image_name WHERE image = ? AND seq <= ? AND retired = 0",
                   node.id);
    case Kind::vm:
        return ask("SELECT min(since) FROM vm_span WHERE vm = ? AND seq <= ?", node.id);
    case Kind::host:
        return ask("SELECT min(at) FROM host_event WHERE host = ? AND seq <= ?", node.id);
    }
    return std::nullopt;
}

} // namespace stemma::lineage
