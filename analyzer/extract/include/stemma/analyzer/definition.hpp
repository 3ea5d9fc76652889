#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Files of a tree to be looked at, and what of them.
struct FileRule {
    std::vector<std::string> paths;   ///< patterns from "/": "*" within a folder, "**" across
    std::vector<std::string> exclude; ///< patterns that are left out again
    bool attributes = true;           ///< mode, owner, group, kind, target of a link
    bool hash = false;                ///< sha256 of regular files
    bool size = false;
    bool lines = false;     ///< number of lines
    bool package = false;   ///< the package that it came with
    std::uint32_t head = 0; ///< so many first lines, 0..100
};

/// Configuration files to be parsed.
struct SettingsRule {
    std::vector<std::string> paths;
    std::vector<std::string> exclude;
    std::string parser = "auto"; ///< a dialect's name, or "auto": by path and content
};

/// Keys of a file of Windows' registry, whose values are settings.
struct RegistryRule {
    std::string hive; ///< path of the file
    std::vector<std::string>
        keys;                ///< "Microsoft\\Windows NT\\CurrentVersion", from the hive's root
    std::uint32_t depth = 8; ///< of keys below them, 0..64
};

/// What an extraction may cost. Where a bound is met, the extractor ends as `partial` and says so.
struct Budget {
    std::uint64_t features = 500'000;           ///< per extractor
    std::uint64_t file_bytes = 64ULL << 20U;    ///< larger files are not hashed
    std::uint64_t settings_bytes = 4ULL << 20U; ///< larger files are not parsed
    std::uint64_t total_bytes = 4ULL << 30U;    ///< content read in all
    std::uint32_t seconds = 60;
};

/// What to extract. Format: docs/analyzer.md#definitions.
struct Definition {
    std::string name;
    std::vector<FileRule> files;
    std::vector<SettingsRule> settings;
    std::vector<RegistryRule> registry;
    std::vector<std::string> packages;   ///< of "dpkg", "apk", "rpm"
    std::vector<std::string> extractors; ///< of extractor_names()
    Budget budget;

    [[nodiscard]] bool wants(std::string_view extractor) const noexcept;
};

/// "boot", "cron", "groups", "mounts", "network", "system", "units", "users", "vm".
const std::vector<std::string>& extractor_names();

/// name    what messages call the text
/// throws  config: FILE:LINE:COLUMN and what is wrong there
Definition parse_definition(std::string_view text, const std::string& name);
Definition load_definition(const std::filesystem::path& path);

/// analyzer/definitions/default.yaml, as it was when this was built.
std::string_view default_definition_text() noexcept;
Definition default_definition();

} // namespace stemma::analyzer
