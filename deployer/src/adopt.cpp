#include "stemma/deployer/adopt.hpp"

#include "stemma/core/error.hpp"
#include "stemma/deployer/host_store.hpp"
#include "stemma/volume/container.hpp"

#include <algorithm>

namespace stemma::deployer {

namespace {

const virt::DiskInfo* system_disk_of(const virt::DomainDescription& domain)
{
    const auto found = std::ranges::find_if(domain.disks, [](const virt::DiskInfo& disk) {
        return disk.device == "disk" && !disk.source.empty();
    });
    return found == domain.disks.end() ? nullptr : &*found;
}

/// The image whose content this file shows; nullptr when it is none's.
const lineage::ImageInfo* image_of(const volume::Container& file,
                                   const std::vector<lineage::ImageInfo>& images,
                                   const Cancel& cancel)
{
    const bool candidate = std::ranges::any_of(
        images, [&](const lineage::ImageInfo& image) { return image.size == file.virtual_size; });
    if (!candidate) {
        return nullptr;
    }
    const auto digest =
        digest_of_disk(file.path, std::string(volume::to_string(file.format)), &cancel);
    const auto found = std::ranges::find(images, digest, &lineage::ImageInfo::digest);
    return found == images.end() ? nullptr : &*found;
}

InferredImage infer(const virt::DiskInfo& disk,
                    bool running,
                    const std::vector<lineage::ImageInfo>& images,
                    const Cancel& cancel)
{
    const auto format = volume::container_format_from(disk.format.empty() ? "raw" : disk.format);
    if (!format) {
        return {.digest = {}, .name = {}, .how = "its disk is of the format " + disk.format};
    }
    // Whoever may define a VM names its files; QEMU follows them in the same way.
    const auto chain = volume::inspect_chain(disk.source, *format, {"/"});
    for (const auto& file : chain) {
        const bool top = &file == &chain.front();
        if (top && running) {
            continue;
        }
        if (const auto* image = image_of(file, images, cancel)) {
            return {.digest = image->digest,
                    .name = image->name,
                    .how = (top ? "disk " : "base ") + file.path.string()};
        }
    }
    if (running && chain.size() == 1) {
        return {.digest = {},
                .name = {},
                .how = "it runs on a disk without a base; adopt it while it is stopped"};
    }
    return {.digest = {},
            .name = {},
            .how = "no image has the content of " + chain.back().path.string() +
                   "; `stemma image import NAME " + chain.back().path.string() +
                   "` makes it known"};
}

} // namespace

InferredImage infer_image(const virt::DomainDescription& domain,
                          bool running,
                          const std::vector<lineage::ImageInfo>& images,
                          const Cancel& cancel)
{
    const auto* disk = system_disk_of(domain);
    if (disk == nullptr) {
        return {.digest = {}, .name = {}, .how = "it has no disk in a file"};
    }
    try {
        return infer(*disk, running, images, cancel);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        return {.digest = {}, .name = {}, .how = error.one_line()};
    }
}

} // namespace stemma::deployer
