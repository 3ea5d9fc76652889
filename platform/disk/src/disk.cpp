#include "stemma/disk/disk.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/nbd/nbd.hpp"

#include "raw_file.hpp"

namespace stemma::disk {

namespace fs = std::filesystem;

using volume::Container;
using volume::ContainerFormat;

namespace {

/// Formats whose own tables can be checked. A truncated qcow2 would read as zeros otherwise.
bool is_checkable(ContainerFormat format)
{
    return format == ContainerFormat::qcow2 || format == ContainerFormat::vdi ||
           format == ContainerFormat::vhdx || format == ContainerFormat::vmdk;
}

/// A damaged image is worth a line per cluster.
std::string first_complaint(std::string_view words)
{
    const auto lines = split_lines(trim(words));
    if (lines.empty()) {
        return "it does not say why";
    }
    const auto more = lines.size() - 1;
    return printable(lines.front()) + (more > 0 ? fmt::format(" (and {} lines more)", more) : "");
}

void check_container(const Container& container, bool force_share)
{
    Command command{
        .argv = {"qemu-img", "check", "-q", "-f", std::string(to_string(container.format))}};
    if (force_share) {
        command.argv.emplace_back("-U");
    }
    command.argv.push_back(container.path.string());
    command.timeout = std::chrono::minutes(10);
    const CommandResult result = run(command);
    constexpr int leaks_only = 3; // lost space, no lost data
    constexpr int not_supported = 63;
    if (result.exit.success() || (result.exit.signal == 0 && (result.exit.code == leaks_only ||
                                                              result.exit.code == not_supported))) {
        return;
    }
    const bool locked = result.err.find("lock") != std::string::npos;
    throw Error(locked ? ErrorCode::conflict : ErrorCode::corrupt,
                fmt::format("{}: {}: {}",
                            container.path.string(),
                            locked ? "in use" : "the image fails qemu-img check",
                            first_complaint(result.err.empty() ? result.out : result.err)),
                locked ? "a running VM or another change uses this image; stop it first"
                       : "it may be cut off or damaged; get a sound copy");
}

/// Locks on the raw files that are only read.
std::shared_ptr<void> lock_raw_files(const std::vector<Container>& chain, bool writable)
{
    auto locks = std::make_shared<std::vector<Fd>>();
    for (std::size_t i = writable ? 1 : 0; i < chain.size(); ++i) {
        if (chain[i].format == ContainerFormat::raw) {
            locks->push_back(lock_raw_file(chain[i].path));
        }
    }
    return locks;
}

} // namespace

std::vector<Container> chain_of(const fs::path& path, const OpenOptions& options)
{
    return volume::inspect_chain(path, volume::decide_format(path, options.format), options.allow);
}

std::unique_ptr<volume::Volume> open_disk(const fs::path& path, const OpenOptions& options)
{
    const auto chain = chain_of(path, options);
    if (options.check) {
        for (const Container& container : chain) {
            if (is_checkable(container.format)) {
                check_container(container, options.force_share);
            }
        }
    }
    auto node = volume::blockdev_json(chain, options.writable, options.force_share);
    auto locks = options.force_share ? nullptr : lock_raw_files(chain, options.writable);
    auto disk = nbd::serve("json:" + node,
                           path.string(),
                           {.writable = options.writable,
                            .durable = options.durable,
                            .snapshot = options.snapshot,
                            .needs = std::move(locks)});
    return std::make_unique<volume::CachedVolume>(std::move(disk));
}

std::unique_ptr<volume::Volume> open_disk_bytes(const fs::path& path, const OpenOptions& options)
{
    const auto chain = chain_of(path, options);
    if (chain.front().format == ContainerFormat::raw && !options.writable &&
        options.snapshot.empty()) {
        return open_raw_file(chain.front().path, options.force_share);
    }
    return open_disk(path, options);
}

std::unique_ptr<volume::Filesystem> open_image_filesystem(const std::string& place,
                                                          const OpenOptions& options)
{
    if (const auto address = nbd::parse_uri(place)) {
        auto disk = std::make_unique<volume::CachedVolume>(nbd::connect(*address, place));
        return open_root(std::move(disk), options);
    }
    return open_root(open_disk(place, options), options);
}

} // namespace stemma::disk
