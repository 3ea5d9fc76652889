#include "appliance.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/container.hpp"

#include <algorithm>
#include <array>

#include "cpio.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t most_module = std::uint64_t{64} << 20U;
constexpr std::uint64_t most_payload = std::uint64_t{1} << 30U;
constexpr std::string_view end_mark = "\nstemma-appliance: exit ";
constexpr std::string_view problem_mark = "stemma-appliance: problem: ";

/// In the order in which they go in; what a kernel has built in is not there to be found.
constexpr std::array<std::string_view, 13> modules = {"virtio_ring",
                                                      "virtio",
                                                      "virtio_pci_legacy_dev",
                                                      "virtio_pci_modern_dev",
                                                      "virtio_pci",
                                                      "virtio_blk",
                                                      "crc32c_generic",
                                                      "libcrc32c",
                                                      "crc16",
                                                      "mbcache",
                                                      "jbd2",
                                                      "ext4",
                                                      "virtio-rng"};

/// The VM's first program. $1 … come from the file /job: device and type of the root.
constexpr std::string_view init_script = R"END(#!/bin/busybox sh
b=/bin/busybox
$b mkdir -p /dev /proc /sys /new
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b sh /work >/dev/ttyS1 2>&1 </dev/null
$b sync
$b poweroff -f
)END";

constexpr std::string_view work_script = R"END(b=/bin/busybox
problem() { echo "stemma-appliance: problem: $1"; exit 1; }
while read -r m; do $b insmod /modules/$m.ko || echo "module $m" >/dev/console; done </modules/order
. /job
n=0
while ! [ -b $device ]; do
    n=$((n + 1))
    [ $n -lt 400 ] || problem "no disk $device in the VM"
    $b usleep 25000
done
$b mount -t $type -o rw,noatime $device /new || problem "the root file system does not mount"
[ -x /new/bin/sh ] || problem "the image has no /bin/sh"
made=''
for d in dev proc sys run tmp; do
    [ -d /new/$d ] || { $b mkdir -m 755 /new/$d; made="$made /new/$d"; }
done
$b mount --bind /dev /new/dev
$b mkdir -p /new/dev/pts
$b mount -t devpts devpts /new/dev/pts
$b mount -t proc proc /new/proc
$b mount -t sysfs sys /new/sys
$b mount -t tmpfs -o mode=755 tmpfs /new/run
$b mount -t tmpfs -o mode=1777 tmpfs /new/tmp
$b mkdir -p /new/run/stemma /new/run/lock
$b mount --bind /payload /new/run/stemma

policy=/new/usr/sbin/policy-rc.d
if [ -e $policy ]; then policy=''; else
    printf '#!/bin/sh\nexit 101\n' >$policy && $b chmod 755 $policy
fi
id=/new/etc/machine-id
if [ -s $id ]; then before=kept; elif [ -e $id ]; then before=empty; else before=none; fi

$b env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    LC_ALL=C DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true SYSTEMD_OFFLINE=1 \
    SOURCE_DATE_EPOCH=$epoch $b chroot /new /bin/sh /run/stemma/script
code=$?
kill -9 -1 2>/dev/null

[ -z "$policy" ] || $b rm -f $policy
case $before in empty) : >$id ;; none) $b rm -f $id ;; esac
for d in run/stemma run tmp sys proc dev/pts dev; do $b umount -l /new/$d; done
[ -z "$made" ] || $b rmdir $made
$b sync
$b umount /new || { $b mount -o remount,ro /new; $b sync; }
echo
echo "stemma-appliance: exit $code"
)END";

std::optional<fs::path>
newest_in(const fs::path& folder, std::string_view start, std::string_view end)
{
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with(start) && name.ends_with(end)) {
            found.push_back(entry.path());
        }
    }
    std::sort(found.begin(), found.end());
    return found.empty() ? std::nullopt : std::optional(found.back());
}

/// A kernel below a root folder ("/" or an unpacked package) whose modules are there too.
std::optional<ApplianceKernel> kernel_below(const fs::path& root)
{
    constexpr std::string_view start = "vmlinuz-";
    const auto kernel = newest_in(root / "boot", start, "-cloud-amd64");
    if (!kernel) {
        return std::nullopt;
    }
    auto folder = root / "lib/modules" / kernel->filename().string().substr(start.size());
    if (!fs::is_directory(folder)) {
        return std::nullopt;
    }
    return ApplianceKernel{.kernel = *kernel, .modules = std::move(folder)};
}

constexpr std::string_view install_hint =
    "apt-get install linux-image-cloud-amd64, or a network for apt to fetch it once";

/// Debian's word for the newest cloud kernel; empty when apt does not know one.
std::string kernel_package(const Cancel& cancel)
{
    const auto result = run({.argv = {"apt-cache", "depends", "linux-image-cloud-amd64"},
                             .timeout = 60s,
                             .cancel = &cancel});
    for (const std::string_view line : split_lines(result.out)) {
        const auto words = split_words(line);
        if (words.size() == 2 && words[0] == "Depends:" && words[1].starts_with("linux-image-")) {
            return std::string(words[1]);
        }
    }
    return {};
}

void fetch_kernel(const fs::path& folder, const Cancel& cancel, Log& log)
{
    const auto package = kernel_package(cancel);
    if (package.empty()) {
        throw Error(ErrorCode::not_found,
                    "no kernel for the appliance: apt does not know linux-image-cloud-amd64",
                    std::string(install_hint));
    }
    log.info("fetching {} for the appliance, once", package);
    const TemporaryFolder work(".kernel", folder.parent_path());
    Command download{.argv = {"apt-get", "download", "-q", package}, .timeout = 10min};
    download.folder = work.path().string();
    download.cancel = &cancel;
    run_checked(download);
    const auto file = newest_in(work.path(), "linux-image-", ".deb");
    if (!file) {
        throw Error(
            ErrorCode::remote, "apt-get download gave no package", std::string(install_hint));
    }
    const auto unpacked = work.path() / "unpacked";
    run_checked({.argv = {"dpkg-deb", "-x", file->string(), unpacked.string()}});
    write_file(unpacked / "complete", "");
    std::error_code ignored;
    fs::rename(unpacked, folder, ignored); // somebody else may have been faster: theirs will do
}

std::string first_file_system(const ApplianceKernel& kernel, const ApplianceJob& job)
{
    CpioWriter cpio;
    for (const std::string_view folder : {"bin", "modules", "payload"}) {
        cpio.add_folder(folder);
    }
    const auto busybox = find_program("busybox");
    if (!busybox) {
        throw Error(ErrorCode::not_found,
                    "the appliance needs busybox",
                    "apt-get install busybox-static (or busybox)");
    }
    cpio.add_file("bin/busybox", 0755, read_file(*busybox, most_module));
    std::string order;
    std::map<std::string, fs::path> known;
    for (const auto& entry : fs::recursive_directory_iterator(kernel.modules)) {
        known.emplace(entry.path().filename().string(), entry.path());
    }
    for (const std::string_view module : modules) {
        const auto found = known.find(fmt::format("{}.ko", module));
        if (found != known.end()) {
            cpio.add_file(
                fmt::format("modules/{}.ko", module), 0644, read_file(found->second, most_module));
            order += fmt::format("{}\n", module);
        }
    }
    cpio.add_file("modules/order", 0644, order);
    cpio.add_file("init", 0755, init_script);
    cpio.add_file("work", 0644, work_script);
    cpio.add_file(
        "job",
        0644,
        fmt::format(
            "device=/dev/vda{}\ntype={}\nepoch={}\n",
            job.partition == 0 ? "" : std::to_string(job.partition),
            job.type,
            std::chrono::duration_cast<std::chrono::seconds>(job.now.time_since_epoch()).count()));
    cpio.add_file("payload/script", 0755, job.script);
    for (const auto& [name, file] : job.files) {
        cpio.add_file("payload/" + name, 0644, read_file(file, most_payload));
    }
    return cpio.finish();
}

std::string disk_node(const fs::path& disk)
{
    const auto chain = volume::inspect_chain(disk, volume::ContainerFormat::qcow2, {});
    Json node = parse_json(volume::blockdev_json(chain, true, false), "the disk's description");
    node["node-name"] = "root";
    node["discard"] = "unmap";
    return node.dump();
}

std::string rtc_base(Time now)
{
    // QEMU takes "2026-11-21T12:00:00", in UTC.
    return format_time(now).substr(0, 19);
}

Command qemu_command(const ApplianceKernel& kernel,
                     const ApplianceJob& job,
                     const fs::path& folder,
                     std::uint64_t payload)
{
    constexpr std::uint64_t mib = std::uint64_t{1} << 20U;
    const auto memory = 512 + 3 * (payload / mib);
    Command command{.argv = {"qemu-system-x86_64",
                             "-nodefaults",
                             "-no-user-config",
                             "-no-reboot",
                             "-display",
                             "none",
                             "-sandbox",
                             "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
                             "-machine",
                             "pc",
                             "-accel",
                             "tcg", // /dev/kvm may be there and not work
                             "-m",
                             std::to_string(memory),
                             "-rtc",
                             "clock=vm,base=" + rtc_base(job.now),
                             "-kernel",
                             kernel.kernel.string(),
                             "-initrd",
                             (folder / "initrd").string(),
                             "-append",
                             "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check "
                             "cryptomgr.notests audit=0 lsm=capability random.trust_cpu=on",
                             "-blockdev",
                             disk_node(job.disk),
                             "-device",
                             "virtio-blk-pci,drive=root",
                             "-device",
                             "virtio-rng-pci",
                             "-serial",
                             "file:" + (folder / "console").string(),
                             "-serial",
                             "file:" + (folder / "report").string()}};
    command.timeout = 20min;
    return command;
}

std::string tail_of(const fs::path& file)
{
    constexpr std::size_t most = 2000;
    std::error_code missing;
    if (!fs::exists(file, missing)) {
        return {};
    }
    auto text = read_file(file);
    std::erase(text, '\r');
    return text.size() <= most ? text : text.substr(text.size() - most);
}

[[noreturn]] void refuse_vm(const fs::path& folder, const std::string& why)
{
    std::string words;
    const auto tail = tail_of(folder / "report") + tail_of(folder / "console");
    for (const std::string_view line : split_lines(tail)) {
        words += "\n  " + printable(line);
    }
    throw Error(
        ErrorCode::remote,
        fmt::format("the appliance {}{}", why, words.empty() ? "" : ", its last words:" + words),
        "nothing was changed");
}

ApplianceResult read_report(const fs::path& folder)
{
    auto text = read_file(folder / "report");
    std::erase(text, '\r');
    if (const auto at = text.find(problem_mark); at != std::string::npos) {
        const auto end = text.find('\n', at);
        const auto from = at + problem_mark.size();
        throw Error(ErrorCode::unsupported,
                    "the appliance cannot work on this image: " +
                        printable(text.substr(from, end - from)),
                    "nothing was changed");
    }
    const auto at = text.rfind(end_mark);
    const auto code =
        at == std::string::npos
            ? std::nullopt
            : parse_unsigned(trim(std::string_view(text).substr(at + end_mark.size())));
    if (!code) {
        refuse_vm(folder, "ended before its work was done");
    }
    return {.exit = static_cast<int>(*code), .output = text.substr(0, at)};
}

} // namespace

ApplianceKernel find_appliance_kernel(const fs::path& cache, const Cancel& cancel, Log& log)
{
    if (auto installed = kernel_below("/")) {
        return *installed;
    }
    const auto folder = cache / "kernel";
    if (!fs::exists(folder / "complete")) {
        fs::create_directories(cache);
        fetch_kernel(folder, cancel, log);
    }
    if (auto kept = kernel_below(folder)) {
        return *kept;
    }
    throw Error(
        ErrorCode::not_found,
        fmt::format("{} holds no kernel", folder.string()),
        fmt::format("remove that folder, then run the same command again; or {}", install_hint));
}

ApplianceResult run_in_appliance(const ApplianceKernel& kernel,
                                 const ApplianceJob& job,
                                 const Cancel& cancel,
                                 Log& log)
{
    const TemporaryFolder work("appliance", job.folder);
    std::uint64_t payload = 0;
    {
        const auto initrd = first_file_system(kernel, job);
        payload = initrd.size();
        write_file(work.path() / "initrd", initrd);
    }
    auto command = qemu_command(kernel, job, work.path(), payload);
    command.cancel = &cancel;
    log.debug("appliance: {}", shell_join(command.argv));
    const auto result = doing([&] { return run(command); }, "running the appliance");
    cancel.check();
    if (!result.exit.success()) {
        refuse_vm(work.path(), "died: " + printable(trim(result.err)));
    }
    return read_report(work.path());
}

} // namespace stemma::image
