#pragma once

#include "stemma/core/text.hpp"

#include <string>
#include <string_view>

#include "dialect.hpp"

namespace stemma::analyzer::settings {

/// Joins lines that end in "\\" with what follows; take(line, number of its first line).
template <typename Take>
void for_logical_lines(std::string_view text, Take&& take)
{
    std::string joined;
    std::size_t first = 0;
    std::size_t number = 0;
    for (const std::string_view line : split_lines(text)) {
        ++number;
        if (joined.empty()) {
            first = number;
        }
        if (line.ends_with('\\') && joined.size() < max_setting_value) {
            joined.append(line.substr(0, line.size() - 1)).push_back(' ');
            continue;
        }
        joined.append(line);
        take(std::string_view(joined), first);
        joined.clear();
    }
    if (!joined.empty()) {
        take(std::string_view(joined), first);
    }
}

/// The same, trimmed and without comments; empty ones are left out.
template <typename Take>
void for_logical_content(std::string_view text, const Dialect& dialect, Take&& take)
{
    for_logical_lines(text, [&](std::string_view raw, std::size_t number) {
        if (const auto line = strip_comment(raw, dialect); !line.empty()) {
            take(line, number);
        }
    });
}

/// Lines as they stand, trimmed and without comments; empty ones are left out.
template <typename Take>
void for_content(std::string_view text, const Dialect& dialect, Take&& take)
{
    std::size_t number = 0;
    for (const std::string_view raw : split_lines(text)) {
        ++number;
        if (const auto line = strip_comment(raw, dialect); !line.empty()) {
            take(line, number);
        }
    }
}

} // namespace stemma::analyzer::settings
