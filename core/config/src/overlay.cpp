// What is done to whole documents: one laid over another, and variables filled in.

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "value.hpp"

namespace stemma::config {

namespace {

bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

} // namespace

/// Functions over values that only members of Node may name.
struct Node::Trees {
    static void move_to_file(Value& value, std::size_t file_offset)
    {
        value.mark.file += file_offset;
        for (auto& mark : value.key_marks) {
            mark.file += file_offset;
        }
        for (auto& element : value.elements) {
            move_to_file(element, file_offset);
        }
    }

    static const Value* member(const Value& map, std::string_view key)
    {
        const auto found = std::ranges::find(map.keys, key);
        return found == map.keys.end()
                   ? nullptr
                   : &map.elements[static_cast<std::size_t>(found - map.keys.begin())];
    }

    /// The scalar `name` of a map; nullopt for anything else.
    static std::optional<std::string> name_of(const Value& value)
    {
        const auto* name = value.kind == Value::Kind::map ? member(value, "name") : nullptr;
        return name != nullptr && name->kind == Value::Kind::scalar ? std::optional(name->scalar)
                                                                    : std::nullopt;
    }

    static bool all_named(const Value& list)
    {
        return list.kind == Value::Kind::list &&
               std::ranges::all_of(list.elements,
                                   [](const Value& value) { return name_of(value).has_value(); });
    }

    static void lay_over(Value& base, Value over)
    {
        if (base.kind == Value::Kind::map && over.kind == Value::Kind::map) {
            join_maps(base, std::move(over));
        } else if (all_named(base) && all_named(over)) {
            join_lists(base, std::move(over));
        } else {
            base = std::move(over);
        }
    }

    static void join_maps(Value& base, Value over)
    {
        for (std::size_t i = 0; i < over.keys.size(); ++i) {
            const auto found = std::ranges::find(base.keys, over.keys[i]);
            if (found == base.keys.end()) {
                base.keys.push_back(std::move(over.keys[i]));
                base.key_marks.push_back(over.key_marks[i]);
                base.elements.push_back(std::move(over.elements[i]));
            } else {
                const auto at = static_cast<std::size_t>(found - base.keys.begin());
                base.key_marks[at] = over.key_marks[i];
                lay_over(base.elements[at], std::move(over.elements[i]));
            }
        }
    }

    static void join_lists(Value& base, Value over)
    {
        for (auto& element : over.elements) {
            const auto name = name_of(element);
            const auto found = std::ranges::find_if(
                base.elements, [&](const Value& value) { return name_of(value) == name; });
            if (found == base.elements.end()) {
                base.elements.push_back(std::move(element));
            } else {
                lay_over(*found, std::move(element));
            }
        }
    }

    static void fill_in(const Document& document, Value& value, const Variables& variables)
    {
        if (value.kind == Value::Kind::scalar) {
            value.scalar = filled_in(document, value, variables);
        }
        for (auto& element : value.elements) {
            fill_in(document, element, variables);
        }
    }

    /// "$${" stands for "${"; a "$" before anything else for itself.
    static std::string
    filled_in(const Document& document, const Value& value, const Variables& variables)
    {
        const std::string_view text = value.scalar;
        std::string filled;
        std::size_t at = 0;
        while (at < text.size()) {
            const auto rest = text.substr(at);
            if (rest.starts_with("$${")) {
                filled += "${";
                at += 3;
            } else if (rest.starts_with("${")) {
                const auto name = name_in(document, value, rest);
                filled += look_up(document, value, name, variables);
                at += name.size() + 3;
            } else {
                filled += text[at++];
            }
        }
        return filled;
    }

    static std::string
    name_in(const Document& document, const Value& value, std::string_view reference)
    {
        const auto close = reference.find('}');
        const auto name = reference.substr(2, close == std::string_view::npos ? close : close - 2);
        if (close == std::string_view::npos || name.empty() ||
            !std::ranges::all_of(name, is_name_character)) {
            throw Error(ErrorCode::config,
                        fmt::format("{}: not a variable: {}",
                                    document.place(value.mark),
                                    printable(reference.substr(0, 40))),
                        "write ${NAME}; $${ stands for ${ itself");
        }
        return std::string(name);
    }

    static std::string look_up(const Document& document,
                               const Value& value,
                               const std::string& name,
                               const Variables& variables)
    {
        if (const auto found = variables.find(name); found != variables.end()) {
            return found->second;
        }
        std::vector<std::string> names;
        for (const auto& [known, text] : variables) {
            names.push_back(known);
        }
        const auto near = nearest(name, names);
        throw Error(ErrorCode::config,
                    fmt::format("{}: no variable '{}' is set", document.place(value.mark), name),
                    near ? fmt::format("did you mean '{}'?", *near)
                         : "name it under `variables`, or give it a value on the command line");
    }
};

Node Node::overlaid_by(const Node& over) const
{
    auto document = std::make_shared<Document>(*document_);
    document->root = *value_;
    auto upper = *over.value_;
    Trees::move_to_file(upper, document->names.size());
    document->names.insert(
        document->names.end(), over.document_->names.begin(), over.document_->names.end());
    Trees::lay_over(document->root, std::move(upper));
    const auto* root = &document->root;
    return {std::move(document), root};
}

Node Node::with_variables(const Variables& variables) const
{
    auto document = std::make_shared<Document>(*document_);
    document->root = *value_;
    Trees::fill_in(*document, document->root, variables);
    const auto* root = &document->root;
    return {std::move(document), root};
}

} // namespace stemma::config
