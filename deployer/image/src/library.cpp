#include "stemma/image/library.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/transaction.hpp"

#include <algorithm>
#include <memory>

#include "disk_tool.hpp"
#include "dpkg_database.hpp"
#include "record.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view selector_prefix = "image:";

[[noreturn]] void refuse_unknown(lineage::Store* store, const std::string& name)
{
    std::vector<std::string> names;
    if (store != nullptr) {
        for (const auto& image : store->images()) {
            names.push_back(image.name);
        }
    }
    const auto near = nearest(name, names);
    throw Error(
        ErrorCode::not_found,
        fmt::format("there is no image {}", printable(name)),
        near ? fmt::format("did you mean image:{}?", *near)
             : "stemma image list shows those that are recorded; a file is named by its path");
}

Selected recorded(const lineage::ImageInfo& info)
{
    Selected selected;
    selected.shown = "image:" + info.name;
    selected.path = info.path;
    selected.open.format = volume::container_format_from(info.format);
    selected.recorded = info;
    if (!fs::exists(info.path)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("image {}: its file {} is gone", info.name, info.path),
                    fmt::format("import it again: stemma image import {} FILE", info.name));
    }
    return selected;
}

} // namespace

Selected select(lineage::Store* store,
                const std::string& selector,
                std::optional<volume::ContainerFormat> format,
                const std::vector<fs::path>& allow)
{
    const bool named = selector.starts_with(selector_prefix);
    const std::string name = named ? selector.substr(selector_prefix.size()) : selector;
    if (!named && (name.find('/') != std::string::npos || fs::exists(name))) {
        Selected selected{.shown = name, .path = name, .open = {}, .recorded = std::nullopt};
        selected.open.allow = allow;
        selected.open.format = format;
        return selected;
    }
    const auto found = store == nullptr ? std::nullopt : store->find_image(name);
    if (!found) {
        refuse_unknown(store, name);
    }
    Selected selected = recorded(*found);
    selected.open.allow = allow;
    return selected;
}

std::unique_ptr<volume::Filesystem> open_selected(const Selected& selected)
{
    return disk::open_image_filesystem(selected.path.string(), selected.open);
}

Change import_image(World& world, const std::string& name, const Selected& source)
{
    expect_name(name);
    make_folder(world.folder);
    const auto chain = disk::chain_of(source.path, source.open);
    // Opened once before it is copied: a damaged or unreadable image is refused here.
    NewVersion version;
    version.name = name;
    {
        auto disk = disk::open_disk(source.path, source.open);
        describe(version, *disk, world);
    }
    Activity activity(world.progress, fmt::format("copying {}", source.shown), 0, "bytes");
    const auto published = import_file(world.folder, chain, world.cancel, world.log);
    world.cancel.check();
    return record(world, version, published);
}

void export_image(World& world,
                  const Selected& source,
                  const fs::path& target,
                  volume::ContainerFormat format)
{
    const auto chain = disk::chain_of(source.path, source.open);
    const auto node = "json:" + volume::blockdev_json(chain, false, source.open.force_share);
    (void)NewFile(target); // can a file be put there at all?
    const fs::path folder = fs::absolute(target).parent_path();
    const TemporaryFolder work("export", folder); // two exports at once do not meet
    const auto beside = work.path() / target.filename();
    Activity activity(world.progress, fmt::format("writing {}", target.string()), 0, "bytes");
    Command command{
        .argv = {
            "qemu-img", "convert", "-O", std::string(to_string(format)), node, beside.string()}};
    command.cancel = &world.cancel;
    if (const auto result = run(command); !result.exit.success()) {
        refuse_disk_tool(result, fmt::format("write {}", target.string()));
    }
    std::error_code problem;
    fs::rename(beside, target, problem);
    if (problem) {
        throw system_error(problem.value(), fmt::format("write {}", target.string()));
    }
    sync_folder(folder);
}

void retire(World& world, const lineage::ImageInfo& image, const std::string& reason)
{
    world.store.record(
        {.at = world.clock.now(),
         .kind = "image.retired",
         .body = {{"name", image.name}, {"digest", image.digest}, {"reason", reason}}});
}

} // namespace stemma::image
