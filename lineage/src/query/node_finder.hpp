#pragma once

#include "stemma/core/error.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "query_impl.hpp"

/// What one selector names, in a view.
namespace stemma::lineage {

/// Digits of a digest that are enough to name a thing.
inline constexpr std::size_t shortest_prefix = 8;

bool is_pattern(std::string_view text);
bool is_hex(std::string_view text);
/// The smallest text above every text that begins with `prefix`.
std::string after(const std::string& prefix);
/// First and last digest of a hexadecimal prefix, as bytes.
std::pair<std::string, std::string> digest_range(const std::string& low);
/// not_found, for the caller to throw.
Error nothing(std::string what, std::string hint = {});

/// Finds what one selector names: one function for each kind of selector.
/// throws  not_found: the selector names one thing, and nothing has that name; usage
class NodeFinder {
public:
    NodeFinder(Query::Impl& query, const std::string& value)
        : query_(query), db_(query.store.db), value_(value)
    {
    }

    Nodes file();
    Nodes blob();
    Nodes commit();
    Nodes repo();
    Nodes build();
    Nodes artifact();
    Nodes package();
    Nodes image();
    Nodes release();
    Nodes vm();
    Nodes host();
    Nodes snapshot();
    Nodes event();

private:
    std::vector<std::int64_t> elements(const std::string& path);
    /// Builds of a commit (a prefix of its id), or of a branch.
    std::vector<std::int64_t> builds_at(const std::string& revision);
    Nodes versions_at(const std::vector<std::int64_t>& elements,
                      const std::vector<std::int64_t>& builds);
    void add_version(std::int64_t version, Nodes& nodes);
    Nodes outputs(const std::vector<std::int64_t>& builds);
    Nodes sources(const std::vector<std::int64_t>& builds);
    Nodes versions(sqlite::Statement& rows);
    Nodes rows_of(Kind kind, std::string_view name, std::string_view exact, std::string_view all);
    std::optional<std::string> nearest_path(const std::string& path);

    Query::Impl& query_;
    sqlite::Database& db_;
    const std::string& value_;
};

} // namespace stemma::lineage
