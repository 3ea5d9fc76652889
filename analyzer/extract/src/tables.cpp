#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <map>

#include "sink.hpp"

/// Mounts and cron: tables of lines whose first columns name the record.
namespace stemma::analyzer {

namespace {

constexpr std::size_t most_lines = 100'000;

/// Lines with something on them, in order, with their number.
template <typename Use>
void each_line(const std::string& text, Use&& use)
{
    std::uint32_t number = 0;
    for (const auto line : split_lines(text)) {
        if (++number > most_lines) {
            return;
        }
        const auto content = trim(line);
        if (!content.empty() && content.front() != '#') {
            use(number, content);
        }
    }
}

/// "word" and what follows its blanks.
std::pair<std::string_view, std::string_view> first_word(std::string_view text)
{
    const auto end = text.find_first_of(" \t");
    if (end == std::string_view::npos) {
        return {text, {}};
    }
    return {text.substr(0, end), trim(text.substr(end))};
}

/// What has no place in the tree ("swap", a second one "swap#2") is told apart by its turn: its
/// device is its source, and differs between VMs that are otherwise alike.
std::string mount_identity(const std::vector<std::string_view>& words,
                           std::map<std::string, int, std::less<>>& placeless)
{
    if (words[1] != "none" && words[1] != "swap") {
        return std::string(words[1]);
    }
    const int turn = ++placeless[std::string(words[2])];
    return turn == 1 ? std::string(words[2]) : fmt::format("{}#{}", words[2], turn);
}

void mount_line(Adder& add,
                std::string_view line,
                std::map<std::string, int, std::less<>>& placeless)
{
    const auto words = split_words(line);
    if (words.size() < 3) {
        add.damage(line, line);
        return;
    }
    const std::string identity = mount_identity(words, placeless);
    add(identity, "source", words[0], ValueType::path);
    add(identity, "type", words[2]);
    for (const auto option : split(words.size() > 3 ? words[3] : "defaults", ',')) {
        const auto equals = option.find('=');
        if (option.empty()) {
            continue;
        }
        if (equals == std::string_view::npos) {
            add.element(identity, "options", option);
        } else {
            add(identity,
                "options/" + std::string(option.substr(0, equals)),
                option.substr(equals + 1));
        }
    }
    add(identity, "dump", words.size() > 4 ? words[4] : "0", ValueType::number);
    add(identity, "pass", words.size() > 5 ? words[5] : "0", ValueType::number);
}

/// "NAME = value" sets the environment of the lines after it.
bool is_assignment(std::string_view line)
{
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) {
        return false;
    }
    const auto name = trim(line.substr(0, equals));
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '_';
    });
}

struct Job {
    std::string_view schedule;
    std::string_view user;
    std::string_view command;
};

std::optional<Job> job_from(std::string_view line, bool with_user)
{
    Job job;
    std::string_view rest = line;
    const int columns = line.front() == '@' ? 1 : 5;
    for (int i = 0; i < columns; ++i) {
        rest = first_word(rest).second;
    }
    job.schedule = trim(line.substr(0, line.size() - rest.size()));
    if (with_user) {
        std::tie(job.user, rest) = first_word(rest);
    }
    job.command = rest;
    if (rest.empty()) {
        return std::nullopt;
    }
    return job;
}

/// The job's identity is its command: a changed time or user is then a change of that job.
void cron_file(Source& source, Sink& sink, const std::string& path, bool with_user)
{
    const auto text = source.text(path, sink);
    if (!text) {
        return;
    }
    Adder add{sink, "cron", path};
    each_line(*text, [&](std::uint32_t number, std::string_view line) {
        add.line = number;
        if (line.front() != '@' && is_assignment(line)) {
            const auto equals = line.find('=');
            add(path, trim(line.substr(0, equals)), trim(line.substr(equals + 1)));
            return;
        }
        const auto job = job_from(line, with_user);
        if (!job) {
            add.damage(path, line);
            return;
        }
        const auto identity = fmt::format("{}:[{}]", path, job->command);
        add(identity, "schedule", job->schedule);
        if (with_user) {
            add(identity, "user", job->user);
        }
        add(identity, "command", job->command);
    });
}

} // namespace

void extract_mounts(Source& source, Sink& sink)
{
    const std::string path = "/etc/fstab";
    const auto text = source.text(path, sink);
    if (!text) {
        sink.unsupported("there is no /etc/fstab");
        return;
    }
    Adder add{sink, "mount", path};
    std::map<std::string, int, std::less<>> placeless;
    each_line(*text, [&](std::uint32_t number, std::string_view line) {
        add.line = number;
        mount_line(add, line, placeless);
    });
}

void extract_cron(Source& source, Sink& sink)
{
    cron_file(source, sink, "/etc/crontab", true);
    for (const auto& entry : source.list("/etc/cron.d", sink)) {
        if (entry.name != ".placeholder") {
            cron_file(source, sink, "/etc/cron.d/" + entry.name, true);
        }
    }
    for (const auto* folder : {"/var/spool/cron/crontabs", "/var/spool/cron"}) {
        for (const auto& entry : source.list(folder, sink)) {
            if (entry.kind == volume::NodeKind::file) {
                cron_file(source, sink, fmt::format("{}/{}", folder, entry.name), false);
            }
        }
    }
    for (const auto* period : {"hourly", "daily", "weekly", "monthly"}) {
        const auto folder = fmt::format("/etc/cron.{}", period);
        for (const auto& entry : source.list(folder, sink)) {
            if (entry.name != ".placeholder" && entry.kind != volume::NodeKind::directory) {
                Adder{sink, "cron", fmt::format("{}/{}", folder, entry.name)}.element(
                    folder, "scripts", entry.name);
            }
        }
    }
}

} // namespace stemma::analyzer
