#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/command.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/lineage/query.hpp"

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// What the commands that ask the lineage share: selectors, filters, and how answers are shown.
namespace stemma::cli {

/// The options of every question; `more` come first.
std::vector<Option> question_options(std::vector<Option> more = {});
/// Two paragraphs for --help: selectors and times.
inline constexpr std::string_view selector_help =
    "Selectors: file:PATH[@REV], blob:ID, commit:A[..B], repo:NAME, build:ID, "
    "artifact:SHA|NAME|BUILDID, package:NAME[<=>VERSION], image:NAME|DIGEST, release:NAME, "
    "vm:NAME|UUID, host:NAME, snapshot:ID, event:KIND[=WORD][@TIME]; names may be patterns ('*', "
    "'?', '[a-z]'; in paths '**' crosses folders). Sets: A + B, A & B, A - B, parentheses; @FILE "
    "and - read selectors, or items of --format ndjson, one a line.\n\n"
    "TIME is RFC 3339 (2026-02-03T04:05:06Z) or an age: 90s, 15m, 2h, 3d, 1w.";

/// One question being answered.
class Question {
public:
    /// Reads the filters and opens the store for reading.
    Question(Context& context, const Args& args);

    lineage::Query& query() noexcept { return *query_; }
    /// Nodes of words that are one set.
    lineage::Nodes select(std::span<const std::string> words);
    /// Without what the filters leave out by kind or by time.
    [[nodiscard]] lineage::Nodes filtered(const lineage::Nodes& nodes);
    [[nodiscard]] bool wants(lineage::Kind kind) const;
    /// Kinds that --to names; empty: all.
    [[nodiscard]] const std::set<lineage::Kind>& kinds() const noexcept { return kinds_; }
    [[nodiscard]] std::optional<lineage::Kind> only_kind() const;
    [[nodiscard]] bool in_period(Time at) const;

    /// Applies --state and --limit, shows in the chosen form, and gives the exit status. The last
    /// thing that is done: the query is over before anything is printed.
    int answer(std::string_view schema, Json items, const std::vector<Column>& columns);
    /// The same for items of several kinds: a table has a part for each.
    int answer_by_kind(std::string_view schema, Json items);

    /// Items that --state and --limit leave.
    [[nodiscard]] Json kept(Json items) const;
    /// Ledger position of the answer.
    [[nodiscard]] std::uint64_t seq() const noexcept { return seq_; }
    /// Reports gaps alone, for forms of their own. Gives the exit status.
    int report();

private:
    bool keeps(const Json& item) const;
    int show_names(const Json& items);
    int finish(std::size_t count, int status) const;
    Answer make_answer(std::string_view schema, Json items);
    void show_parts(const Answer& answer);

    Context& context_;
    const Args& args_;
    lineage::View view_;
    std::set<lineage::Kind> kinds_;
    std::set<std::string> states_;
    std::optional<Time> since_;
    std::optional<Time> until_;
    std::optional<std::uint64_t> limit_;
    std::uint64_t seq_ = 0;
    std::unique_ptr<lineage::Query> query_;
    std::optional<std::vector<lineage::Gap>> gaps_; ///< of the query, when it is over
};

/// Columns of a table of one kind of items.
const std::vector<Column>& columns_of(lineage::Kind kind);
/// The name of an item for people and for -0: path, name, purl or digest.
std::string name_of_item(const Json& item);

int run_where(Context& context, const Args& args);
int run_what(Context& context, const Args& args);
int run_why(Context& context, const Args& args);
int run_log(Context& context, const Args& args);
int run_outdated(Context& context, const Args& args);
int run_channel_set(Context& context, const Args& args);
int run_channel_list(Context& context, const Args& args);
int run_common(Context& context, const Args& args);
int run_diff(Context& context, const Args& args);
int run_ingest(Context& context, const Args& args);

/// The rows of `stemma run` and `stemma push`.
Command run_row();
Command push_row();

} // namespace stemma::cli
