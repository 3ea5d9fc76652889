#include "trees.hpp"

#include "stemma/analyzer/extract_image.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/volume/filesystem.hpp"

#include <array>

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 6> tar_endings = {
    ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"};
constexpr std::array<std::string_view, 6> image_endings = {
    ".img", ".raw", ".qcow2", ".ext4", ".vmdk", ".vdi"};

template <typename Endings>
std::string_view ending_of(const std::string& name, const Endings& endings)
{
    for (const std::string_view ending : endings) {
        if (name.size() > ending.size() && name.ends_with(ending)) {
            return ending;
        }
    }
    return {};
}

} // namespace

analyzer::FeatureSet features_of_tree(const Context& context,
                                      const analyzer::Definition& definition,
                                      const fs::path& path)
{
    const analyzer::ExtractOptions extraction{.clock = context.clock(), .cancel = context.cancel()};
    const bool folder = fs::is_directory(path);
    if (folder || !ending_of(path.filename(), tar_endings).empty()) {
        const auto tree = folder ? volume::open_folder(path) : volume::open_tar(path);
        return analyzer::extract(*tree, definition, extraction);
    }
    disk::OpenOptions options;
    options.allow.assign(context.settings.image_allow.begin(), context.settings.image_allow.end());
    options.allow.push_back(context.state_folder / "images");
    return analyzer::extract_image(
        disk::open_disk(path.string(), options), std::nullopt, definition, extraction);
}

bool is_called_tree(const fs::directory_entry& entry)
{
    const std::string name = entry.path().filename();
    return entry.is_directory() || !ending_of(name, tar_endings).empty() ||
           !ending_of(name, image_endings).empty();
}

bool is_called_image(const fs::path& path)
{
    return !fs::is_directory(path) && !ending_of(path.filename(), image_endings).empty();
}

std::string name_of_tree(const fs::path& path)
{
    std::string name = (path.filename().empty() ? path.parent_path() : path).filename();
    std::string_view ending = ending_of(name, tar_endings);
    if (ending.empty()) {
        ending = ending_of(name, image_endings);
    }
    name.resize(name.size() - (fs::is_directory(path) ? 0 : ending.size()));
    return name;
}

} // namespace stemma::cli
