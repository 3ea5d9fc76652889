#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::config {

/// A read-only view of one node of a YAML document that knows where it stands. Every complaint is
/// an Error(config) that reads "FILE:LINE:COLUMN: …". Cheap to copy; keeps the document alive.
class Node {
public:
    using Variables = std::map<std::string, std::string>;

    /// name  what the messages call the text (the file's path)
    /// throws  config: not YAML, an anchor cycle, deeper than 64 levels, over 1 MiB, or a key twice
    static Node parse(std::string_view text, std::string name);
    static Node load(const std::filesystem::path& path);

    /// This with `over` on top: maps are joined key by key, lists whose elements all have a `name`
    /// element by element, and everything else is replaced. Every value keeps the place, and the
    /// folder, of the file that it came from.
    [[nodiscard]] Node overlaid_by(const Node& over) const;
    /// This with each ${NAME} in its values (not in its keys) replaced; once, so that a value may
    /// contain anything.
    /// throws  config: a name that has no value, with the nearest one that has
    [[nodiscard]] Node with_variables(const Variables& variables) const;

    [[nodiscard]] bool is_null() const;
    [[nodiscard]] bool is_map() const;
    [[nodiscard]] bool is_list() const;
    [[nodiscard]] bool is_scalar() const;

    /// The member of a map, or nullopt when it is missing. Asked-for keys count as known.
    [[nodiscard]] std::optional<Node> find(std::string_view key) const;
    /// The member of a map; throws when it is missing.
    [[nodiscard]] Node at(std::string_view key) const;
    /// Keys of a map with their nodes, in the file's order.
    [[nodiscard]] std::vector<std::pair<std::string, Node>> members() const;
    /// Elements of a list.
    [[nodiscard]] std::vector<Node> elements() const;

    [[nodiscard]] std::string text() const; ///< any scalar, as it is written
    [[nodiscard]] std::int64_t integer() const;
    [[nodiscard]] double number() const;
    [[nodiscard]] bool boolean() const; ///< true/false/yes/no/on/off
    /// A list of scalars, or one scalar.
    [[nodiscard]] std::vector<std::string> texts() const;

    /// A whole number within [low, high]; throws when it is outside.
    [[nodiscard]] std::int64_t integer_within(std::int64_t low, std::int64_t high) const;
    /// One of `choices`; throws with the nearest one named.
    [[nodiscard]] std::string one_of(const std::vector<std::string>& choices) const;

    /// Refuses every key of this map that is not in `known`, with its place and the nearest name.
    void allow_only(const std::vector<std::string>& known) const;

    /// throws Error(config) "FILE:LINE:COLUMN: <message>".
    [[noreturn]] void refuse(std::string_view message, std::string hint = {}) const;
    /// The same with the place of a key of this map.
    [[noreturn]] void
    refuse_key(std::string_view key, std::string_view message, std::string hint = {}) const;
    /// "FILE:LINE:COLUMN"
    [[nodiscard]] std::string place() const;
    [[nodiscard]] int line() const; ///< from 1
    /// Folder of the file; relative paths in it are relative to this.
    [[nodiscard]] std::filesystem::path folder() const;

private:
    struct Document;
    struct Value;
    struct Trees;
    Node(std::shared_ptr<const Document> document, const Value* value)
        : document_(std::move(document)), value_(value)
    {
    }
    static const char* kind_name(const Value& value);

    std::shared_ptr<const Document> document_;
    const Value* value_;
};

} // namespace stemma::config
