#include "stemma/cli/args.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

namespace stemma::cli {

namespace {

std::vector<std::string> names_of(std::span<const Option> options)
{
    std::vector<std::string> names;
    for (const auto& option : options) {
        names.emplace_back(option.name);
    }
    return names;
}

const Option& find_long(std::span<const Option> options, std::string_view name)
{
    for (const auto& option : options) {
        if (option.name == name) {
            return option;
        }
    }
    const auto near = nearest(name, names_of(options));
    throw Error(ErrorCode::usage,
                fmt::format("unknown option --{}", printable(name)),
                near ? fmt::format("did you mean --{}?", *near) : "see --help");
}

const Option& find_letter(std::span<const Option> options, char letter)
{
    for (const auto& option : options) {
        if (option.letter == letter) {
            return option;
        }
    }
    throw Error(
        ErrorCode::usage, fmt::format("unknown option -{}", printable({&letter, 1})), "see --help");
}

} // namespace

/// Walks over the words of one command line.
class ArgsReader {
public:
    ArgsReader(std::span<const std::string> words, std::span<const Option> options, Args& args)
        : words_(words), options_(options), args_(args)
    {
    }

    void read(bool rest_is_command)
    {
        while (at_ < words_.size()) {
            const auto& word = words_[at_++];
            if (word == "--") {
                auto& into = rest_is_command ? args_.rest_ : args_.words_;
                into.insert(
                    into.end(), words_.begin() + static_cast<std::ptrdiff_t>(at_), words_.end());
                return;
            }
            if (word.size() > 2 && word.starts_with("--")) {
                long_option(std::string_view(word).substr(2));
            } else if (word.size() > 1 && word[0] == '-') {
                letters(std::string_view(word).substr(1));
            } else {
                args_.words_.push_back(word);
            }
        }
    }

private:
    void long_option(std::string_view text)
    {
        const auto equals = text.find('=');
        const auto& option = find_long(options_, text.substr(0, equals));
        if (equals != std::string_view::npos) {
            if (option.value.empty()) {
                throw Error(ErrorCode::usage, fmt::format("--{} takes no value", option.name));
            }
            keep(option, std::string(text.substr(equals + 1)));
        } else {
            keep(option, option.value.empty() ? std::string() : next_word(option));
        }
    }

    void letters(std::string_view text)
    {
        while (!text.empty()) {
            const auto& option = find_letter(options_, text.front());
            text.remove_prefix(1);
            if (option.value.empty()) {
                keep(option, {});
            } else {
                keep(option, text.empty() ? next_word(option) : std::string(text));
                return;
            }
        }
    }

    std::string next_word(const Option& option)
    {
        if (at_ == words_.size()) {
            throw Error(
                ErrorCode::usage,
                fmt::format("--{} needs a value: --{} {}", option.name, option.name, option.value));
        }
        return words_[at_++];
    }

    void keep(const Option& option, std::string value)
    {
        auto& values = args_.given_[std::string(option.name)];
        if (!values.empty() && !option.repeats && !option.value.empty()) {
            throw Error(ErrorCode::usage, fmt::format("--{} is given twice", option.name));
        }
        values.push_back(std::move(value));
    }

    std::span<const std::string> words_;
    std::span<const Option> options_;
    Args& args_;
    std::size_t at_ = 0;
};

Args Args::parse(std::span<const std::string> words,
                 std::span<const Option> options,
                 bool rest_is_command)
{
    Args args;
    ArgsReader(words, options, args).read(rest_is_command);
    return args;
}

bool Args::has(std::string_view option) const
{
    return given_.find(option) != given_.end();
}

std::optional<std::string> Args::value(std::string_view option) const
{
    const auto found = given_.find(option);
    if (found == given_.end()) {
        return std::nullopt;
    }
    return found->second.back();
}

std::string Args::value_or(std::string_view option, std::string_view fallback) const
{
    return value(option).value_or(std::string(fallback));
}

std::vector<std::string> Args::values(std::string_view option) const
{
    const auto found = given_.find(option);
    return found == given_.end() ? std::vector<std::string>{} : found->second;
}

std::optional<std::uint64_t>
Args::number(std::string_view option, std::uint64_t low, std::uint64_t high) const
{
    const auto text = value(option);
    if (!text) {
        return std::nullopt;
    }
    const auto number = parse_unsigned(*text);
    if (!number || *number < low || *number > high) {
        throw Error(ErrorCode::usage,
                    fmt::format("--{} takes a whole number from {} to {}, not '{}'",
                                option,
                                low,
                                high,
                                printable(*text)));
    }
    return number;
}

const std::vector<std::string>&
Args::expect_words(std::size_t least, std::size_t most, std::string_view names) const
{
    if (words_.size() < least) {
        throw Error(ErrorCode::usage,
                    fmt::format("something is missing: this takes {}", names),
                    "see --help");
    }
    if (words_.size() > most) {
        throw Error(ErrorCode::usage,
                    most == 0 ? fmt::format("'{}' is one word too many", printable(words_[most]))
                              : fmt::format("'{}' is one word too many: this takes {}",
                                            printable(words_[most]),
                                            names),
                    "see --help");
    }
    return words_;
}

} // namespace stemma::cli
