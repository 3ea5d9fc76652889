#include "stemma/cli/settings.hpp"

#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"

namespace stemma::cli {

namespace {

std::string resolved(const config::Node& node)
{
    const auto base = std::filesystem::absolute(node.folder());
    return normal_path(node.text(), base).string();
}

} // namespace

Settings load_settings(const std::filesystem::path& file)
{
    const auto root = config::Node::load(file);
    root.allow_only({"version", "store", "images"});
    if (root.at("version").integer() != 1) {
        root.at("version").refuse("only version 1 is known",
                                  "a newer stemma wrote this file: use that one");
    }
    Settings settings;
    if (const auto store = root.find("store")) {
        const bool is_url = store->text().find(':') != std::string::npos;
        settings.store = is_url ? store->text() : resolved(*store);
    }
    if (const auto images = root.find("images")) {
        images->allow_only({"allow"});
        if (const auto allow = images->find("allow")) {
            for (const auto& folder : allow->elements()) {
                settings.image_allow.push_back(resolved(folder));
            }
        }
    }
    return settings;
}

std::string settings_template()
{
    return R"(# Settings of Stemma for everything below this folder.
version: 1

# The lineage store: a file (relative to this one), sqlite:PATH, or postgresql://USER@HOST/DATABASE
# store: .stemma/lineage.db

# images:
#   # Folders that backing files of images may lie in, besides the image's own and .stemma/images.
#   allow:
#     - /var/lib/libvirt/images
)";
}

} // namespace stemma::cli
