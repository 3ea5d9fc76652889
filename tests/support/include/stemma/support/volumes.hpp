#pragma once

#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/volume/volume.hpp"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

/// Files as volumes and back, and the tools that make file systems; for tests of drivers.
namespace stemma::support {

/// A tool of the system's administrator, in a locale and a time zone of its own.
inline CommandResult tool(std::vector<std::string> argv, std::string input = {})
{
    Command command{.argv = std::move(argv), .input = std::move(input)};
    command.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"},
                           {"MTOOLS_SKIP_CHECK", "1"},
                           {"TZ", "UTC"},
                           {"LC_ALL", "C.UTF-8"}};
    return run(command);
}

/// As tool(), and its failure is the test's.
inline std::string tool_checked(std::vector<std::string> argv, std::string input = {})
{
    const auto name = argv.front();
    const auto result = tool(std::move(argv), std::move(input));
    if (!result.exit.success()) {
        throw Error(ErrorCode::io, name + ": " + result.err + result.out);
    }
    return result.out;
}

inline std::unique_ptr<volume::MemoryVolume> load(const std::filesystem::path& path)
{
    return std::make_unique<volume::MemoryVolume>(read_file(path), path.filename().string());
}

inline void save(volume::Volume& volume, const std::filesystem::path& path)
{
    std::vector<std::byte> bytes(volume.size());
    volume.read(0, bytes);
    std::string text(bytes.size(), '\0');
    std::transform(bytes.begin(), bytes.end(), text.begin(), [](std::byte byte) {
        return std::to_integer<char>(byte);
    });
    write_file(path, text);
}

/// A file of zeros.
inline void make_empty(const std::filesystem::path& path, std::uint64_t bytes)
{
    write_file(path, "");
    std::filesystem::resize_file(path, bytes);
}

/// Content that differs at every place.
inline std::string pattern(std::size_t length)
{
    std::string text;
    for (std::size_t i = 0; text.size() < length; ++i) {
        text += std::to_string(i) + ";";
    }
    text.resize(length);
    return text;
}

} // namespace stemma::support
