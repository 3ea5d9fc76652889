#include "link_line.hpp"

#include "stemma/hooks/tools.hpp"

#include <algorithm>
#include <array>

namespace stemma::hooks {

namespace {

/// Options of GNU ld, gold and lld whose value is a word of its own, and no input.
constexpr std::array valued = {"o",
                               "e",
                               "entry",
                               "m",
                               "T",
                               "script",
                               "z",
                               "h",
                               "soname",
                               "rpath",
                               "rpath-link",
                               "I",
                               "dynamic-linker",
                               "plugin",
                               "plugin-opt",
                               "Map",
                               "y",
                               "trace-symbol",
                               "Y",
                               "b",
                               "format",
                               "A",
                               "architecture",
                               "a",
                               "c",
                               "mri-script",
                               "f",
                               "auxiliary",
                               "F",
                               "filter",
                               "G",
                               "gpsize",
                               "R",
                               "just-symbols",
                               "P",
                               "oformat",
                               "version-script",
                               "dynamic-list",
                               "section-start",
                               "Tbss",
                               "Tdata",
                               "Ttext",
                               "Ttext-segment",
                               "hash-style",
                               "sysroot",
                               "exclude-libs",
                               "out-implib",
                               "default-script",
                               "dT",
                               "init",
                               "fini",
                               "assert",
                               "retain-symbols-file",
                               "package-metadata",
                               "dependency-file",
                               "thread-count",
                               "threads",
                               "icf",
                               "build-id",
                               "sort-section"};

struct Word {
    std::string_view name; ///< without dashes and value
    std::optional<std::string> value;
    bool long_form = false;
};

Word split(std::string_view word)
{
    Word result;
    result.long_form = word.starts_with("--");
    word.remove_prefix(result.long_form ? 2 : 1);
    const auto equals = word.find('=');
    result.name = word.substr(0, equals);
    if (equals != std::string_view::npos) {
        result.value = std::string(word.substr(equals + 1));
    }
    return result;
}

class LineReader {
public:
    explicit LineReader(const std::vector<std::string>& argv) : argv_(argv) {}

    LinkLine all()
    {
        const auto name = argv_.empty() ? std::string() : plain_tool_name(argv_.front());
        if (name == "ld.lld") {
            line_.order = LinkOrder::lazy;
        } else if (name != "ld" && name != "ld.bfd" && name != "ld.gold" && name != "gold") {
            line_.doubt = "how " + name + " chooses members is not known";
        }
        for (at_ = 1; at_ < argv_.size(); ++at_) {
            const auto& word = argv_[at_];
            if (word.empty() || word == "-") {
                continue;
            }
            if (word.front() != '-') {
                add({word});
            } else if (!short_option(word) && !positional(split(word))) {
                named(split(word));
            }
        }
        return std::move(line_);
    }

private:
    std::string next() { return at_ + 1 < argv_.size() ? argv_[++at_] : std::string(); }
    std::string value_of(Word word) { return word.value ? *std::move(word.value) : next(); }

    void add(LinkInput input)
    {
        input.whole = whole_;
        input.as_needed = as_needed_;
        input.archives_only = archives_only_;
        input.group = in_group_ ? groups_ : 0;
        line_.inputs.push_back(std::move(input));
    }

    /// "-lm", "-l m", "-Lfolder", "-u symbol".
    bool short_option(const std::string& word)
    {
        const auto rest = [&] { return word.size() > 2 ? word.substr(2) : next(); };
        const bool is_long = word.starts_with("--") || word.starts_with("-lto") ||
                             word.starts_with("-un") || word.starts_with("-library");
        if (is_long) {
            return false;
        }
        switch (word[1]) {
        case 'l':
            add({rest(), true});
            return true;
        case 'L':
            line_.folders.push_back(rest());
            return true;
        case 'u':
            line_.wanted.push_back(rest());
            return true;
        default:
            return false;
        }
    }

    /// Options that count from where they stand.
    bool positional(const Word& word)
    {
        const auto is = [&](std::initializer_list<std::string_view> names) {
            return std::find(names.begin(), names.end(), word.name) != names.end();
        };
        if (is({"whole-archive", "no-whole-archive"})) {
            whole_ = word.name == "whole-archive";
        } else if (is({"as-needed", "no-as-needed"})) {
            as_needed_ = word.name == "as-needed";
        } else if (is({"Bstatic", "static", "dn", "non_shared"})) {
            archives_only_ = true;
        } else if (is({"Bdynamic", "dy", "call_shared"})) {
            archives_only_ = false;
        } else if (is({"start-group", "("})) {
            in_group_ = true;
            ++groups_;
        } else if (is({"end-group", ")"})) {
            in_group_ = false;
        } else if (word.name == "push-state") {
            pushed_.push_back({whole_, as_needed_, archives_only_});
        } else if (word.name == "pop-state" && !pushed_.empty()) {
            std::tie(whole_, as_needed_, archives_only_) = pushed_.back();
            pushed_.pop_back();
        } else {
            return false;
        }
        return true;
    }

    void named(Word word)
    {
        const auto name = std::string(word.name);
        if (name == "library") {
            add({value_of(std::move(word)), true});
        } else if (name == "library-path") {
            line_.folders.push_back(value_of(std::move(word)));
        } else if (name == "undefined" || name == "require-defined") {
            line_.wanted.push_back(value_of(std::move(word)));
        } else if (name == "wrap") {
            line_.wrapped.push_back(value_of(std::move(word)));
        } else if (name == "defsym") {
            const auto text = value_of(std::move(word));
            line_.defined.push_back(text.substr(0, text.find('=')));
        } else if (name == "start-lib") {
            line_.doubt = "--start-lib makes members of objects";
        } else if (name == "o" || name == "output") {
            line_.output = value_of(std::move(word));
        } else if (name == "sysroot") {
            line_.sysroot = value_of(std::move(word));
        } else if (name == "T" || name == "script") {
            add({value_of(std::move(word))});
        } else if (!word.value && std::find(valued.begin(), valued.end(), name) != valued.end()) {
            // "--build-id" and its kind stand alone in two dashes; "-z now" never does.
            const bool optional = name == "build-id" || name == "threads" || name == "icf";
            if (!optional) {
                ++at_;
            }
        }
    }

    const std::vector<std::string>& argv_;
    std::size_t at_ = 0;
    LinkLine line_;
    bool whole_ = false;
    bool as_needed_ = false;
    bool archives_only_ = false;
    bool in_group_ = false;
    int groups_ = 0;
    std::vector<std::tuple<bool, bool, bool>> pushed_;
};

/// The words of a linker script; comments are left out, brackets and commas are words.
std::vector<std::string> script_words(std::string_view text)
{
    constexpr std::string_view blanks = " \t\r\n,;";
    constexpr std::string_view ends = " \t\r\n,;(){}\"";
    std::vector<std::string> words;
    while (!text.empty()) {
        const char c = text.front();
        if (text.starts_with("/*")) {
            const auto end = text.find("*/", 2);
            text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
        } else if (blanks.find(c) != std::string_view::npos) {
            text.remove_prefix(1);
        } else if (c == '"') {
            const auto end = std::min(text.find('"', 1), text.size() - 1);
            words.emplace_back(text.substr(1, end - 1));
            text.remove_prefix(end + 1);
        } else {
            const auto end =
                std::max<std::size_t>(1, std::min(text.find_first_of(ends), text.size()));
            words.emplace_back(text.substr(0, end));
            text.remove_prefix(end);
        }
    }
    return words;
}

/// What a word within these open commands is, if it is a file.
std::optional<LinkInput>
script_input(const std::vector<std::string>& open, const std::string& word, int group)
{
    const auto has = [&](std::string_view command) {
        return std::find(open.begin(), open.end(), command) != open.end();
    };
    if (!has("INPUT") && !has("GROUP") && open.back() != "STARTUP") {
        return std::nullopt;
    }
    LinkInput input;
    input.library = word.starts_with("-l");
    input.name = input.library ? word.substr(2) : word;
    input.as_needed = has("AS_NEEDED");
    input.group = has("GROUP") ? group : 0;
    return input;
}

} // namespace

LinkLine read_link_line(const std::vector<std::string>& argv)
{
    return LineReader(argv).all();
}

std::optional<std::vector<LinkInput>>
read_link_script(std::string_view text, std::vector<std::string>& wanted, int& first_group)
{
    if (text.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    std::vector<LinkInput> inputs;
    std::vector<std::string> open; // the commands whose brackets are open
    std::string before;
    for (auto& word : script_words(text)) {
        if (word == "(" || word == "{") {
            first_group += before == "GROUP" ? 1 : 0;
            open.push_back(before);
        } else if (word == ")" || word == "}") {
            if (!open.empty()) {
                open.pop_back();
            }
        } else if (open.empty() || word == "AS_NEEDED") {
            // a command's own name
        } else if (open.back() == "EXTERN") {
            wanted.push_back(word);
        } else if (auto input = script_input(open, word, first_group)) {
            inputs.push_back(std::move(*input));
        }
        before = std::move(word);
    }
    return inputs;
}

} // namespace stemma::hooks
