#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::image {

/// One run of a unified comparison: lines with their first character (' ', '-' or '+') and their
/// newline, which only the last line of a file may lack.
struct TextHunk {
    std::size_t line = 1; ///< of the old text, counted from 1
    std::vector<std::string> lines;
};

/// What a unified comparison (diff -u, git diff) says of one file.
struct TextPatch {
    std::string path; ///< absolute in the image: "a/" and "b/" are taken off
    bool creates = false;
    bool deletes = false;
    std::vector<TextHunk> hunks;
};

/// name    for messages
/// throws  corrupt: not a unified comparison, a hunk whose lines are not as many as it says, a name
///         with ".."; unsupported: a rename, a mode or a binary part of git's
std::vector<TextPatch> parse_text_patches(std::string_view text, const std::string& name);

/// The text after the patch. A hunk is applied where its old lines are found exactly, nearest to
/// the line that it names; there is no guessing with less context.
/// throws  conflict: the old lines of a hunk are nowhere, or the text is there already
std::string apply_text_patch(const TextPatch& patch, const std::string& old);

} // namespace stemma::image
