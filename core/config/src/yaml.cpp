#include "stemma/config/yaml.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "value.hpp"

namespace stemma::config {

namespace {

constexpr int deepest = 64;
constexpr std::size_t largest = std::size_t{1} << 20U;
/// Aliases can multiply a small file into a huge tree ("billion laughs").
constexpr std::size_t most_nodes = 200'000;

Mark mark_of(const YAML::Mark& mark)
{
    return {.file = 0, .line = mark.line + 1, .column = mark.column + 1};
}

struct Converter {
    const std::string& name;
    std::size_t nodes = 0;

    [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& message) const
    {
        throw Error(ErrorCode::config,
                    fmt::format("{}:{}:{}: {}", name, mark.line + 1, mark.column + 1, message));
    }

    template <typename Value>
    Value convert(const YAML::Node& node, int depth)
    {
        if (depth > deepest) {
            refuse(node.Mark(), fmt::format("nested deeper than {} levels", deepest));
        }
        if (++nodes > most_nodes) {
            refuse(node.Mark(), "too many values (aliases that multiply?)");
        }
        Value value;
        value.mark = mark_of(node.Mark());
        if (node.IsScalar()) {
            value.kind = Value::Kind::scalar;
            value.scalar = node.Scalar();
        } else if (node.IsSequence()) {
            value.kind = Value::Kind::list;
            for (const auto& element : node) {
                value.elements.push_back(convert<Value>(element, depth + 1));
            }
        } else if (node.IsMap()) {
            value.kind = Value::Kind::map;
            convert_members(node, value, depth);
        }
        return value;
    }

    template <typename Value>
    void convert_members(const YAML::Node& node, Value& value, int depth)
    {
        std::map<std::string, int> seen;
        for (const auto& entry : node) {
            if (!entry.first.IsScalar()) {
                refuse(entry.first.Mark(), "a key must be a plain text");
            }
            const auto& key = entry.first.Scalar();
            const auto [place, fresh] = seen.emplace(key, entry.first.Mark().line + 1);
            if (!fresh) {
                refuse(
                    entry.first.Mark(),
                    fmt::format("key '{}' is here twice (first in line {})", key, place->second));
            }
            value.keys.push_back(key);
            value.key_marks.push_back(mark_of(entry.first.Mark()));
            value.elements.push_back(convert<Value>(entry.second, depth + 1));
        }
    }
};

} // namespace

Node Node::parse(std::string_view text, std::string name)
{
    if (text.size() > largest) {
        throw Error(ErrorCode::config, fmt::format("{}: larger than {} bytes", name, largest));
    }
    auto document = std::make_shared<Document>();
    document->names.push_back(std::move(name));
    Converter converter{document->names.front()};
    try {
        document->root = converter.convert<Value>(YAML::Load(std::string(text)), 0);
    } catch (const YAML::Exception& failure) {
        converter.refuse(failure.mark, fmt::format("not valid YAML: {}", failure.msg));
    }
    const auto* root = &document->root;
    return {std::move(document), root};
}

Node Node::load(const std::filesystem::path& path)
{
    return parse(read_file(path, largest), path.string());
}

const char* Node::kind_name(const Value& value)
{
    switch (value.kind) {
    case Value::Kind::null:
        return "nothing";
    case Value::Kind::scalar:
        return "a single value";
    case Value::Kind::list:
        return "a list";
    case Value::Kind::map:
        return "a map of keys";
    }
    return "nothing";
}

bool Node::is_null() const
{
    return value_->kind == Value::Kind::null;
}

bool Node::is_map() const
{
    return value_->kind == Value::Kind::map;
}

bool Node::is_list() const
{
    return value_->kind == Value::Kind::list;
}

bool Node::is_scalar() const
{
    return value_->kind == Value::Kind::scalar;
}

std::optional<Node> Node::find(std::string_view key) const
{
    if (is_null()) {
        return std::nullopt;
    }
    if (!is_map()) {
        refuse(fmt::format("expected a map of keys, found {}", kind_name(*value_)));
    }
    for (std::size_t i = 0; i < value_->keys.size(); ++i) {
        if (value_->keys[i] == key) {
            return Node(document_, &value_->elements[i]);
        }
    }
    return std::nullopt;
}

Node Node::at(std::string_view key) const
{
    if (auto found = find(key)) {
        return *std::move(found);
    }
    refuse(fmt::format("key '{}' is missing", key));
}

std::vector<std::pair<std::string, Node>> Node::members() const
{
    if (is_null()) {
        return {};
    }
    if (!is_map()) {
        refuse(fmt::format("expected a map of keys, found {}", kind_name(*value_)));
    }
    std::vector<std::pair<std::string, Node>> result;
    for (std::size_t i = 0; i < value_->keys.size(); ++i) {
        result.emplace_back(value_->keys[i], Node(document_, &value_->elements[i]));
    }
    return result;
}

std::vector<Node> Node::elements() const
{
    if (is_null()) {
        return {};
    }
    if (!is_list()) {
        refuse(fmt::format("expected a list, found {}", kind_name(*value_)));
    }
    std::vector<Node> result;
    for (const auto& value : value_->elements) {
        result.push_back(Node(document_, &value));
    }
    return result;
}

std::string Node::text() const
{
    if (!is_scalar()) {
        refuse(fmt::format("expected a single value, found {}", kind_name(*value_)));
    }
    return value_->scalar;
}

std::int64_t Node::integer() const
{
    const auto written = text();
    std::int64_t value = 0;
    const auto* end = written.data() + written.size();
    const auto [stop, failure] = std::from_chars(written.data(), end, value);
    if (failure != std::errc{} || stop != end) {
        refuse(fmt::format("expected a whole number, found '{}'", printable(written)));
    }
    return value;
}

double Node::number() const
{
    const auto written = text();
    double value = 0;
    const auto* end = written.data() + written.size();
    const auto [stop, failure] = std::from_chars(written.data(), end, value);
    if (failure != std::errc{} || stop != end) {
        refuse(fmt::format("expected a number, found '{}'", printable(written)));
    }
    return value;
}

bool Node::boolean() const
{
    const auto written = to_lower(text());
    if (written == "true" || written == "yes" || written == "on") {
        return true;
    }
    if (written == "false" || written == "no" || written == "off") {
        return false;
    }
    refuse(fmt::format("expected true or false, found '{}'", printable(written)));
}

std::vector<std::string> Node::texts() const
{
    std::vector<std::string> result;
    if (is_scalar()) {
        result.push_back(text());
        return result;
    }
    for (const auto& element : elements()) {
        result.push_back(element.text());
    }
    return result;
}

std::int64_t Node::integer_within(std::int64_t low, std::int64_t high) const
{
    const auto value = integer();
    if (value < low || value > high) {
        refuse(fmt::format("{} is outside {} to {}", value, low, high));
    }
    return value;
}

std::string Node::one_of(const std::vector<std::string>& choices) const
{
    auto written = text();
    for (const auto& choice : choices) {
        if (choice == written) {
            return written;
        }
    }
    const auto near = nearest(written, choices);
    refuse(fmt::format("'{}' is not one of {}", printable(written), join(choices, ", ")),
           near ? fmt::format("did you mean '{}'?", *near) : std::string{});
}

void Node::allow_only(const std::vector<std::string>& known) const
{
    (void)members(); // refuses what is no map
    for (const auto& key : value_->keys) {
        if (std::ranges::find(known, key) == known.end()) {
            const auto near = nearest(key, known);
            refuse_key(key,
                       fmt::format("unknown key '{}'", printable(key)),
                       near ? fmt::format("did you mean '{}'?", *near)
                            : fmt::format("known keys here: {}", join(known, ", ")));
        }
    }
}

void Node::refuse_key(std::string_view key, std::string_view message, std::string hint) const
{
    const auto found = std::ranges::find(value_->keys, key);
    const auto& mark =
        found == value_->keys.end()
            ? value_->mark
            : value_->key_marks[static_cast<std::size_t>(found - value_->keys.begin())];
    throw Error(
        ErrorCode::config, fmt::format("{}: {}", document_->place(mark), message), std::move(hint));
}

void Node::refuse(std::string_view message, std::string hint) const
{
    throw Error(ErrorCode::config, fmt::format("{}: {}", place(), message), std::move(hint));
}

std::string Node::Document::place(const Mark& mark) const
{
    return fmt::format("{}:{}:{}", names.at(mark.file), mark.line, mark.column);
}

std::string Node::place() const
{
    return document_->place(value_->mark);
}

int Node::line() const
{
    return value_->mark.line;
}

std::filesystem::path Node::folder() const
{
    return std::filesystem::path(document_->names.at(value_->mark.file)).parent_path();
}

} // namespace stemma::config
