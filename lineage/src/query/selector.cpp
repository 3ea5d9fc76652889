#include "stemma/lineage/selector.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <optional>

namespace stemma::lineage {

namespace {

constexpr std::size_t most_selectors = 100'000;
constexpr int deepest = 100;
constexpr std::string_view blanks = " \t\n";

Error wrong(std::string message, std::string hint = "`stemma where --help` lists them")
{
    return {ErrorCode::usage, std::move(message), std::move(hint)};
}

bool is_operator(std::string_view word)
{
    return word == "+" || word == "&" || word == "-" || word == "(" || word == ")";
}

bool has_known_kind(std::string_view word)
{
    const auto colon = word.find(':');
    const auto kinds = selector_kinds();
    return colon != std::string_view::npos &&
           std::find(kinds.begin(), kinds.end(), word.substr(0, colon)) != kinds.end();
}

/// An operator between blanks makes a word an expression of several selectors.
bool has_inner_operator(std::string_view word)
{
    const auto words = split_words(word);
    return std::any_of(words.begin(), words.end(), is_operator);
}

struct Token {
    std::string text;
    bool raw = false; ///< a selector as it stands, never an operator
};

/// Cuts one word that is an expression: blanks separate, quotes and backslashes keep together,
/// parentheses stand alone at the ends of a selector.
class Cutter {
public:
    Cutter(std::string_view text, std::vector<Token>& out) : text_(text), out_(out) {}

    void run()
    {
        while (at_ < text_.size()) {
            const char c = text_[at_];
            if (blanks.find(c) != std::string_view::npos) {
                ++at_;
            } else if (c == '(' || c == ')') {
                out_.push_back({std::string(1, c), false});
                ++at_;
            } else {
                selector();
            }
        }
    }

private:
    void selector()
    {
        Token token;
        int open = 0;
        char quote = 0;
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (quote != 0) {
                if (c == quote) {
                    quote = 0;
                } else {
                    token.text.push_back(c);
                }
            } else if (c == '\'' || c == '"') {
                quote = c;
                token.raw = true;
            } else if (c == '\\' && at_ + 1 < text_.size()) {
                token.text.push_back(text_[++at_]);
                token.raw = true;
            } else if (blanks.find(c) != std::string_view::npos || (c == ')' && open == 0)) {
                break;
            } else {
                open += c == '(' ? 1 : c == ')' ? -1 : 0;
                token.text.push_back(c);
            }
        }
        if (quote != 0) {
            throw wrong(fmt::format("a quote is not closed in '{}'", printable(text_)));
        }
        out_.push_back(std::move(token));
    }

    std::string_view text_;
    std::vector<Token>& out_;
    std::size_t at_ = 0;
};

std::vector<Token> tokens_of(std::span<const std::string> words)
{
    std::vector<Token> tokens;
    for (const auto& word : words) {
        if (has_known_kind(word) && !has_inner_operator(word)) {
            tokens.push_back({word, true});
        } else {
            Cutter(word, tokens).run();
        }
    }
    return tokens;
}

Selector selector_of(std::string_view text)
{
    const auto kinds = selector_kinds();
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) {
        throw wrong(
            fmt::format("'{}' is not a selector: it has no kind", printable(text)),
            fmt::format("write for instance file:{0}, vm:{0} or package:{0}", printable(text)));
    }
    const auto kind = text.substr(0, colon);
    if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
        const auto near = nearest(kind, kinds);
        throw wrong(
            fmt::format("there is no selector '{}:'", printable(kind)),
            near ? fmt::format("did you mean {}:{}?", *near, printable(text.substr(colon + 1)))
                 : fmt::format("there are {}", join(kinds, ", ")));
    }
    if (colon + 1 == text.size()) {
        throw wrong(fmt::format("selector '{}' has no value", text));
    }
    return {std::string(kind), std::string(text.substr(colon + 1))};
}

Selection leaf(Selector selector)
{
    Selection selection;
    selection.leaf = std::move(selector);
    return selection;
}

std::string text_member(const Json& item, std::string_view key)
{
    return item.contains(key) && !item[std::string(key)].is_null() ? string_member(item, key) : "";
}

/// An item of an answer names itself: the other end of a pipe.
Selector selector_of_item(const Json& item)
{
    const auto type = text_member(item, "type");
    if (type == "source") {
        return {"blob", text_member(item, "sha256")};
    }
    if (type == "artifact") {
        return {"artifact", text_member(item, "sha256")};
    }
    if (type == "package") {
        const auto sha256 = text_member(item, "sha256");
        return {"package", sha256.empty() ? text_member(item, "purl") : sha256};
    }
    if (type == "image") {
        return {"image", text_member(item, "digest")};
    }
    if (type == "vm") {
        return {"vm", text_member(item, "uuid")};
    }
    if (type == "host") {
        return {"host", text_member(item, "name")};
    }
    throw wrong("an item has no 'type' that is known");
}

Selection union_of_lines(std::string_view text, std::string_view name)
{
    Selection selection;
    selection.operation = Selection::Operation::unite;
    const char separator = text.find('\0') != std::string_view::npos ? '\0' : '\n';
    std::size_t number = 0;
    for (const auto line : split(text, separator)) {
        ++number;
        if (trim(line).empty() || (separator == '\n' && trim(line).front() == '#')) {
            continue;
        }
        if (selection.sides.size() == most_selectors) {
            throw wrong(fmt::format("{}: more than {} selectors", name, most_selectors));
        }
        doing(
            [&] {
                selection.sides.push_back(
                    leaf(line.front() == '{'
                             ? selector_of_item(parse_json(line, fmt::format("line {}", number)))
                             : selector_of(line)));
            },
            "reading {}, entry {}",
            name,
            number);
    }
    return selection;
}

class Parser {
public:
    Parser(std::vector<Token> tokens, const SelectorFile& read)
        : tokens_(std::move(tokens)), read_(read)
    {
    }

    Selection whole()
    {
        auto selection = sum(0);
        if (at_ != tokens_.size()) {
            throw wrong("a parenthesis closes that was not opened");
        }
        return selection;
    }

private:
    [[nodiscard]] bool next_is(std::string_view text) const
    {
        return at_ < tokens_.size() && !tokens_[at_].raw && tokens_[at_].text == text;
    }

    Selection sum(int depth)
    {
        auto left = product(depth);
        while (at_ < tokens_.size() && !next_is(")")) {
            const bool minus = next_is("-");
            if (minus || next_is("+")) {
                ++at_;
            }
            left = both(minus ? Selection::Operation::subtract : Selection::Operation::unite,
                        std::move(left),
                        product(depth));
        }
        return left;
    }

    Selection product(int depth)
    {
        auto left = operand(depth);
        while (next_is("&")) {
            ++at_;
            left = both(Selection::Operation::intersect, std::move(left), operand(depth));
        }
        return left;
    }

    static Selection both(Selection::Operation operation, Selection left, Selection right)
    {
        if (operation == Selection::Operation::unite && left.operation == operation) {
            left.sides.push_back(std::move(right)); // flat, however many words there are
            return left;
        }
        Selection selection;
        selection.operation = operation;
        selection.sides.push_back(std::move(left));
        selection.sides.push_back(std::move(right));
        return selection;
    }

    Selection operand(int depth)
    {
        if (depth > deepest) {
            throw wrong(fmt::format("parentheses deeper than {} levels", deepest));
        }
        if (at_ == tokens_.size()) {
            throw wrong("a selector is missing at the end");
        }
        if (++operands_ > most_selectors) {
            throw wrong(fmt::format("more than {} selectors", most_selectors));
        }
        if (next_is("(")) {
            ++at_;
            auto inner = sum(depth + 1);
            if (!next_is(")")) {
                throw wrong("a parenthesis is not closed");
            }
            ++at_;
            return inner;
        }
        const Token token = tokens_[at_++];
        if (!token.raw && token.text == "-") {
            return union_of_lines(read_("-"), "standard input");
        }
        if (!token.raw && token.text.starts_with('@') && token.text.size() > 1) {
            return union_of_lines(read_(token.text.substr(1)), token.text.substr(1));
        }
        if (!token.raw && is_operator(token.text)) {
            throw wrong(fmt::format("'{}' stands where a selector should", token.text));
        }
        return leaf(selector_of(token.text));
    }

    std::vector<Token> tokens_;
    const SelectorFile& read_;
    std::size_t at_ = 0;
    std::size_t operands_ = 0;
};

} // namespace

std::span<const std::string> selector_kinds()
{
    static const std::vector<std::string> kinds = {"file",
                                                   "blob",
                                                   "commit",
                                                   "repo",
                                                   "build",
                                                   "artifact",
                                                   "package",
                                                   "image",
                                                   "release",
                                                   "vm",
                                                   "host",
                                                   "snapshot",
                                                   "event"};
    return kinds;
}

Selection parse_selection(std::span<const std::string> words, const SelectorFile& read)
{
    auto tokens = tokens_of(words);
    if (tokens.empty()) {
        throw wrong("no selector was given");
    }
    return Parser(std::move(tokens), read).whole();
}

} // namespace stemma::lineage
