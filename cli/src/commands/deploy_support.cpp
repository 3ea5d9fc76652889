#include "deploy_support.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/seed.hpp"

#include <algorithm>
#include <functional>
#include <thread>

namespace stemma::cli {

namespace {

using namespace std::chrono_literals;

/// A host that has not answered by then counts as unreachable.

/// An image has so many relatives that are worth asking a host for.
constexpr std::size_t max_kin = 8;

deployer::ImageRef ref_of(const lineage::ImageInfo& info)
{
    return {.name = info.name,
            .digest = info.digest,
            .path = info.path,
            .format = info.format,
            .size = info.size};
}

/// Ancestors, nearest first; then other images of the same name or parent, newest first.
std::vector<deployer::ImageRef> kin_of(Context& context, const lineage::ImageInfo& image)
{
    std::vector<deployer::ImageRef> kin;
    const auto add = [&](const lineage::ImageInfo& info) {
        const bool known =
            info.digest == image.digest ||
            std::ranges::find(kin, info.digest, &deployer::ImageRef::digest) != kin.end();
        if (!known && kin.size() < max_kin) {
            kin.push_back(ref_of(info));
        }
        return !known;
    };
    for (auto parent = image.parent; parent;) {
        const auto info = context.store().find_image(*parent);
        parent = info && add(*info) ? info->parent : std::nullopt;
    }
    auto images = context.store().images(true);
    std::ranges::reverse(images);
    for (const auto& info : images) {
        if (info.name == image.name || (info.parent && info.parent == image.parent) ||
            info.parent == image.digest) {
            add(info);
        }
    }
    return kin;
}

} // namespace

std::vector<deployer::HostEntry> host_entries(Context& context)
{
    std::vector<deployer::HostEntry> entries;
    for (const auto& info : context.store().hosts()) {
        entries.push_back(deployer::entry_of(info));
    }
    return entries;
}

deployer::HostEntry find_host_entry(Context& context, const std::string& name)
{
    if (const auto info = context.store().find_host(name)) {
        return deployer::entry_of(*info);
    }
    std::vector<std::string> names;
    for (const auto& entry : host_entries(context)) {
        names.push_back(entry.name);
    }
    const auto near = nearest(name, names);
    throw Error(ErrorCode::not_found,
                "no host " + name + " is known",
                near ? "did you mean " + *near + "?"
                     : "`stemma host list` shows them; `stemma host add` makes one known");
}

deployer::World
look_again(Context& context, const deployer::Fleet& fleet, const std::string& release)
{
    deployer::World world;
    world.hosts = fleet.observe();
    for (const auto& entry : host_entries(context)) {
        world.host_labels[entry.name] = entry.labels;
    }
    auto& store = context.store();
    world.verified = deployer::verified_specs(store.release_events(release));
    for (const auto& vm : store.vms()) {
        world.recorded[vm.uuid] = {.name = vm.name,
                                   .host = vm.host,
                                   .image = vm.image,
                                   .release = vm.release,
                                   .state = vm.state};
    }
    return world;
}

FleetView
view_fleet(Context& context, const std::string& release, const std::vector<std::string>& fenced)
{
    FleetView view;
    view.fleet = std::make_unique<deployer::Fleet>(
        host_entries(context), connect_patience, context.cancel());
    view.world = look_again(context, *view.fleet, release);
    deployer::fence(view.world, fenced);
    return view;
}

namespace {

deployer::ImageRef find_image(Context& context, const deployer::VmWanted& vm)
{
    const auto info = context.store().find_image(vm.image);
    if (!info) {
        std::vector<std::string> names;
        for (const auto& image : context.store().images()) {
            names.push_back(image.name);
        }
        const auto near = nearest(vm.image, names);
        throw Error(ErrorCode::not_found,
                    fmt::format("{}: no image \"{}\" is known", vm.place, vm.image),
                    near ? "did you mean " + *near + "?" : "`stemma image list` shows them");
    }
    auto ref = ref_of(*info);
    ref.kin = kin_of(context, *info);
    return ref;
}

void add_boot_files(const deployer::VmWanted& vm, deployer::Resolved& resolved)
{
    for (const auto& path : {vm.boot->kernel.string(), vm.boot->initrd.string()}) {
        if (!path.empty() && !resolved.files.contains(path)) {
            doing([&] { resolved.files[path] = sha256_file(path).hex(); },
                  "reading what {} boots with",
                  vm.place);
        }
    }
}

/// Each seed of a release with the name of its VM.
void for_each_seed(
    const deployer::Release& release,
    const std::function<void(const std::string& name, const std::string& seed)>& work)
{
    for (const auto& vm : release.vms) {
        if (!vm.cloud_init) {
            continue;
        }
        for (const auto& name : deployer::possible_names(release, vm)) {
            const auto seed =
                doing([&] { return deployer::seed_of(*vm.cloud_init, release.name, name); },
                      "making the cloud-init seed of {}",
                      vm.place);
            work(name, seed);
        }
    }
}

} // namespace

deployer::Resolved resolve(Context& context, const deployer::Release& release)
{
    deployer::Resolved resolved;
    for (const auto& vm : release.vms) {
        if (!resolved.images.contains(vm.image)) {
            resolved.images[vm.image] = find_image(context, vm);
        }
        if (vm.boot) {
            add_boot_files(vm, resolved);
        }
    }
    for_each_seed(release, [&](const std::string& name, const std::string& seed) {
        const auto digest = sha256(seed).hex();
        resolved.seeds[name] = {.path = (context.state_folder / "seeds" / digest).string(),
                                .sha256 = digest};
    });
    return resolved;
}

void keep_seeds(Context& context, const deployer::Release& release)
{
    for_each_seed(release, [&](const std::string&, const std::string& seed) {
        const auto path = context.make_state_folder("seeds") / sha256(seed).hex();
        if (!std::filesystem::exists(path)) {
            write_file(path, seed, 0600);
        }
    });
}

namespace {

/// `release status` holds a lock for the moment in which it looks whether it is free.
std::unique_ptr<FileLock> take_soon(const std::filesystem::path& place)
{
    const auto deadline = std::chrono::steady_clock::now() + 300ms;
    while (true) {
        try {
            return std::make_unique<FileLock>(place, FileLock::Wait::no);
        } catch (const Error& error) {
            if (error.code() != ErrorCode::conflict ||
                std::chrono::steady_clock::now() > deadline) {
                throw;
            }
        }
        std::this_thread::sleep_for(20ms);
    }
}

} // namespace

std::vector<std::unique_ptr<FileLock>> lock_release(Context& context, const std::string& release)
{
    // One in our own state, and one beside the disks of each host on this machine: two stores may
    // manage the same hosts.
    std::vector<std::filesystem::path> places{context.make_state_folder("releases") /
                                              (release + ".lock")};
    for (const auto& entry : host_entries(context)) {
        std::error_code ignored;
        if (entry.pool.empty() && std::filesystem::is_directory(entry.folder, ignored)) {
            places.push_back(std::filesystem::path(entry.folder) / (release + ".lock"));
        }
    }
    std::vector<std::unique_ptr<FileLock>> locks;
    for (const auto& place : places) {
        try {
            locks.push_back(take_soon(place));
        } catch (const Error& error) {
            if (error.code() != ErrorCode::conflict) {
                throw;
            }
            throw Error(ErrorCode::conflict,
                        "another deployer works on release " + release,
                        "wait for it to end; `stemma release status " + release +
                            "` shows what it does");
        }
    }
    return locks;
}

lineage::VmInfo find_vm(Context& context, const std::string& name)
{
    auto word = name.starts_with("vm:") ? name.substr(3) : name;
    const auto info = context.store().find_vm(word);
    if (!info || info->state == "retired") {
        std::vector<std::string> names;
        for (const auto& vm : context.store().vms()) {
            names.push_back(vm.name);
        }
        const auto near = nearest(word, names);
        throw Error(ErrorCode::not_found,
                    info ? "VM " + word + " was retired" : "no VM " + word + " is known",
                    near ? "did you mean " + *near + "?" : "`stemma vm list` shows them");
    }
    return *info;
}

OpenVm open_vm(Context& context, const std::string& name)
{
    const auto info = find_vm(context, name);
    auto host = find_host_entry(context, info.host);
    auto connection = deployer::open_in_time(host, context.cancel());
    auto domain = connection.find_by_uuid(info.uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found,
                    fmt::format("host {} does not have VM {} any more", host.name, info.name),
                    "applying its release again brings it back");
    }
    return {.info = info,
            .host = std::move(host),
            .connection = std::move(connection),
            .domain = std::move(*domain)};
}

void record(Context& context, const std::string& kind, Json body)
{
    (void)context.store(lineage::Store::Mode::write)
        .record({.at = context.clock().now(), .kind = kind, .body = std::move(body)});
}

} // namespace stemma::cli
