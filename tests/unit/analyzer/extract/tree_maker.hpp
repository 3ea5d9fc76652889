#pragma once

#include "stemma/analyzer/extract.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/ext/ext.hpp"
#include "stemma/support/fake_clock.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace stemma::support {

/// A small system's tree in a temporary folder, and the same as tar and as ext4.
class TreeMaker {
public:
    [[nodiscard]] std::filesystem::path root() const { return folder_.path() / "tree"; }

    TreeMaker& file(const std::string& path, std::string_view content, mode_t mode = 0644)
    {
        const auto full = root() / path;
        std::filesystem::create_directories(full.parent_path());
        write_file(full, content, mode);
        return *this;
    }

    TreeMaker& folder(const std::string& path)
    {
        std::filesystem::create_directories(root() / path);
        return *this;
    }

    TreeMaker& link(const std::string& path, const std::string& target)
    {
        const auto full = root() / path;
        std::filesystem::create_directories(full.parent_path());
        std::filesystem::create_symlink(target, full);
        return *this;
    }

    [[nodiscard]] std::unique_ptr<volume::Filesystem> as_folder() const
    {
        return volume::open_folder(root().string());
    }

    [[nodiscard]] std::unique_ptr<volume::Filesystem> as_tar() const
    {
        const auto file = (folder_.path() / "tree.tar").string();
        run_checked({.argv = {"tar", "-C", root().string(), "-cf", file, "."}});
        return volume::open_tar(file);
    }

    /// Through mke2fs and our own reader; nullptr where mke2fs is missing.
    [[nodiscard]] std::unique_ptr<volume::Filesystem> as_ext4() const
    {
        if (!find_program("mke2fs")) {
            return nullptr;
        }
        const auto file = (folder_.path() / "tree.ext4").string();
        run_checked({.argv = {"mke2fs", "-q", "-t", "ext4", "-d", root().string(), file, "16M"}});
        const auto content = read_file(file);
        std::vector<std::byte> bytes(content.size());
        std::memcpy(bytes.data(), content.data(), content.size());
        return ext::open_reader(std::make_unique<volume::MemoryVolume>(std::move(bytes)));
    }

private:
    TemporaryFolder folder_{"tree-maker"};
};

inline analyzer::FeatureSet features_of(volume::Filesystem& tree,
                                        const analyzer::Definition& definition)
{
    const FakeClock clock;
    const Cancel cancel;
    return analyzer::extract(tree, definition, {.clock = clock, .cancel = cancel});
}

inline const analyzer::ExtractorReport& report_of(const analyzer::FeatureSet& set,
                                                  std::string_view extractor)
{
    for (const auto& report : set.extractors) {
        if (report.extractor == extractor) {
            return report;
        }
    }
    throw Error(ErrorCode::not_found, fmt::format("no report of {}", extractor));
}

} // namespace stemma::support
