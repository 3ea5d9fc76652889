#include "shell_words.hpp"

#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

namespace stemma::image {

namespace {

bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/// Cuts a script into statements, character by character.
class StatementCutter {
public:
    explicit StatementCutter(std::string_view script) : script_(script) {}

    std::optional<std::vector<std::string>> cut()
    {
        for (; at_ < script_.size(); ++at_) {
            if (!take(script_[at_])) {
                return std::nullopt;
            }
        }
        end_statement();
        return quote_ == '\0' ? std::optional(std::move(statements_)) : std::nullopt;
    }

private:
    bool take(char c)
    {
        if (c == '\0' || script_.compare(at_, 2, "<<") == 0) {
            return false;
        }
        if (c == '\\' && at_ + 1 < script_.size() && quote_ != '\'') {
            take_escaped(script_[++at_]);
        } else if (quote_ != '\0') {
            quote_ = c == quote_ ? '\0' : quote_;
            current_ += c;
        } else if (c == '\'' || c == '"') {
            quote_ = c;
            current_ += c;
        } else if (c == '#' && (current_.empty() || is_blank(current_.back()))) {
            skip_comment();
        } else if (c == '\n') {
            end_statement();
        } else if (c == ';') {
            take_semicolon();
        } else {
            current_ += c;
        }
        return true;
    }

    void take_escaped(char c)
    {
        if (c != '\n') {
            current_ += '\\';
            current_ += c;
        }
    }

    void skip_comment()
    {
        while (at_ + 1 < script_.size() && script_[at_ + 1] != '\n') {
            ++at_;
        }
    }

    void take_semicolon()
    {
        end_statement();
        if (at_ + 1 < script_.size() && script_[at_ + 1] == ';') {
            ++at_;
            statements_.emplace_back(";;");
        }
    }

    void end_statement()
    {
        const auto text = trim(current_);
        if ((text.ends_with("&&") || text.ends_with("||")) && at_ < script_.size()) {
            current_ += ' '; // the list goes on in the next line
            return;
        }
        if (!text.empty()) {
            statements_.emplace_back(text);
        }
        current_.clear();
    }

    std::string_view script_;
    std::size_t at_ = 0;
    char quote_ = '\0';
    std::string current_;
    std::vector<std::string> statements_;
};

/// The words of one statement, quotes and arguments resolved; operators are words that are marked.
class WordReader {
public:
    struct Word {
        std::string text;
        bool is_operator = false;
    };

    WordReader(std::string_view text, const std::vector<std::string>& arguments)
        : text_(text), arguments_(arguments)
    {
    }

    std::optional<std::vector<Word>> read()
    {
        while (at_ < text_.size()) {
            if (!take(text_[at_])) {
                return std::nullopt;
            }
        }
        end_word();
        return std::move(words_);
    }

private:
    bool take(char c)
    {
        switch (c) {
        case '\'':
            return read_single();
        case '"':
            return read_double();
        case '$':
            return read_variable();
        case '&':
        case '|':
            return read_operator();
        case '>':
            return read_redirection();
        default:
            break;
        }
        if (is_blank(c)) {
            end_word();
        } else if (is_forbidden(c) || (c == '~' && !open_)) {
            return false;
        } else {
            word_ += c;
            open_ = true;
        }
        ++at_;
        return true;
    }

    static bool is_forbidden(char c)
    {
        // "*" and "?" are patterns, which a shell would match against names; "\" quotes.
        constexpr std::string_view forbidden = "`<(){}*?\\";
        return forbidden.find(c) != std::string_view::npos;
    }

    void end_word()
    {
        if (open_) {
            words_.push_back({.text = std::move(word_)});
        }
        word_.clear();
        open_ = false;
    }

    bool read_single()
    {
        const auto end = text_.find('\'', at_ + 1);
        if (end == std::string_view::npos) {
            return false;
        }
        word_ += text_.substr(at_ + 1, end - at_ - 1);
        open_ = true;
        at_ = end + 1;
        return true;
    }

    bool read_double()
    {
        open_ = true;
        for (++at_; at_ < text_.size() && text_[at_] != '"';) {
            const char c = text_[at_];
            if (c == '`' || (c == '\\' && at_ + 1 >= text_.size())) {
                return false;
            }
            if (c == '$') {
                if (!read_variable()) {
                    return false;
                }
                continue;
            }
            at_ += c == '\\' ? 1 : 0;
            word_ += text_[at_++];
        }
        return at_++ < text_.size();
    }

    /// "$1", "${1}", "$@"; nothing else is known.
    bool read_variable()
    {
        auto rest = text_.substr(at_ + 1);
        const bool braced = rest.starts_with('{');
        rest.remove_prefix(braced ? 1 : 0);
        const bool digit = !rest.empty() && rest.front() >= '1' && rest.front() <= '9';
        const bool all = rest.starts_with('@');
        if ((!digit && !all) || (braced && (rest.size() < 2 || rest[1] != '}'))) {
            return false;
        }
        if (all) {
            word_ += join(arguments_, " ");
        } else if (const auto index = static_cast<std::size_t>(rest.front() - '1');
                   index < arguments_.size()) {
            word_ += arguments_[index];
        }
        open_ = open_ || !word_.empty();
        at_ += braced ? 4 : 2;
        return true;
    }

    bool read_operator()
    {
        const auto op = text_.substr(at_, 2);
        if (op != "&&" && op != "||") {
            return false;
        }
        end_word();
        words_.push_back({.text = std::string(op), .is_operator = true});
        at_ += 2;
        return true;
    }

    /// ">/dev/null", "2>&1", ">&2": where words for people go does not matter here.
    bool read_redirection()
    {
        if (word_ == "1" || word_ == "2") {
            word_.clear();
            open_ = false;
        }
        end_word();
        auto rest = text_.substr(at_ + 1);
        const auto before = rest.size();
        while (!rest.empty() && is_blank(rest.front())) {
            rest.remove_prefix(1);
        }
        for (const std::string_view target : {"/dev/null", "&1", "&2"}) {
            if (rest.starts_with(target)) {
                at_ += 1 + (before - rest.size()) + target.size();
                return true;
            }
        }
        return false;
    }

    std::string_view text_;
    const std::vector<std::string>& arguments_;
    std::size_t at_ = 0;
    std::string word_;
    bool open_ = false;
    std::vector<Word> words_;
};

} // namespace

std::optional<std::vector<std::string>> shell_statements(std::string_view script)
{
    return StatementCutter(script).cut();
}

std::optional<std::vector<ShellCommand>> shell_commands(std::string_view statement,
                                                        const std::vector<std::string>& arguments)
{
    const auto words = WordReader(statement, arguments).read();
    if (!words) {
        return std::nullopt;
    }
    std::vector<ShellCommand> commands(1);
    for (const auto& word : *words) {
        if (word.is_operator) {
            ShellCommand next;
            next.link =
                word.text == "&&" ? ShellCommand::Link::on_success : ShellCommand::Link::on_failure;
            commands.push_back(std::move(next));
        } else if (word.text == "!" && commands.back().words.empty()) {
            commands.back().negated = !commands.back().negated;
        } else {
            commands.back().words.push_back(word.text);
        }
    }
    const bool whole = std::none_of(
        commands.begin(), commands.end(), [](const auto& each) { return each.words.empty(); });
    return whole ? std::optional(std::move(commands)) : std::nullopt;
}

} // namespace stemma::image
