#include "stemma/analyzer/extract_image.hpp"

#include "stemma/core/error.hpp"
#include "stemma/disk/disk.hpp"

namespace stemma::analyzer {

FeatureSet extract_image(std::unique_ptr<volume::Volume> disk,
                         std::optional<std::uint32_t> partition,
                         const Definition& definition,
                         const ExtractOptions& options)
{
    const auto name = disk->name();
    const auto text = disk::compute_on_root(
        std::move(disk),
        partition,
        [&](volume::Filesystem& tree) {
            return to_json(extract(tree, definition, options)).dump();
        },
        &options.cancel);
    return doing(
        [&] { return features_from_json(Json::parse(text)); }, "reading the features of {}", name);
}

} // namespace stemma::analyzer
