#include "session_process.hpp"

#include "stemma/core/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace stemma::hooks {

namespace {

constexpr std::size_t largest_response_file = std::size_t{4} << 20U;
constexpr std::size_t most_words = 200'000;

std::optional<std::string> read_small_file(const std::string& path)
{
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    std::string text(largest_response_file, '\0');
    const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
    if (got < 0) {
        return std::nullopt;
    }
    text.resize(static_cast<std::size_t>(got));
    return text;
}

/// Words as libiberty's buildargv() splits them: quotes, and "\" before any character.
std::vector<std::string> words_of(std::string_view text)
{
    std::vector<std::string> words;
    std::string word;
    bool inside = false;
    char quote = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool blank =
            c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
        if (c == '\\' && i + 1 < text.size()) {
            word.push_back(text[++i]);
            inside = true;
        } else if (quote != 0) {
            quote = c == quote ? char{0} : quote;
            if (quote != 0) {
                word.push_back(c);
            }
        } else if (c == '\'' || c == '"') {
            quote = c;
            inside = true;
        } else if (!blank) {
            word.push_back(c);
            inside = true;
        } else if (inside) {
            words.push_back(std::move(word));
            word.clear();
            inside = false;
        }
    }
    if (inside) {
        words.push_back(std::move(word));
    }
    return words;
}

void expand_into(std::vector<std::string>& result,
                 std::vector<std::string> words,
                 const std::string& folder,
                 int depth)
{
    constexpr int deepest = 16;
    for (auto& word : words) {
        if (word.size() < 2 || word.front() != '@' || depth > deepest ||
            result.size() > most_words) {
            result.push_back(std::move(word));
            continue;
        }
        const auto name = word.substr(1);
        const auto text = read_small_file(
            name.front() == '/' ? name : std::string(folder).append("/").append(name));
        if (text) {
            expand_into(result, words_of(*text), folder, depth + 1);
        } else {
            result.push_back(std::move(word));
        }
    }
}

} // namespace

std::vector<std::string> expanded(std::vector<std::string> argv, const std::string& folder)
{
    const bool has_any = std::any_of(argv.begin(), argv.end(), [](const std::string& word) {
        return word.size() > 1 && word.front() == '@';
    });
    if (!has_any) {
        return argv;
    }
    std::vector<std::string> result;
    expand_into(result, std::move(argv), folder, 0);
    return result;
}

std::set<std::uint64_t> Session::Process::parts_behind(const std::string& output) const
{
    std::set<std::uint64_t> found;
    const auto last = last_writer.find(output);
    if (last == last_writer.end()) {
        return found;
    }
    std::vector<std::uint64_t> open = {last->second};
    while (!open.empty()) {
        const auto serial = open.back();
        open.pop_back();
        const auto part = parts.find(serial);
        if (found.insert(serial).second && part != parts.end()) {
            open.insert(open.end(), part->second.from.begin(), part->second.from.end());
        }
    }
    found.erase(record.serial); // the driver made the temporary files' names
    return found;
}

std::vector<Session::Process::Group> Session::Process::separate_outputs() const
{
    if (role != Role::compiler || made.size() < 2 || parts.size() < 3) {
        return {};
    }
    std::vector<std::pair<std::set<std::uint64_t>, std::set<VersionId>>> sets;
    for (const auto& [path, id] : made) {
        auto behind = parts_behind(path);
        std::set<VersionId> outputs = {id};
        // Outputs that share a process belong together: an object and its dependency file.
        for (auto other = sets.begin(); other != sets.end();) {
            const bool shares =
                std::any_of(behind.begin(), behind.end(), [&](std::uint64_t serial) {
                    return other->first.count(serial) != 0;
                });
            if (shares) {
                behind.insert(other->first.begin(), other->first.end());
                outputs.insert(other->second.begin(), other->second.end());
                other = sets.erase(other);
            } else {
                ++other;
            }
        }
        sets.emplace_back(std::move(behind), std::move(outputs));
    }
    if (sets.size() < 2) {
        return {};
    }
    std::vector<Group> groups;
    for (auto& [behind, outputs] : sets) {
        behind.insert(record.serial); // the driver is part of all
        Group group;
        group.outputs = std::move(outputs);
        for (const auto serial : behind) {
            if (const auto part = parts.find(serial); part != parts.end()) {
                group.reads.insert(part->second.reads.begin(), part->second.reads.end());
                group.images.insert(part->second.images.begin(), part->second.images.end());
            }
        }
        groups.push_back(std::move(group));
    }
    return groups;
}

} // namespace stemma::hooks
