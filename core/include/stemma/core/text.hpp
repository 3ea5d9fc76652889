#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stemma {

/// Splits at every `separator`; "a,,b" gives three parts, "" gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);
/// Words between spaces and tabs; no empty ones.
std::vector<std::string_view> split_words(std::string_view text);
/// Lines without their "\n" (a "\r" before it is dropped too); no empty last one.
std::vector<std::string_view> split_lines(std::string_view text);
/// Without blanks (space, \t, \r, \n, \f, \v) at both ends.
std::string_view trim(std::string_view text) noexcept;
// The four above return views of their argument: a temporary string would be gone before they are
// read, so it is refused here.
template <std::same_as<std::string> Temporary>
void split(Temporary&&, char) = delete;
template <std::same_as<std::string> Temporary>
void split_words(Temporary&&) = delete;
template <std::same_as<std::string> Temporary>
void split_lines(Temporary&&) = delete;
template <std::same_as<std::string> Temporary>
void trim(Temporary&&) = delete;
std::string join(std::span<const std::string> parts, std::string_view separator);
/// ASCII only.
std::string to_lower(std::string_view text);
bool is_digits(std::string_view text) noexcept;
/// A whole unsigned decimal number; nullopt when anything else is there or it does not fit.
std::optional<std::uint64_t> parse_unsigned(std::string_view text) noexcept;

/// Lower-case hexadecimal digits of the bytes.
std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view text);
/// 0..15, or -1.
int hex_value(char digit) noexcept;
/// RFC 4648 with padding.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

/// Valid UTF-8 (no surrogates, no overlong forms).
bool is_utf8(std::string_view bytes) noexcept;
/// For people: control bytes and bytes that are not UTF-8 as \xNN, newline as \n; one line.
std::string printable(std::string_view bytes);
/// Columns that a terminal needs for UTF-8 text (wide characters count two).
std::size_t display_width(std::string_view text) noexcept;

/// Shell pattern: "*" (also across "/" unless `path_aware`), "?", "[a-z]", "\" escapes; with
/// path_aware "**" crosses "/". Runs in time |pattern| × |text|.
bool glob_match(std::string_view pattern, std::string_view text, bool path_aware = false) noexcept;

/// Damerau–Levenshtein distance, for "did you mean".
std::size_t edit_distance(std::string_view a, std::string_view b);
/// The candidate nearest to `word` when it is near enough to be a slip.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// "1.4 MiB", "312 B".
std::string human_size(std::uint64_t bytes);

/// The word as a shell would need it: quoted only where it must be.
std::string shell_quote(std::string_view word);
std::string shell_join(std::span<const std::string> words);

} // namespace stemma
