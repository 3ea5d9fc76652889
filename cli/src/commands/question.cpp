#include "question.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

namespace stemma::cli {

using lineage::Kind;

std::vector<Option> question_options(std::vector<Option> more)
{
    const std::vector<Option> common = {
        {.name = "to",
         .value = "KINDS",
         .help =
             "only these: sources, artifacts, packages, images, vms, hosts; several with commas"},
        {.name = "as-of", .value = "TIME", .help = "as the world was then"},
        {.name = "known-at", .value = "SEQ", .help = "with what the ledger held at this position"},
        {.name = "since", .value = "TIME", .help = "only what came to be at or after TIME"},
        {.name = "until", .value = "TIME", .help = "only what came to be before TIME"},
        {.name = "state",
         .value = "STATES",
         .help = "only these: clean, dirty, untracked, generated, system of sources; running, "
                 "stopped, … of VMs; up, down of hosts"},
        {.name = "limit", .value = "N", .help = "no more than N items"},
        {.name = "count", .value = "", .help = "print how many there are, and nothing else"},
        {.name = "null",
         .value = "",
         .help = "names alone, each ended by a zero byte",
         .letter = '0'},
        {.name = "fail-empty", .value = "", .help = "exit 1 when nothing was found"},
    };
    more.insert(more.end(), common.begin(), common.end());
    return more;
}

namespace {

std::string read_selector_file(const std::string& name)
{
    return name == "-" ? read_file("/dev/stdin") : read_file(name);
}

std::set<Kind> kinds_of(const std::string& words)
{
    std::set<Kind> kinds;
    for (const auto word : split(words, ',')) {
        const auto kind = lineage::kind_from(word);
        if (!kind) {
            const std::vector<std::string> known = {
                "sources", "artifacts", "packages", "images", "vms", "hosts"};
            const auto near = nearest(word, known);
            throw Error(ErrorCode::usage,
                        fmt::format("--to knows no '{}'", printable(word)),
                        near ? fmt::format("did you mean {}?", *near)
                             : fmt::format("it knows {}", join(known, ", ")));
        }
        kinds.insert(*kind);
    }
    return kinds;
}

} // namespace

Question::Question(Context& context, const Args& args) : context_(context), args_(args)
{
    const auto now = context.clock().now();
    const auto time = [&](std::string_view option) -> std::optional<Time> {
        const auto text = args.value(option);
        return text ? std::optional(parse_time_or_age(*text, now)) : std::nullopt;
    };
    view_.as_of = time("as-of");
    since_ = time("since");
    until_ = time("until");
    limit_ = args.number("limit", 0, 1'000'000'000);
    if (const auto to = args.value("to")) {
        kinds_ = kinds_of(*to);
    }
    if (const auto states = args.value("state")) {
        for (const auto state : split(*states, ',')) {
            states_.emplace(state);
        }
    }
    auto& store = context.store(lineage::Store::Mode::read);
    seq_ = store.last_seq();
    if (const auto known_at = args.number("known-at", 0, ~0ULL >> 1U)) {
        if (*known_at > seq_) {
            throw Error(ErrorCode::usage,
                        fmt::format("--known-at {}: the ledger ends at {}", *known_at, seq_));
        }
        view_.known_at = known_at;
        seq_ = *known_at;
    }
    query_ = std::make_unique<lineage::Query>(store, view_);
}

lineage::Nodes Question::select(std::span<const std::string> words)
{
    return query_->select(lineage::parse_selection(words, read_selector_file));
}

bool Question::wants(Kind kind) const
{
    return kinds_.empty() || kinds_.count(kind) != 0;
}

std::optional<Kind> Question::only_kind() const
{
    return kinds_.size() == 1 ? std::optional(*kinds_.begin()) : std::nullopt;
}

bool Question::in_period(Time at) const
{
    return (!since_ || at >= *since_) && (!until_ || at < *until_);
}

lineage::Nodes Question::filtered(const lineage::Nodes& nodes)
{
    lineage::Nodes kept;
    for (const auto node : nodes) {
        if (!wants(node.kind)) {
            continue;
        }
        const bool timed = since_ || until_ || view_.as_of;
        const auto at = timed ? query_->first_seen(node) : std::nullopt;
        const bool too_new = view_.as_of && at && *at > *view_.as_of;
        const bool out_of_period = (since_ || until_) && (!at || !in_period(*at));
        if (!too_new && !out_of_period) {
            kept.insert(node);
        }
    }
    return kept;
}

bool Question::keeps(const Json& item) const
{
    if (states_.empty()) {
        return true;
    }
    const auto state = item.find("state");
    return state != item.end() && state->is_string() &&
           states_.count(state->get<std::string>()) != 0;
}

Json Question::kept(Json items) const
{
    Json left = Json::array();
    for (auto& item : items) {
        if (keeps(item) && (!limit_ || left.size() < *limit_)) {
            left.push_back(std::move(item));
        }
    }
    return left;
}

Answer Question::make_answer(std::string_view schema, Json items)
{
    Answer answer;
    answer.schema = schema;
    answer.as_of = view_.as_of;
    answer.seq = seq_;
    Json kept = Json::array();
    for (auto& item : items) {
        if (keeps(item)) {
            kept.push_back(std::move(item));
        }
    }
    answer.extra["total"] = kept.size();
    if (limit_ && kept.size() > *limit_) {
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(*limit_), kept.end());
    }
    answer.items = std::move(kept);
    gaps_ = query_->gaps();
    answer.gaps = *gaps_;
    answer.gaps_are_all = true;
    answer.extra["dirty_builds"] = query_->dirty_builds();
    // Whoever reads the answer may take long (a pager): the store's past is not held meanwhile.
    query_.reset();
    return answer;
}

int Question::finish(std::size_t count, int status) const
{
    if (count == 0 && status == 0 && args_.has("fail-empty")) {
        return 1;
    }
    return status;
}

std::string name_of_item(const Json& item)
{
    for (const auto* key : {"path", "purl", "name", "digest", "sha256", "uuid"}) {
        const auto found = item.find(key);
        const bool artifact_path =
            std::string_view(key) == "path" && item.value("type", "") == "artifact";
        if (found != item.end() && !found->is_null() && !artifact_path) {
            return text_of(*found, key);
        }
    }
    return {};
}

int Question::show_names(const Json& items)
{
    std::string text;
    for (const auto& item : items) {
        text += name_of_item(item);
        text += '\0';
    }
    context_.out(text);
    return 0;
}

namespace {

void warn_of_dirty_builds(Context& context, const Answer& answer)
{
    if (context.format != Format::table) {
        return;
    }
    for (const auto& build : answer.extra["dirty_builds"]) {
        context.log().warning("build {} was made with uncommitted changes in {} file(s)",
                              build["build"].get<std::string>(),
                              build["dirty"].get<std::int64_t>());
    }
}

} // namespace

int Question::report()
{
    const auto gaps = gaps_ ? *gaps_ : query_->gaps();
    for (const auto& gap : gaps) {
        context_.log().warning("incomplete: {}: {}", printable(gap.what), printable(gap.reason));
    }
    return gaps.empty() ? 0 : 4;
}

int Question::answer(std::string_view schema, Json items, const std::vector<Column>& columns)
{
    const auto answer = make_answer(schema, std::move(items));
    warn_of_dirty_builds(context_, answer);
    const auto total = answer.extra["total"].get<std::size_t>();
    if (args_.has("count")) {
        context_.out(fmt::format("{}\n", total));
        return finish(total, report());
    }
    if (args_.has("null")) {
        show_names(answer.items);
        return finish(total, report());
    }
    return finish(total, show(context_, answer, columns));
}

const std::vector<Column>& columns_of(Kind kind)
{
    using Style = Column::Style;
    static const std::vector<Column> sources = {
        {.title = "PATH", .member = "path"},
        {.title = "REV", .member = "rev", .style = Style::digest},
        {.title = "STATE", .member = "state"},
        {.title = "BLOB", .member = "blob", .style = Style::digest},
        {.title = "REPO", .member = "repo"}};
    static const std::vector<Column> artifacts = {
        {.title = "NAME", .member = "name"},
        {.title = "KIND", .member = "kind"},
        {.title = "SHA256", .member = "sha256", .style = Style::digest},
        {.title = "BUILD-ID", .member = "build_id", .style = Style::digest},
        {.title = "REV", .member = "rev", .style = Style::digest},
        {.title = "REPO", .member = "repo"}};
    static const std::vector<Column> packages = {
        {.title = "NAME", .member = "name"},
        {.title = "VERSION", .member = "version"},
        {.title = "ARCH", .member = "arch"},
        {.title = "SHA256", .member = "sha256", .style = Style::digest},
        {.title = "REV", .member = "rev", .style = Style::digest},
        {.title = "REPO", .member = "repo"}};
    static const std::vector<Column> images = {
        {.title = "NAME", .member = "name"},
        {.title = "DIGEST", .member = "digest", .style = Style::digest},
        {.title = "PARENT", .member = "parent", .style = Style::digest},
        {.title = "STATE", .member = "state"},
        {.title = "CREATED", .member = "created", .style = Style::time}};
    static const std::vector<Column> vms = {
        {.title = "NAME", .member = "name"},
        {.title = "HOST", .member = "host"},
        {.title = "STATE", .member = "state"},
        {.title = "IMAGE", .member = "image", .style = Style::digest},
        {.title = "SINCE", .member = "since", .style = Style::time},
        {.title = "UUID", .member = "uuid"}};
    static const std::vector<Column> hosts = {{.title = "NAME", .member = "name"},
                                              {.title = "STATE", .member = "state"},
                                              {.title = "URI", .member = "uri"}};
    switch (kind) {
    case Kind::source:
        return sources;
    case Kind::artifact:
        return artifacts;
    case Kind::package:
        return packages;
    case Kind::image:
        return images;
    case Kind::vm:
        return vms;
    case Kind::host:
        break;
    }
    return hosts;
}

namespace {

constexpr std::array<Kind, 6> all_kinds = {
    Kind::source, Kind::artifact, Kind::package, Kind::image, Kind::vm, Kind::host};

constexpr std::array<std::string_view, 6> titles = {
    "SOURCES", "ARTIFACTS", "PACKAGES", "IMAGES", "VMS", "HOSTS"};

/// Every member that some kind has, for CSV.
std::vector<Column> columns_of_all()
{
    std::vector<Column> columns = {{.title = "TYPE", .member = "type"}};
    for (const auto kind : all_kinds) {
        for (const auto& column : columns_of(kind)) {
            const bool known =
                std::any_of(columns.begin(), columns.end(), [&](const Column& other) {
                    return other.member == column.member;
                });
            if (!known) {
                columns.push_back(column);
            }
        }
    }
    return columns;
}

} // namespace

void Question::show_parts(const Answer& answer)
{
    bool first = true;
    for (const auto kind : all_kinds) {
        Json part = Json::array();
        std::size_t system = 0;
        for (const auto& item : answer.items) {
            if (item["type"] != lineage::to_string(kind)) {
                continue;
            }
            // Headers of the toolchain would hide what people wrote; asked for, they are shown.
            if (kind == Kind::source && item["state"] == "system" && kinds_.empty() &&
                states_.empty()) {
                ++system;
            } else {
                part.push_back(item);
            }
        }
        if (part.empty() && system == 0) {
            continue;
        }
        context_.out(
            fmt::format("{}{}\n", first ? "" : "\n", titles[static_cast<std::size_t>(kind)]));
        first = false;
        if (!part.empty()) {
            context_.out(format_table(part, columns_of(kind), context_.colour, std::string::npos));
        }
        if (system != 0) {
            context_.out(
                fmt::format("… and {} files of the system (--to sources shows them)\n", system));
        }
    }
    if (first && !context_.quiet) {
        context_.log().info("nothing found");
    }
}

int Question::answer_by_kind(std::string_view schema, Json items)
{
    if (const auto kind = only_kind()) {
        return answer(schema, std::move(items), columns_of(*kind));
    }
    const bool special = args_.has("count") || args_.has("null");
    if (context_.format != Format::table || special) {
        return answer(schema, std::move(items), columns_of_all());
    }
    const auto made = make_answer(schema, std::move(items));
    warn_of_dirty_builds(context_, made);
    show_parts(made);
    return finish(made.items.size(), report());
}

} // namespace stemma::cli
