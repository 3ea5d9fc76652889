#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "dialect.hpp"

/// Blocks in braces: nginx, BIND, nftables, logrotate, keepalived, dovecot, apt.conf, dhcpd.
///
/// A statement ends at ";", or at the end of its line in dialects that do not use ";". Where braces
/// do not balance, a line that is indented less than the block it would be in closes that block:
/// one lost brace costs its block and not the rest of the file.
namespace stemma::analyzer::settings {

namespace {

struct Block {
    std::size_t indent;
    bool is_list;
};

class BraceReader {
public:
    BraceReader(std::string_view text, const Dialect& dialect, Sink& sink)
        : text_(text),
          dialect_(dialect),
          sink_(sink),
          semicolons_(dialect.headers != "newline"),
          block_comments_(dialect.inline_comment || dialect.name == "brace-lines"),
          either_(dialect.name == "nftables" || dialect.name == "brace-lines"),
          balanced_(std::count(text.begin(), text.end(), '{') ==
                    std::count(text.begin(), text.end(), '}'))
    {
    }

    void read()
    {
        for (const std::string_view line : split_lines(text_)) {
            ++number_;
            if (sink_.full()) {
                return;
            }
            read_line(line);
        }
        flush();
        while (!blocks_.empty()) {
            sink_.error("block is not closed", number_);
            leave();
        }
    }

private:
    void read_line(std::string_view line)
    {
        const auto first = line.find_first_not_of(" \t");
        if (first == std::string_view::npos) {
            return;
        }
        const std::size_t indent = first;
        if (!balanced_ && line[first] != '}' && line[first] != '#') {
            resynchronise(indent);
        }
        if (take_script(line.substr(first))) {
            return;
        }
        line_indent_ = indent;
        std::size_t at = first;
        while (at < line.size()) {
            at = take(line, at);
        }
        word_done();
        if (parentheses_ > 0) {
            return; // lighttpd: a list goes on
        }
        // logrotate: names of files stand before their block, also on lines of their own.
        const bool names = blocks_.empty() && dialect_.name == "logrotate" && !words_.empty() &&
                           words_[0].starts_with('/');
        if (!semicolons_ && !names) {
            flush();
        }
    }

    /// logrotate: the lines between "postrotate" and "endscript" are a script.
    bool take_script(std::string_view line)
    {
        if (dialect_.name != "logrotate") {
            return false;
        }
        line = trim(line);
        if (script_.empty()) {
            const bool rotates = line.ends_with("rotate") && line != "rotate" && line != "norotate";
            const bool acts = line.ends_with("action") && line.find(' ') == std::string_view::npos;
            if (rotates || acts) {
                script_ = line;
            }
            return !script_.empty();
        }
        if (line == "endscript") {
            script_.clear();
        } else {
            sink_.element(script_, line, number_);
        }
        return true;
    }

    /// Consumes one token or sign at `at`; returns where the next one begins.
    std::size_t take(std::string_view line, std::size_t at)
    {
        const char byte = line[at];
        if (byte == ' ' || byte == '\t') {
            word_done();
            return at + 1;
        }
        if (in_comment_ || (block_comments_ && line.substr(at, 2) == "/*" && !in_word_)) {
            return skip_comment(line, at);
        }
        if (begins_comment(line, at)) {
            word_done();
            return line.size();
        }
        if (byte == '"' || byte == '\'') {
            return take_quoted(line, at);
        }
        if (byte == '{' && !inside_variable(line, at)) {
            word_done();
            enter();
            return at + 1;
        }
        if (byte == '}' && !closes_variable_) {
            word_done();
            flush();
            if (blocks_.empty()) {
                sink_.error("} without a block", number_);
            } else {
                leave();
            }
            return at + 1;
        }
        if (dialect_.name == "lighttpd" && (byte == '(' || byte == ')')) {
            word_done();
            parentheses_ += byte == '(' ? 1 : parentheses_ > 0 ? -1 : 0;
            return at + 1;
        }
        if (byte == ';' && (semicolons_ || either_)) {
            word_done();
            flush();
            return at + 1;
        }
        closes_variable_ = byte == '{' || (closes_variable_ && byte != '}');
        append(byte);
        return at + 1;
    }

    /// C's comments, over as many lines as they last.
    std::size_t skip_comment(std::string_view line, std::size_t at)
    {
        const auto end = line.find("*/", in_comment_ ? at : at + 2);
        in_comment_ = end == std::string_view::npos;
        return in_comment_ ? line.size() : end + 2;
    }

    /// "${name}" and a regular expression's "{2}" are part of a word.
    [[nodiscard]] bool inside_variable(std::string_view line, std::size_t at) const
    {
        if (at > 0 && line[at - 1] == '$') {
            return true;
        }
        const auto next = at + 1;
        return in_word_ && next < line.size() && line[next] >= '0' && line[next] <= '9';
    }

    [[nodiscard]] bool begins_comment(std::string_view line, std::size_t at) const
    {
        if (in_word_) {
            return false;
        }
        return dialect_.comment.find(line[at]) != std::string_view::npos ||
               (line.substr(at, 2) == "//" && block_comments_);
    }

    std::size_t take_quoted(std::string_view line, std::size_t at)
    {
        const auto end = line.find(line[at], at + 1);
        if (end == std::string_view::npos) {
            // A quote that is left open is taken as an ordinary byte: it costs its own line.
            sink_.error(line, number_);
            words_.clear();
            in_word_ = false;
            return line.size();
        }
        begin_word(); // also for "": that a value is empty is a value
        for (std::size_t i = at + 1; i < end; ++i) {
            append(line[i]);
        }
        return end + 1;
    }

    void begin_word()
    {
        if (!in_word_) {
            if (words_.empty()) {
                statement_line_ = number_;
            }
            words_.emplace_back();
            in_word_ = true;
        }
    }

    void append(char byte)
    {
        begin_word();
        if (words_.back().size() < max_setting_value) {
            words_.back().push_back(byte);
        }
    }

    void word_done()
    {
        in_word_ = false;
        closes_variable_ = false;
    }

    /// One statement is complete: a directive with its words, or the member of a list.
    void flush()
    {
        word_done();
        if (words_.empty()) {
            return;
        }
        std::vector<std::string> words = std::move(words_);
        words_.clear();
        if (dialect_.name == "nftables" && !blocks_.empty() && words[0] != "type" &&
            words[0] != "policy") {
            sink_.element("rules", join(words, " "), statement_line_);
            return;
        }
        if (!blocks_.empty() && blocks_.back().is_list) {
            sink_.element(list_name_, join(words, " "), statement_line_);
            return;
        }
        if (words[0].ends_with("::")) {
            words[0].resize(words[0].size() - 2); // apt: "Name::" adds to a list
            sink_.put_as(Shape::many, words[0], rest_of(words), statement_line_);
            return;
        }
        if (words.size() >= 2 && (words[1] == "=" || words[1] == "+=" || words[1] == ":=")) {
            words.erase(words.begin() + 1);
        } else if (dialect_.name == "brace-lines" && words[0].size() > 1 &&
                   words[0].ends_with(':')) {
            words[0].pop_back(); // corosync's "name: value"
        } else if (words[0].size() > 1 && words[0].ends_with('=')) {
            words[0].pop_back();
        } else if (const auto at = words[0].find('='); at != std::string::npos && at > 0) {
            words.insert(words.begin() + 1, words[0].substr(at + 1));
            words[0].resize(at);
        }
        if (words.size() == 1) {
            sink_.put(words[0], "on", statement_line_);
            return;
        }
        put_named(words);
    }

    /// Some directives are many by their first argument: "fastcgi_param NAME VALUE".
    void put_named(const std::vector<std::string>& words)
    {
        static constexpr std::array<std::string_view, 11> named = {"fastcgi_param",
                                                                   "proxy_set_header",
                                                                   "add_header",
                                                                   "uwsgi_param",
                                                                   "scgi_param",
                                                                   "set",
                                                                   "error_page",
                                                                   "env",
                                                                   "proxy_hide_header",
                                                                   "log_format",
                                                                   "option"};
        if (words.size() >= 3 && std::find(named.begin(), named.end(), words[0]) != named.end()) {
            std::vector<std::string> value(words.begin() + 2, words.end());
            sink_.put_as(
                Shape::plain, words[0] + "[" + words[1] + "]", join(value, " "), statement_line_);
            return;
        }
        sink_.put(words[0], rest_of(words), statement_line_);
    }

    static std::string rest_of(const std::vector<std::string>& words)
    {
        return join(std::span(words).subspan(1), " ");
    }

    void enter()
    {
        std::string name = words_.empty() ? "(block)" : words_[0];
        if (name.size() > 1 && name.ends_with('=')) {
            name.pop_back(); // wpa_supplicant's "network={"
        }
        std::string identity = words_.size() > 1 ? rest_of(words_) : std::string();
        words_.clear();
        const bool is_list = is_list_block(name);
        if (is_list) {
            list_name_ = identity.empty() ? name : name + "[" + identity + "]";
        } else if (dialect_.name == "logrotate") {
            sink_.open("log", name.substr(0, 120), number_);
        } else {
            sink_.open(name, identity, number_);
        }
        blocks_.push_back({line_indent_, is_list});
        words_.clear();
    }

    [[nodiscard]] bool is_list_block(std::string_view name) const
    {
        const Shape shape = dialect_.shape_of(to_lower(name));
        return shape == Shape::words || shape == Shape::many;
    }

    void leave()
    {
        if (!blocks_.back().is_list) {
            sink_.close();
        }
        blocks_.pop_back();
    }

    void resynchronise(std::size_t indent)
    {
        while (!blocks_.empty() && words_.empty() && indent <= blocks_.back().indent) {
            sink_.error("block is not closed", number_);
            leave();
        }
    }

    std::string_view text_;
    const Dialect& dialect_;
    Sink& sink_;
    bool semicolons_; ///< statements end with ";" alone
    bool block_comments_;
    bool either_; ///< … or with ";" or their line
    bool balanced_;
    std::size_t number_ = 0;
    std::size_t line_indent_ = 0;
    std::size_t statement_line_ = 0;
    std::vector<std::string> words_;
    std::string list_name_;
    std::string script_;
    bool in_word_ = false;
    bool closes_variable_ = false;
    bool in_comment_ = false;
    int parentheses_ = 0; ///< that are open
    std::vector<Block> blocks_;
};

} // namespace

void read_brace(std::string_view text, const Dialect& dialect, Sink& sink)
{
    BraceReader(text, dialect, sink).read();
}

} // namespace stemma::analyzer::settings
