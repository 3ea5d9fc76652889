#pragma once

#include "stemma/cli/context.hpp"
#include "stemma/core/json.hpp"
#include "stemma/lineage/store.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::cli {

/// How one member of an item is shown in a table or in CSV.
struct Column {
    std::string_view title;  ///< upper case in the table's head
    std::string_view member; ///< of the item; "a.b" goes into objects
    enum class Align { left, right } align = Align::left;
    enum class Style { plain, digest, time, size } style = Style::plain; ///< tables only
};

/// An answer in the form that every format shares: {schema, as_of, seq, complete, gaps, items}.
struct Answer {
    std::string schema; ///< "stemma.where/1"
    std::optional<Time> as_of;
    std::optional<std::uint64_t> seq;
    std::vector<lineage::Gap> gaps; ///< not empty: the answer is known to be incomplete
    /// The gaps are those of a lineage::Query, which knows also what the store itself may miss.
    bool gaps_are_all = false;
    Json items = Json::array();  ///< objects, every member present
    Json extra = Json::object(); ///< more members beside "items"
};

/// Prints an answer in the format that the user asked for. Tables: aligned, no wider than the
/// terminal where that is one, heads and states coloured on a terminal only, gaps as warnings.
/// returns  the exit status: 0, or 4 when the answer is incomplete
int show(Context& context, const Answer& answer, const std::vector<Column>& columns);

/// "1 step", "2 steps".
std::string counted(std::size_t number, std::string_view noun);

/// A table alone, for parts of a longer text.
std::string
format_table(const Json& items, const std::vector<Column>& columns, bool colour, std::size_t width);

} // namespace stemma::cli
