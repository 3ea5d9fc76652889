#include "stemma/core/text.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "dialect.hpp"

/// JSON, YAML and XML, flattened to paths. Read line by line by our own code and not by a library:
/// a library gives up at the first mistake, and a misconfigured file is the one that has some.
namespace stemma::analyzer::settings {

namespace {

/// JSON with comments and trailing commas allowed; a token that makes no sense is an error of its
/// line, and reading goes on behind it.
class JsonReader {
public:
    JsonReader(std::string_view text, Sink& sink) : text_(text), sink_(sink) {}

    void read()
    {
        while (at_ < text_.size() && !sink_.full()) {
            step();
        }
        if (!levels_.empty()) {
            sink_.error("document is not closed", line_);
        }
    }

private:
    struct Level {
        bool is_list;
        std::string list_name;
        bool entered;
    };

    void step()
    {
        const char byte = text_[at_];
        if (byte == '\n') {
            ++line_;
            ++at_;
        } else if (byte == ' ' || byte == '\t' || byte == '\r' || byte == ',' || byte == ':') {
            ++at_;
        } else if (byte == '#' || text_.substr(at_, 2) == "//") {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (text_.substr(at_, 2) == "/*") {
            skip_comment();
        } else if (byte == '{' || byte == '[') {
            enter(byte == '[');
            ++at_;
        } else if (byte == '}' || byte == ']') {
            leave(byte == ']');
            ++at_;
        } else {
            take_scalar(byte == '"' ? quoted() : bare());
        }
    }

    void skip_comment()
    {
        const auto end = text_.find("*/", at_ + 2);
        const auto after = end == std::string_view::npos ? text_.size() : end + 2;
        const std::string_view comment = text_.substr(at_, after - at_);
        line_ += static_cast<std::size_t>(std::count(comment.begin(), comment.end(), '\n'));
        at_ = after;
    }

    std::string quoted()
    {
        std::string value;
        ++at_;
        while (at_ < text_.size() && text_[at_] != '"') {
            if (text_[at_] == '\n') { // never closed: it ends with its line
                sink_.error(value, line_);
                return value;
            }
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
                ++at_;
            }
            value.push_back(text_[at_++]);
        }
        ++at_;
        return value;
    }

    std::string bare()
    {
        const auto end = std::min(text_.find_first_of(" \t\r\n,:{}[]\"", at_), text_.size());
        std::string value(text_.substr(at_, end - at_));
        at_ = end;
        return value;
    }

    void take_scalar(std::string value)
    {
        const auto next = text_.find_first_not_of(" \t\r\n", at_);
        const bool is_list = !levels_.empty() && levels_.back().is_list;
        if (next != std::string_view::npos && text_[next] == ':' && !is_list && name_.empty()) {
            name_ = std::move(value);
            at_ = next + 1;
            return;
        }
        if (is_list) {
            sink_.element(levels_.back().list_name, value, line_);
        } else if (name_.empty()) {
            sink_.error(value, line_);
        } else {
            sink_.put_as(Shape::single, name_, value, line_);
        }
        name_.clear();
    }

    void enter(bool is_list)
    {
        std::string name = std::move(name_);
        name_.clear();
        const bool in_list = !levels_.empty() && levels_.back().is_list;
        if (name.empty() && in_list) {
            name = levels_.back().list_name;
        }
        const bool record = !is_list && !name.empty();
        if (record && in_list) {
            sink_.open(name, "item");
        } else if (record) {
            sink_.reopen(name);
        }
        levels_.push_back({is_list, is_list ? name : std::string(), record});
    }

    void leave(bool is_list)
    {
        name_.clear();
        if (levels_.empty() || levels_.back().is_list != is_list) {
            sink_.error(is_list ? "] without [" : "} without {", line_);
            return;
        }
        if (levels_.back().entered) {
            sink_.close();
        }
        levels_.pop_back();
    }

    std::string_view text_;
    Sink& sink_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::string name_;
    std::vector<Level> levels_;
};

/// Block YAML by its indentation; flow collections are taken as values as they stand.
class YamlReader {
public:
    explicit YamlReader(Sink& sink) : sink_(sink) {}

    void line(std::string_view raw, std::size_t number)
    {
        const auto indent = raw.find_first_not_of(' ');
        if (indent == std::string_view::npos) {
            return;
        }
        if (in_block_text_ && indent > block_indent_) {
            return;
        }
        in_block_text_ = false;
        std::string_view text = without_comment(raw.substr(indent));
        if (text.empty() || text == "---" || text == "..." || text.front() == '%') {
            return;
        }
        std::size_t at = indent;
        bool item = false;
        while (text == "-" || text.starts_with("- ")) {
            leave_to(at, true);
            item = true;
            const auto inner = text.find_first_not_of(' ', 1);
            if (inner == std::string_view::npos) {
                begin_item(at);
                return;
            }
            at += inner;
            text = text.substr(inner);
            if (find_colon(text) != std::string_view::npos) {
                begin_item(at - inner);
            }
        }
        entry(text, at, item, number);
    }

    void finish() { leave_to(0, false); }

private:
    struct Level {
        std::size_t indent;
        std::string name; ///< of the key whose value this is
        bool item;
    };

    static std::string_view without_comment(std::string_view text)
    {
        char quote = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (quote != 0) {
                quote = text[i] == quote ? '\0' : quote;
            } else if (text[i] == '"' || text[i] == '\'') {
                quote = text[i];
            } else if (text[i] == '#' && (i == 0 || text[i - 1] == ' ')) {
                return trim(text.substr(0, i));
            }
        }
        return trim(text);
    }

    static std::size_t find_colon(std::string_view text)
    {
        if (text.front() == '{' || text.front() == '[') {
            return std::string_view::npos;
        }
        std::size_t from = 0;
        if (text.front() == '"' || text.front() == '\'') {
            from = text.find(text.front(), 1);
            if (from == std::string_view::npos) {
                return from;
            }
        }
        for (auto at = text.find(':', from); at != std::string_view::npos;
             at = text.find(':', at + 1)) {
            if (at + 1 == text.size() || text[at + 1] == ' ') {
                return at;
            }
        }
        return std::string_view::npos;
    }

    void entry(std::string_view text, std::size_t at, bool item, std::size_t number)
    {
        const auto colon = find_colon(text);
        if (colon == std::string_view::npos) {
            if (item && (text.back() == '|' || text.back() == '>')) {
                in_block_text_ = true; // "- |": a text of lines, "- &name |" too
                block_indent_ = at - 1;
            }
            if (item && !levels_.empty()) {
                sink_.element(pending_.empty() ? "items" : pending_, text, number);
            } else {
                sink_.error(text, number);
            }
            return;
        }
        leave_to(at, false);
        open_pending(at);
        const std::string name = tidy_value(text.substr(0, colon));
        const std::string_view value = trim(text.substr(colon + 1));
        if (value.empty() || value.front() == '&') {
            pending_ = name;
            levels_.push_back({at, name, false});
            return;
        }
        if (value.front() == '|' || value.front() == '>') {
            in_block_text_ = true;
            block_indent_ = at;
        }
        sink_.put_as(Shape::single, name, value, number);
    }

    /// The key before had no value: what is indented deeper belongs to it.
    void open_pending(std::size_t at)
    {
        if (!pending_.empty() && !levels_.empty() && levels_.back().indent < at) {
            sink_.reopen(pending_);
            ++opened_;
            levels_.back().item = true;
        }
        pending_.clear();
    }

    void begin_item(std::size_t indent)
    {
        const std::string name = pending_.empty() ? item_name_ : pending_;
        if (!pending_.empty()) {
            item_name_ = pending_;
            pending_.clear();
        }
        sink_.open(name, "item");
        ++opened_;
        levels_.push_back({indent, name, true});
    }

    void leave_to(std::size_t indent, bool keep_pending)
    {
        while (!levels_.empty() &&
               (levels_.back().indent > indent ||
                (levels_.back().indent == indent && !keep_pending) ||
                (levels_.back().indent == indent && keep_pending && levels_.back().item))) {
            if (levels_.back().item && opened_ > 0) {
                sink_.close();
                --opened_;
            }
            levels_.pop_back();
            pending_.clear();
        }
    }

    Sink& sink_;
    std::vector<Level> levels_;
    std::string pending_;
    std::string item_name_ = "items";
    std::size_t opened_ = 0;
    bool in_block_text_ = false;
    std::size_t block_indent_ = 0;
};

} // namespace

void read_json(std::string_view text, const Dialect& /*dialect*/, Sink& sink)
{
    JsonReader(text, sink).read();
}

void read_yaml(std::string_view text, const Dialect& /*dialect*/, Sink& sink)
{
    YamlReader reader(sink);
    std::size_t number = 0;
    for (const std::string_view line : split_lines(text)) {
        reader.line(line, ++number);
    }
    reader.finish();
}

namespace {

std::size_t lines_in(std::string_view text)
{
    std::size_t count = 0;
    for (const char byte : text) {
        count += byte == '\n' ? 1 : 0;
    }
    return count;
}

/// Attributes of one tag: name="value" …
void read_attributes(std::string_view text, std::size_t line, Sink& sink)
{
    while (true) {
        const auto sign = text.find('=');
        if (sign == std::string_view::npos) {
            return;
        }
        const std::string_view name = trim(text.substr(0, sign));
        text = trim(text.substr(sign + 1));
        if (text.empty() || (text.front() != '"' && text.front() != '\'')) {
            sink.error(text, line);
            return;
        }
        const auto end = text.find(text.front(), 1);
        if (end == std::string_view::npos) {
            sink.error(text, line);
            return;
        }
        sink.put_as(Shape::single, "@" + std::string(name), text.substr(1, end - 1), line);
        text = trim(text.substr(end + 1));
    }
}

/// Closes the innermost element of that name, and those left open inside it.
void close_element(const std::string& name,
                   std::vector<std::string>& open,
                   Sink& sink,
                   std::size_t line)
{
    if (std::find(open.begin(), open.end(), name) == open.end()) {
        sink.error("</" + name + "> without <" + name + ">", line);
        return;
    }
    for (bool found = false; !found;) {
        found = open.back() == name;
        if (!found) {
            sink.error("<" + open.back() + "> is not closed", line);
        }
        open.pop_back();
        sink.close();
    }
}

} // namespace

void read_xml(std::string_view text, const Dialect& /*dialect*/, Sink& sink)
{
    std::vector<std::string> open;
    std::size_t line = 1;
    std::size_t at = 0;
    while (at < text.size() && !sink.full()) {
        const auto begin = text.find('<', at);
        const std::string_view content = trim(text.substr(at, begin - at));
        if (!content.empty()) {
            sink.put_as(Shape::plain, "text", content, line);
        }
        line += lines_in(text.substr(at, begin - at));
        if (begin == std::string_view::npos) {
            break;
        }
        const bool comment = text.substr(begin, 4) == "<!--";
        const auto end = text.find(comment ? "-->" : ">", begin);
        if (end == std::string_view::npos) {
            sink.error(text.substr(begin, 80), line);
            break;
        }
        const std::string_view tag = text.substr(begin + 1, end - begin - 1);
        at = end + (comment ? 3 : 1);
        if (!comment && !tag.empty() && tag.front() == '/') {
            const std::string name(trim(tag.substr(1)));
            close_element(name, open, sink, line);
        } else if (!comment && !tag.empty() && tag.front() != '?' && tag.front() != '!') {
            const bool single = tag.back() == '/';
            const std::string_view inner = single ? tag.substr(0, tag.size() - 1) : tag;
            const std::string_view name = inner.substr(0, inner.find_first_of(" \t\r\n"));
            sink.open(name);
            read_attributes(inner.substr(name.size()), line, sink);
            if (single) {
                sink.close();
            } else {
                open.emplace_back(name);
            }
        }
        line += lines_in(text.substr(begin, at - begin));
    }
}

} // namespace stemma::analyzer::settings
