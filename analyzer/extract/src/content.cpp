#include "content.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <set>
#include <unordered_set>

#include "owners.hpp"
#include "patterns.hpp"
#include "references.hpp"

namespace stemma::analyzer {

namespace {

using volume::NodeInfo;
using volume::NodeKind;

constexpr std::size_t longest_head_line = 1024;
constexpr std::size_t binary_probe = 8192;

/// What the rules together want of one file.
struct Wish {
    FileRule files{};     ///< only its switches
    std::string parser{}; ///< empty: not parsed
    bool any_files = false;
};

/// A node that some rule matches, kept until the walk is over.
struct Match {
    std::string path;
    NodeInfo info;
    Wish wish;
};

/// What one reading of a file's content gives.
struct Reading {
    Sha256 hash;
    std::uint64_t size = 0;
    std::uint64_t newlines = 0;
    char last = '\n';
    std::string kept; ///< the beginning, as far as parser and head need it
};

class ContentExtractor {
public:
    ContentExtractor(Source& source, const SettingsParser& parser, Sink& files, Sink& settings)
        : source_(source),
          parser_(parser),
          files_(files),
          settings_(settings),
          owners_(source, files),
          references_(source)
    {
        for (const auto& rule : source.definition.files) {
            file_patterns_.emplace_back(rule.paths, rule.exclude);
        }
        for (const auto& rule : source.definition.settings) {
            settings_patterns_.emplace_back(rule.paths, rule.exclude);
        }
    }

    void run()
    {
        for (const auto& root : roots()) {
            walk_from(root);
        }
        for (const auto& match : matches_) {
            if (match.info.kind == NodeKind::file && !match.wish.parser.empty()) {
                parsed_inodes_.insert(match.info.inode);
            }
        }
        for (auto& match : matches_) {
            if (source_.late()) {
                files_.miss("files after the time was over", match.path);
                settings_.miss("files after the time was over", match.path);
                return;
            }
            take(match);
        }
        for (auto& feature : references_.lonely_sockets()) {
            settings_.add(std::move(feature));
        }
    }

private:
    /// Outermost folders only: a tree is walked once, however many patterns lead into it.
    [[nodiscard]] std::vector<std::string> roots() const
    {
        std::set<std::string> all;
        for (const auto* group : {&file_patterns_, &settings_patterns_}) {
            for (const auto& patterns : *group) {
                all.insert(patterns.roots().begin(), patterns.roots().end());
            }
        }
        std::vector<std::string> outer;
        for (const auto& root : all) {
            const bool inside = std::any_of(outer.begin(), outer.end(), [&](const auto& other) {
                return other == "/" || root == other || root.starts_with(other + "/");
            });
            if (!inside) {
                outer.push_back(root);
            }
        }
        return outer;
    }

    void walk_from(const std::string& root)
    {
        std::uint64_t visited = 0;
        volume::walk(
            source_.tree,
            root,
            [&](const std::string& path, const NodeInfo& info) {
                if (++visited % 1024 == 0 && source_.late()) {
                    files_.miss("folders after the time was over", path);
                    return false;
                }
                note(path, info);
                return info.kind == NodeKind::directory && may_match_below(path);
            },
            [&](const std::string& path, const std::string& why) {
                if (source_.exists(root)) { // a root that is missing is no damage
                    files_.miss("places unreadable", fmt::format("{} ({})", path, why));
                    settings_.miss("places unreadable", fmt::format("{} ({})", path, why));
                }
            });
    }

    [[nodiscard]] bool may_match_below(const std::string& folder) const
    {
        const auto reaches = [&](const Patterns& patterns) {
            return patterns.may_match_below(folder);
        };
        return std::any_of(file_patterns_.begin(), file_patterns_.end(), reaches) ||
               std::any_of(settings_patterns_.begin(), settings_patterns_.end(), reaches);
    }

    void note(const std::string& path, const NodeInfo& info)
    {
        Wish wish;
        wish.files.attributes = false;
        for (std::size_t i = 0; i < file_patterns_.size(); ++i) {
            if (file_patterns_[i].matches(path)) {
                const auto& rule = source_.definition.files[i];
                wish.any_files = true;
                wish.files.attributes |= rule.attributes;
                wish.files.hash |= rule.hash;
                wish.files.size |= rule.size;
                wish.files.package |= rule.package;
                wish.files.lines |= rule.lines;
                wish.files.head = std::max(wish.files.head, rule.head);
            }
        }
        for (std::size_t i = 0; i < settings_patterns_.size() && wish.parser.empty(); ++i) {
            if (settings_patterns_[i].matches(path)) {
                wish.parser = source_.definition.settings[i].parser;
            }
        }
        if (wish.any_files || !wish.parser.empty()) {
            if (matches_.size() >= source_.definition.budget.features) {
                files_.miss("files beyond the budget", path);
                return;
            }
            matches_.push_back({path, info, std::move(wish)});
        }
    }

    void take(Match& match)
    {
        try {
            if (match.wish.files.attributes) {
                add_attributes(match);
            }
            if (match.wish.files.package && match.info.kind != NodeKind::directory) {
                if (const auto& owner = owners_.owner_of(match.path); !owner.empty()) {
                    add_file(match, "package", owner);
                }
            }
            if (match.info.kind == NodeKind::symlink) {
                follow_for_settings(match);
            } else if (match.info.kind == NodeKind::file) {
                take_content(match);
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            auto& sink = match.wish.any_files ? files_ : settings_;
            sink.miss("files unreadable", fmt::format("{} ({})", match.path, error.message()));
        }
    }

    void add_file(const Match& match,
                  std::string_view attribute,
                  std::string_view value,
                  ValueType type = ValueType::text)
    {
        auto feature = plain_feature("file", match.path, attribute, value);
        feature.value_type = type;
        feature.file = match.path;
        files_.add(std::move(feature));
    }

    void add_attributes(const Match& match)
    {
        if (match.info.kind == NodeKind::symlink) {
            // Mode and owner of a link say nothing.
            add_file(match, "target", source_.tree.read_link(match.path), ValueType::path);
            return;
        }
        add_file(match, "mode", fmt::format("{:04o}", match.info.mode), ValueType::mode);
        add_file(match, "owner", source_.accounts.user(match.info.uid));
        add_file(match, "group", source_.accounts.group(match.info.gid));
        if (match.info.kind != NodeKind::file) {
            add_file(match, "kind", to_string(match.info.kind));
        }
    }

    /// A link is parsed under its own name where its target is not parsed under another one:
    /// /etc/resolv.conf → /run/…, but not sites-enabled/x → sites-available/x.
    void follow_for_settings(Match& match)
    {
        if (match.wish.parser.empty()) {
            return;
        }
        const auto target = source_.tree.look_through(match.path);
        if (target && target->kind == NodeKind::file && parsed_inodes_.count(target->inode) == 0) {
            match.info = *target;
            match.wish.any_files = false;
            take_content(match);
        }
    }

    void take_content(const Match& match)
    {
        const auto& budget = source_.definition.budget;
        const auto& wish = match.wish;
        const bool wants_files =
            wish.any_files && (wish.files.hash || wish.files.lines || wish.files.head > 0);
        bool read_files = wants_files;
        bool parse = !wish.parser.empty();
        if (wish.any_files && wish.files.size) {
            add_file(match, "size", std::to_string(match.info.size), ValueType::number);
        }
        if (wants_files && match.info.size > budget.file_bytes) {
            files_.miss(fmt::format("files over {}, not read", human_size(budget.file_bytes)),
                        match.path);
            read_files = false;
        }
        if (parse && match.info.size > budget.settings_bytes) {
            settings_.miss(
                fmt::format("files over {}, not parsed", human_size(budget.settings_bytes)),
                match.path);
            parse = false;
        }
        if (!read_files && !parse) {
            return;
        }
        auto reading =
            read(match, parse ? budget.settings_bytes : wish.files.head * longest_head_line);
        if (!reading) {
            return;
        }
        if (read_files) {
            add_reading(match, *reading);
        }
        if (parse) {
            add_settings(match, reading->kept);
        }
    }

    /// nullopt where the budget of bytes ends.
    std::optional<Reading> read(const Match& match, std::uint64_t keep)
    {
        Reading reading;
        bool over = false;
        source_.tree.read(match.path, [&](std::string_view piece) {
            source_.cancel.check();
            total_ += piece.size();
            over = total_ > source_.definition.budget.total_bytes ||
                   reading.size + piece.size() > source_.definition.budget.file_bytes;
            if (over || piece.empty()) {
                return false;
            }
            reading.hash.update(piece);
            reading.size += piece.size();
            reading.newlines +=
                static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
            reading.last = piece.back();
            if (reading.kept.size() < keep) {
                reading.kept += piece.substr(0, keep - reading.kept.size());
            }
            return true;
        });
        if (over) {
            files_.miss("files beyond the bytes that may be read", match.path);
            return std::nullopt;
        }
        return reading;
    }

    void add_reading(const Match& match, Reading& reading)
    {
        const auto& wish = match.wish.files;
        if (wish.hash) {
            add_file(match, "sha256", reading.hash.finish().hex(), ValueType::digest);
        }
        if (wish.lines) {
            const auto lines = reading.newlines + (reading.last == '\n' ? 0 : 1);
            add_file(match, "lines", std::to_string(lines), ValueType::number);
        }
        std::uint32_t number = 0;
        for (const auto line : split_lines(reading.kept)) {
            if (++number > wish.head) {
                break;
            }
            add_file(match, fmt::format("line[{}]", number), line.substr(0, longest_head_line));
            // The line itself is named by the attribute, and by where it stands.
        }
    }

    void add_settings(const Match& match, const std::string& content)
    {
        if (content.substr(0, binary_probe).find('\0') != std::string::npos) {
            return; // no text: there is nothing to be parsed, and its hash is among the files
        }
        for (auto& feature : parser_(match.path, content, match.wish.parser)) {
            auto missing = references_.check(feature);
            settings_.add(std::move(feature));
            if (missing) {
                settings_.add(std::move(*missing));
            }
        }
    }

    Source& source_;
    const SettingsParser& parser_;
    Sink& files_;
    Sink& settings_;
    std::vector<Patterns> file_patterns_;
    std::vector<Patterns> settings_patterns_;
    std::vector<Match> matches_;
    Owners owners_;
    References references_;
    std::unordered_set<std::uint64_t> parsed_inodes_;
    std::uint64_t total_ = 0;
};

} // namespace

void extract_content(Source& source, const SettingsParser& parser, Sink& files, Sink& settings)
{
    ContentExtractor(source, parser, files, settings).run();
}

} // namespace stemma::analyzer
