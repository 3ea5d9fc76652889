#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/stderr_catcher.hpp"
#include "stemma/core/text.hpp"
#include "stemma/guestfs/guestfs.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "disk_server.hpp"
#include "library.hpp"
#include "reader.hpp"
#include "roots.hpp"

namespace stemma::guestfs {

namespace {

/// What the process apart needs from outside, gone in the opposite order: the server first, then
/// the folder with its socket and the VM's overlays.
struct Supply {
    TemporaryFolder folder{"stemma-guestfs"};
    std::optional<DiskServer> server{};
};

void expect(bool fine, const Functions& library, guestfs_h* handle, const std::string& what)
{
    if (!fine) {
        throw failure_of(library, handle, what);
    }
}

void add_drives(const Functions& library,
                guestfs_h* handle,
                const std::string& socket,
                std::size_t count)
{
    constexpr std::uint64_t read_only = 1U << 0U;
    constexpr std::uint64_t format = 1U << 1U;
    constexpr std::uint64_t protocol = 1U << 5U;
    constexpr std::uint64_t server = 1U << 6U;
    std::string address = "unix:" + socket;
    char* const servers[] = {address.data(), nullptr}; // NOLINT(modernize-avoid-c-arrays): C's
    for (std::size_t i = 0; i < count; ++i) {
        const GuestfsDrive drive{.mask = read_only | format | protocol | server,
                                 .read_only = 1,
                                 .format = "raw",
                                 .interface = nullptr,
                                 .name = nullptr,
                                 .label = nullptr,
                                 .protocol = "nbd",
                                 .server = servers};
        expect(library.add_drive(handle, std::to_string(i).c_str(), &drive) == 0,
               library,
               handle,
               "cannot add a drive");
    }
}

/// What the library needs to know of a start.
struct Start {
    std::string name; ///< of the image
    std::filesystem::path folder;
    std::size_t drives = 0;
};

guestfs_h* make_handle(const Functions& library, const Start& start, bool emulated)
{
    guestfs_h* handle = library.create();
    if (handle == nullptr) {
        throw Error(ErrorCode::io, "libguestfs gives no handle");
    }
    library.set_error_handler(handle, nullptr, nullptr);
    // Without libvirt's daemon: what is started here ends with us.
    expect(library.set_backend(handle, "direct") == 0, library, handle, start.name);
    expect(library.set_tmpdir(handle, start.folder.c_str()) == 0, library, handle, start.name);
    if (emulated) {
        expect(library.set_backend_setting(handle, "force_tcg", "1") == 0,
               library,
               handle,
               start.name);
    }
    add_drives(library, handle, start.folder / "disk", start.drives);
    return handle;
}

[[noreturn]] void refuse_start(const Functions& library,
                               guestfs_h* handle,
                               const std::string& name,
                               const std::string& words)
{
    const auto installation = find_installation();
    if (!installation.missing.empty()) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{}: libguestfs cannot start its VM: {}", name, installation.missing),
            installation.remedy);
    }
    auto failure = failure_of(library, handle, name).message();
    failure.resize(std::min(failure.size(), failure.find("\\n"))); // advice for its own debugging
    throw Error(ErrorCode::remote,
                fmt::format("the VM that reads it does not start: {}{}{}",
                            failure,
                            words.empty() ? "" : ": ",
                            words),
                "libguestfs-test-tool (apt-get install libguestfs-tools) says more");
}

/// Under KVM where that is offered; emulated where it is not, and where it does not work, as in
/// some virtual machines that have the device and no more.
guestfs_h* start_vm(const Functions& library, const Start& start, const jail::Explain& explain)
{
    const char* settings = ::getenv("LIBGUESTFS_BACKEND_SETTINGS"); // NOLINT(concurrency-mt-unsafe)
    const bool forced =
        settings != nullptr && std::string_view(settings).find("force_tcg") != std::string::npos;
    const bool offered = !forced && ::access("/dev/kvm", R_OK | W_OK) == 0;
    for (const bool emulated : {!offered, true}) {
        guestfs_h* handle = make_handle(library, start, emulated);
        explain(fmt::format("{}: libguestfs {} boots its VM ({})",
                            start.name,
                            version_of(library, handle),
                            emulated ? "emulated" : "with KVM, if that works"));
        StderrCatcher words; // of its programs: why supermin fails stands only there
        if (library.launch(handle) == 0) {
            return handle;
        }
        if (emulated) {
            const auto said = words.text();
            refuse_start(library, handle, start.name, printable(trim(said)));
        }
        library.close(handle);
    }
    throw Error(ErrorCode::remote, start.name + ": no VM"); // not reached
}

/// In the process apart.
std::unique_ptr<volume::Filesystem>
open_here(const Start& start, const std::string& wanted, const jail::Explain& explain)
{
    const Functions& library = load_library();
    ::signal(SIGPIPE, SIG_IGN); // a VM that ended is an error of the call
    guestfs_h* handle = start_vm(library, start, explain);
    jail::forbid_programs();
    const auto mounted = mount_root(library, handle, start.name, wanted, explain);
    explain(fmt::format("{}: {} is {}, read by libguestfs, because nothing else here reads it",
                        start.name,
                        printable(mounted.place),
                        mounted.content));
    return read_mounted(library, handle, mounted.content + " through libguestfs", mounted.missing);
}

} // namespace

std::unique_ptr<jail::Tree> open_tree(std::unique_ptr<volume::Volume> disk,
                                      const std::vector<Drive>& drives,
                                      const OpenOptions& options)
{
    const auto name = disk->name();
    std::vector<DiskServer::Export> exports;
    for (std::size_t i = 0; i < drives.size(); ++i) {
        exports.push_back({.name = std::to_string(i), .pieces = drives[i].pieces});
    }
    const auto supply = std::make_shared<Supply>();
    supply->server.emplace(std::move(disk), std::move(exports), supply->folder.path() / "disk");
    const jail::Explain explain = options.explain ? options.explain : [](const std::string&) {};
    return jail::open_tree_apart(name,
                                 [&](const jail::Explain& inner) {
                                     return open_here({.name = name,
                                                       .folder = supply->folder.path(),
                                                       .drives = drives.size()},
                                                      options.wanted,
                                                      inner);
                                 },
                                 supply,
                                 explain,
                                 {.cancel = options.cancel,
                                  .patience = options.patience,
                                  .freedom = jail::Freedom::programs});
}

} // namespace stemma::guestfs
