#include "maintainer_script.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "shell_words.hpp"

namespace stemma::image {

namespace {

using volume::NodeKind;

std::string_view first_word(std::string_view statement)
{
    return statement.substr(0, statement.find_first_of(" \t"));
}

/// The label of a case's branch at the beginning of a statement ("configure|triggered)"), and what
/// follows it; nullopt when there is none.
std::optional<std::string> label_of(std::string_view statement)
{
    const auto close = statement.find(')');
    if (close == std::string_view::npos ||
        statement.substr(0, close).find_first_of("($`=;&<>") != std::string_view::npos) {
        return std::nullopt;
    }
    std::string label;
    std::copy_if(statement.begin(),
                 statement.begin() + static_cast<std::ptrdiff_t>(close),
                 std::back_inserter(label),
                 [](char c) { return c != '"' && c != '\'' && c != ' ' && c != '\t'; });
    return label;
}

class Follower {
public:
    Follower(volume::Filesystem& tree,
             std::vector<std::string> statements,
             const std::vector<std::string>& arguments)
        : tree_(tree), statements_(std::move(statements)), arguments_(arguments)
    {
    }

    ScriptEffects follow()
    {
        block(true);
        if (at_ < statements_.size()) {
            refuse(statements_[at_]);
        }
        return effects_;
    }

private:
    [[noreturn]] static void refuse(std::string_view statement)
    {
        throw Error(ErrorCode::unsupported, std::string(statement));
    }

    const std::string& next()
    {
        if (at_ >= statements_.size()) {
            refuse("the end of the script, within a block");
        }
        return statements_[at_];
    }

    static bool ends_block(std::string_view word)
    {
        return word == "fi" || word == "else" || word == "elif" || word == "esac" || word == ";;" ||
               word == "then" || word == "done" || word == "}";
    }

    /// Statements up to a word that ends the block, which stays. Those of a branch that is not
    /// taken
    /// (`live` is false) are only paired.
    void block(bool live)
    {
        constexpr int most_depth = 64;
        if (++depth_ > most_depth) {
            refuse("blocks within blocks");
        }
        while (at_ < statements_.size() && !ends_block(first_word(statements_[at_]))) {
            statement(live);
        }
        --depth_;
    }

    void statement(bool live)
    {
        const std::string text = next();
        const auto word = first_word(text);
        if (word == "if") {
            if_statement(live);
        } else if (word == "case") {
            case_statement(live);
        } else if (word == "for" || word == "while" || word == "until") {
            loop_statement(live);
        } else if (text.ends_with("{") || text.ends_with("()")) {
            refuse(text); // a function or a group
        } else {
            ++at_;
            if (live && !ended_) {
                run_list(text);
            }
        }
    }

    /// Takes "then …", "else …" or "do …" off a statement; the rest of it stays as a statement.
    void expect(std::string_view word)
    {
        if (first_word(next()) != word) {
            refuse(next());
        }
        keep_rest(word.size());
    }

    /// Takes so many characters off the statement; an empty rest is none.
    void keep_rest(std::size_t taken)
    {
        const std::string rest(trim(std::string_view(next()).substr(taken)));
        if (rest.empty()) {
            ++at_;
        } else {
            statements_[at_] = rest;
        }
    }

    void if_statement(bool reached)
    {
        const bool live = reached && !ended_;
        bool taken = false;
        std::string keyword = "if";
        for (;;) {
            expect(keyword);
            const std::string condition = next();
            ++at_;
            const bool holds = live && !taken && run_list(condition);
            expect("then");
            block(holds);
            taken = taken || holds;
            const auto word = first_word(next());
            if (word != "elif") {
                break;
            }
            keyword = "elif";
        }
        if (first_word(next()) == "else") {
            expect("else");
            block(live && !taken);
        }
        expect("fi");
    }

    void loop_statement(bool live)
    {
        if (live && !ended_) {
            refuse(next());
        }
        ++at_;
        expect("do");
        block(false);
        expect("done");
    }

    void case_statement(bool reached)
    {
        const bool live = reached && !ended_;
        const std::string head = next();
        const auto words = split_words(head);
        const auto in = head.find(" in");
        if (words.size() < 3 || words[2] != "in") {
            refuse(head);
        }
        const auto subject = live ? shell_commands(words[1], arguments_)
                                  : std::vector<ShellCommand>{{.words = {""}}};
        if (!subject || subject->size() != 1) {
            refuse(head);
        }
        keep_rest(in + 3);
        branches(live, subject->front().words.front());
        expect("esac");
    }

    void branches(bool live, const std::string& subject)
    {
        bool taken = false;
        while (first_word(next()) != "esac") {
            const auto label = label_of(next());
            if (!label) {
                refuse(next());
            }
            bool matches = false;
            for (const std::string_view pattern : split(*label, '|')) {
                matches = matches || glob_match(pattern, subject);
            }
            keep_rest(next().find(')') + 1);
            block(live && matches && !taken);
            taken = taken || matches;
            if (first_word(next()) == ";;") {
                ++at_;
            }
        }
    }

    // ---- commands -------------------------------------------------------------------------------

    bool run_list(const std::string& text)
    {
        const auto commands = shell_commands(text, arguments_);
        if (!commands) {
            refuse(text);
        }
        bool success = true;
        for (const ShellCommand& command : *commands) {
            const bool wanted = command.link == ShellCommand::Link::first ||
                                (command.link == ShellCommand::Link::on_success) == success;
            if (wanted && !ended_) {
                success = run(command, text) != command.negated;
            }
        }
        return success;
    }

    bool run(const ShellCommand& command, const std::string& text)
    {
        const auto& words = command.words;
        const std::string& name = words.front();
        if (name == "[" || name == "test") {
            return test(words, text);
        }
        if (name == "exit") {
            return end_by_exit(words, text);
        }
        if (name == "deb-systemd-helper") {
            return deb_systemd_helper(words, text);
        }
        if (name == "command" || name == "which") {
            return has_program(words.back());
        }
        if (name == "dpkg-maintscript-helper" && (arguments_.size() < 2 || arguments_[1].empty())) {
            return true; // it moves what an older version left, and there was none
        }
        const bool nothing = name == ":" || name == "true" || name == "echo" ||
                             (name == "set" && words.size() == 2 && words[1].starts_with('-'));
        if (!nothing && name != "false") {
            refuse(text);
        }
        return nothing;
    }

    bool end_by_exit(const std::vector<std::string>& words, const std::string& text)
    {
        if (words.size() != 1 && words[1] != "0") {
            refuse(text);
        }
        ended_ = true;
        return true;
    }

    bool has_program(const std::string& name)
    {
        for (const std::string_view folder : {"/usr/local/sbin/",
                                              "/usr/local/bin/",
                                              "/usr/sbin/",
                                              "/usr/bin/",
                                              "/sbin/",
                                              "/bin/"}) {
            if (tree_.look_through(std::string(folder) + name)) {
                return true;
            }
        }
        return false;
    }

    bool test(std::vector<std::string> words, const std::string& text)
    {
        if (words.front() == "[") {
            if (words.back() != "]") {
                refuse(text);
            }
            words.pop_back();
        }
        words.erase(words.begin());
        const bool negated = !words.empty() && words.front() == "!";
        if (negated) {
            words.erase(words.begin());
        }
        return test_words(words, text) != negated;
    }

    bool test_words(const std::vector<std::string>& words, const std::string& text)
    {
        if (words.size() == 3 && (words[1] == "=" || words[1] == "==")) {
            return words[0] == words[2];
        }
        if (words.size() == 3 && words[1] == "!=") {
            return words[0] != words[2];
        }
        if (words.size() == 2 && words[0] == "-n") {
            return !words[1].empty();
        }
        if (words.size() == 2 && words[0] == "-z") {
            return words[1].empty();
        }
        if (words.size() == 2 && words[0].size() == 2 && words[1].starts_with('/')) {
            return test_file(words[0][1], words[1], text);
        }
        refuse(text);
    }

    bool test_file(char what, const std::string& path, const std::string& text)
    {
        if (path == "/run" || path.starts_with("/run/")) {
            return false; // nothing runs there: an image is not booted
        }
        const auto info = what == 'L' || what == 'h' ? tree_.look(path) : tree_.look_through(path);
        switch (what) {
        case 'e':
            return info.has_value();
        case 'd':
            return info && info->kind == NodeKind::directory;
        case 'f':
            return info && info->kind == NodeKind::file;
        case 'x':
            return info && (info->mode & 0111U) != 0;
        case 's':
            return info && info->size > 0;
        case 'L':
        case 'h':
            return info && info->kind == NodeKind::symlink;
        default:
            refuse(text);
        }
    }

    bool deb_systemd_helper(const std::vector<std::string>& words, const std::string& text)
    {
        std::vector<std::string> plain;
        std::copy_if(words.begin() + 1, words.end(), std::back_inserter(plain), [](const auto& w) {
            return w != "--quiet";
        });
        if (plain.size() < 2 || plain[0].starts_with('-')) {
            refuse(text);
        }
        if (!has_program("deb-systemd-helper")) {
            return false;
        }
        const std::string verb = plain[0];
        for (std::size_t i = 1; i < plain.size(); ++i) {
            helper_for(verb, plain[i], text);
        }
        return true;
    }

    void helper_for(const std::string& verb, const std::string& unit, const std::string& text)
    {
        const bool named = unit.find_first_of("/ ") == std::string::npos && !unit.starts_with('.');
        const auto state = "/var/lib/systemd/deb-systemd-helper-enabled/" + unit + ".dsh-also";
        if (!named || (verb == "was-enabled" && tree_.look(state))) {
            refuse(text); // an upgrade: what the administrator made of it decides
        }
        if (verb == "enable") {
            effects_.enabled.push_back(unit);
        } else if (verb == "purge") {
            effects_.purged.push_back(unit);
        } else if (verb == "unmask" || verb == "mask") {
            // A mask is made by a removal and taken back by the purge that follows here at once.
            if (tree_.look("/var/lib/systemd/deb-systemd-helper-masked/" + unit)) {
                refuse(text);
            }
        } else if (verb != "was-enabled") {
            refuse(text);
        }
    }

    volume::Filesystem& tree_;
    std::vector<std::string> statements_;
    const std::vector<std::string>& arguments_;
    std::size_t at_ = 0;
    int depth_ = 0;
    bool ended_ = false; ///< by `exit`
    ScriptEffects effects_;
};

} // namespace

ScriptJudgement judge_script(volume::Filesystem& tree,
                             std::string_view script,
                             const std::vector<std::string>& arguments)
{
    const auto first = script.substr(0, script.find('\n'));
    if (!first.starts_with("#!") || first.find("/sh") == std::string_view::npos) {
        return {.effects = std::nullopt, .unknown = std::string(first.substr(0, 80))};
    }
    auto statements = shell_statements(script);
    if (!statements) {
        return {.effects = std::nullopt, .unknown = "a here-document"};
    }
    try {
        return {.effects = Follower(tree, std::move(*statements), arguments).follow(),
                .unknown = {}};
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) {
            throw;
        }
        return {.effects = std::nullopt, .unknown = error.message()};
    }
}

} // namespace stemma::image
