#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::cli {

/// One option of a command: "--name", or "-n" beside it, with or without a value.
struct Option {
    std::string_view name;  ///< without dashes
    std::string_view value; ///< name of the value in the help, e.g. "FILE"; empty: a switch
    std::string_view help;
    bool repeats = false;
    char letter = 0;
};

/// A parsed command line: what was given, by option name, and the other words in order.
class Args {
    friend class ArgsReader;

public:
    /// Accepts "--name value", "--name=value", "-nvalue", "-n value", "--no-name" for switches that
    /// are declared as such, options after words, and "--" that ends options.
    /// throws  usage: unknown option (with the nearest name), missing value, an option twice
    static Args parse(std::span<const std::string> words,
                      std::span<const Option> options,
                      bool rest_is_command);

    [[nodiscard]] bool has(std::string_view option) const;
    [[nodiscard]] std::optional<std::string> value(std::string_view option) const;
    [[nodiscard]] std::string value_or(std::string_view option, std::string_view fallback) const;
    [[nodiscard]] std::vector<std::string> values(std::string_view option) const;
    /// throws  usage: not a whole number within the bounds
    [[nodiscard]] std::optional<std::uint64_t>
    number(std::string_view option, std::uint64_t low, std::uint64_t high) const;

    /// The words that are no options.
    [[nodiscard]] const std::vector<std::string>& words() const noexcept { return words_; }
    /// What followed "--" where the command takes another program's command line.
    [[nodiscard]] const std::vector<std::string>& rest() const noexcept { return rest_; }

    /// The words, when there are between `least` and `most` of them.
    /// names  for the message, e.g. "NAME FILE"
    /// throws  usage
    const std::vector<std::string>&
    expect_words(std::size_t least, std::size_t most, std::string_view names) const;

private:
    std::map<std::string, std::vector<std::string>, std::less<>> given_;
    std::vector<std::string> words_;
    std::vector<std::string> rest_;
};

} // namespace stemma::cli
