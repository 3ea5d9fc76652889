#include "text_patch.hpp"

#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <optional>

namespace stemma::image {

namespace {

/// Lines with their newlines.
std::vector<std::string> lines_of(std::string_view text)
{
    std::vector<std::string> lines;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto length = end == std::string_view::npos ? text.size() : end + 1;
        lines.emplace_back(text.substr(0, length));
        text.remove_prefix(length);
    }
    return lines;
}

/// The name in a "--- a/etc/motd\t2026-…" line; empty for /dev/null.
std::string name_in(std::string_view line)
{
    line.remove_prefix(4);
    const auto name = trim(line.substr(0, line.find('\t')));
    return name == "/dev/null" ? std::string() : std::string(name);
}

struct Counts {
    std::size_t old_line = 0;
    std::size_t old_count = 1;
    std::size_t new_count = 1;
};

/// "12,3" → 12 and 3; the count is 1 when it is not said.
bool read_range(std::string_view text, std::size_t& line, std::size_t& count)
{
    const auto comma = text.find(',');
    const auto first = parse_unsigned(text.substr(0, comma));
    const auto second = comma == std::string_view::npos ? std::optional<std::uint64_t>(1)
                                                        : parse_unsigned(text.substr(comma + 1));
    if (!first || !second || *second > 10'000'000) {
        return false;
    }
    line = *first;
    count = *second;
    return true;
}

std::optional<Counts> read_counts(std::string_view line)
{
    const auto words = split_words(trim(line));
    Counts counts;
    std::size_t new_line = 0;
    if (words.size() < 4 || words[0] != "@@" || !words[1].starts_with('-') ||
        !words[2].starts_with('+') || words[3] != "@@" ||
        !read_range(words[1].substr(1), counts.old_line, counts.old_count) ||
        !read_range(words[2].substr(1), new_line, counts.new_count)) {
        return std::nullopt;
    }
    return counts;
}

class Parser {
public:
    Parser(std::string_view text, const std::string& name) : lines_(lines_of(text)), name_(name) {}

    std::vector<TextPatch> parse()
    {
        while (at_ < lines_.size()) {
            if (lines_[at_].starts_with("--- ") && at_ + 1 < lines_.size() &&
                lines_[at_ + 1].starts_with("+++ ")) {
                read_file_part();
            } else {
                expect_skippable(lines_[at_++]);
            }
        }
        if (patches_.empty()) {
            refuse(ErrorCode::corrupt, "it is no unified comparison (diff -u)");
        }
        return std::move(patches_);
    }

private:
    [[noreturn]] void refuse(ErrorCode code, const std::string& why) const
    {
        throw Error(
            code, fmt::format("{}, line {}: {}", name_, at_ + 1, why), "nothing was changed");
    }

    /// Words between the parts may say anything, but not what would be left undone.
    void expect_skippable(const std::string& line) const
    {
        for (const std::string_view start :
             {"rename ", "copy ", "old mode ", "new mode ", "GIT binary patch", "Binary files "}) {
            if (line.starts_with(start)) {
                refuse(ErrorCode::unsupported,
                       fmt::format("\"{}\" is more than a change of text", printable(trim(line))));
            }
        }
        if (line.starts_with("@@ ")) {
            refuse(ErrorCode::corrupt, "a hunk without the name of its file");
        }
    }

    std::string image_path(std::string name) const
    {
        if (name.starts_with("a/") || name.starts_with("b/")) {
            name.erase(0, 2);
        }
        const auto safe = archive::safe_path(name);
        if (!safe || safe->empty()) {
            refuse(ErrorCode::corrupt,
                   fmt::format("the name \"{}\" leads out of the tree", printable(name)));
        }
        return "/" + *safe;
    }

    void read_file_part()
    {
        const auto old_name = name_in(lines_[at_]);
        const auto new_name = name_in(lines_[at_ + 1]);
        if (old_name.empty() && new_name.empty()) {
            refuse(ErrorCode::corrupt, "a part that names no file");
        }
        TextPatch patch;
        patch.creates = old_name.empty();
        patch.deletes = new_name.empty();
        patch.path = image_path(patch.deletes ? old_name : new_name);
        at_ += 2;
        while (at_ < lines_.size() && lines_[at_].starts_with("@@ ")) {
            patch.hunks.push_back(read_hunk());
        }
        if (patch.hunks.empty()) {
            refuse(ErrorCode::corrupt, "a file without a hunk");
        }
        patches_.push_back(std::move(patch));
    }

    TextHunk read_hunk()
    {
        const auto counts = read_counts(lines_[at_]);
        if (!counts) {
            refuse(ErrorCode::corrupt, "not the head of a hunk");
        }
        ++at_;
        TextHunk hunk{.line = counts->old_line, .lines = {}};
        std::size_t old_left = counts->old_count;
        std::size_t new_left = counts->new_count;
        while (old_left != 0 || new_left != 0) {
            take_line(hunk, old_left, new_left);
        }
        drop_newline_if_told(hunk);
        return hunk;
    }

    void take_line(TextHunk& hunk, std::size_t& old_left, std::size_t& new_left)
    {
        drop_newline_if_told(hunk);
        if (at_ >= lines_.size()) {
            refuse(ErrorCode::corrupt, "the hunk is cut off");
        }
        // Mail programs take the blank off an empty line.
        std::string line = lines_[at_] == "\n" ? " \n" : lines_[at_];
        const char kind = line.front();
        std::size_t none = 1;
        std::size_t& in_old = kind == '+' ? none : old_left;
        std::size_t& in_new = kind == '-' ? none : new_left;
        if ((kind != ' ' && kind != '-' && kind != '+') || in_old == 0 || in_new == 0) {
            refuse(ErrorCode::corrupt, "the hunk has other lines than its head says");
        }
        --in_old;
        --in_new;
        hunk.lines.push_back(std::move(line));
        ++at_;
    }

    /// "\ No newline at end of file" speaks of the line before it.
    void drop_newline_if_told(TextHunk& hunk)
    {
        if (at_ < lines_.size() && lines_[at_].starts_with("\\ ") && !hunk.lines.empty()) {
            if (hunk.lines.back().ends_with('\n')) {
                hunk.lines.back().pop_back();
            }
            ++at_;
        }
    }

    std::vector<std::string> lines_;
    const std::string& name_;
    std::size_t at_ = 0;
    std::vector<TextPatch> patches_;
};

/// The hunk's lines without those that only the other side has.
std::vector<std::string> side_of(const TextHunk& hunk, char other)
{
    std::vector<std::string> lines;
    for (const std::string& line : hunk.lines) {
        if (line.front() != other) {
            lines.push_back(line.substr(1));
        }
    }
    return lines;
}

bool stands_at(const std::vector<std::string>& text,
               const std::vector<std::string>& wanted,
               std::size_t at)
{
    return at + wanted.size() <= text.size() &&
           std::equal(wanted.begin(), wanted.end(), text.begin() + static_cast<std::ptrdiff_t>(at));
}

/// Where `wanted` stands, at or after `from`, nearest to `guess`.
std::optional<std::size_t> find_nearest(const std::vector<std::string>& text,
                                        const std::vector<std::string>& wanted,
                                        std::size_t from,
                                        std::size_t guess)
{
    for (std::size_t away = 0; away <= text.size(); ++away) {
        if (guess + away <= text.size() && guess + away >= from &&
            stands_at(text, wanted, guess + away)) {
            return guess + away;
        }
        if (away <= guess && guess - away >= from && stands_at(text, wanted, guess - away)) {
            return guess - away;
        }
    }
    return std::nullopt;
}

[[noreturn]] void refuse_hunk(const TextPatch& patch, const TextHunk& hunk, bool done_before)
{
    throw Error(ErrorCode::conflict,
                fmt::format("{}: the lines that the patch expects near line {} are not there",
                            printable(patch.path),
                            hunk.line),
                done_before ? "its new lines are there: the patch seems to be applied already"
                            : "the file in the image is another one than the patch was made for");
}

} // namespace

std::vector<TextPatch> parse_text_patches(std::string_view text, const std::string& name)
{
    return Parser(text, name).parse();
}

std::string apply_text_patch(const TextPatch& patch, const std::string& old)
{
    const auto text = lines_of(old);
    std::string fresh;
    std::size_t done = 0; // lines of the old text that are in `fresh` or replaced
    std::ptrdiff_t moved = 0;
    for (const TextHunk& hunk : patch.hunks) {
        const auto before = side_of(hunk, '+');
        const auto after = side_of(hunk, '-');
        // A hunk without old lines names the line after which it goes.
        const std::size_t named = before.empty() || hunk.line == 0 ? hunk.line : hunk.line - 1;
        const auto shifted = static_cast<std::ptrdiff_t>(named) + moved;
        const auto guess = static_cast<std::size_t>(std::max<std::ptrdiff_t>(shifted, 0));
        const auto place = find_nearest(text, before, done, std::min(guess, text.size()));
        if (!place) {
            refuse_hunk(patch, hunk, find_nearest(text, after, 0, 0).has_value());
        }
        moved = static_cast<std::ptrdiff_t>(*place) - static_cast<std::ptrdiff_t>(named);
        for (; done < *place; ++done) {
            fresh += text[done];
        }
        for (const std::string& line : after) {
            fresh += line;
        }
        done += before.size();
    }
    for (; done < text.size(); ++done) {
        fresh += text[done];
    }
    return fresh;
}

} // namespace stemma::image
