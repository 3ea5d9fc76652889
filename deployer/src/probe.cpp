// Does KVM really work on this host? A boot sector that switches the machine off tells.

#include "stemma/core/file.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/deployer/fleet.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/storage.hpp"
#include "stemma/virt/xml.hpp"

#include <filesystem>
#include <optional>
#include <thread>

namespace stemma::deployer {

namespace {

using namespace std::chrono_literals;

/// Emulation does this in 0.1 s, firmware included. A KVM that is itself emulated (nested where the
/// processor cannot) took 7 to 9 s, and a kernel never got to its first line.
constexpr auto patience = 2s;

/// 16-bit code that writes SLP_EN to the PIIX4's PM1a control register where QEMU's firmware leaves
/// it (0x604 since 2.0 with ACPI tables, else 0xb004): power off.
std::string boot_sector()
{
    std::string code = {'\xba',
                        '\x04',
                        '\x06', // mov dx, 0x604
                        '\xb8',
                        '\x00',
                        '\x20', // mov ax, 0x2000
                        '\xef', // out dx, ax
                        '\xba',
                        '\x04',
                        '\xb0', // mov dx, 0xb004
                        '\xef', // out dx, ax
                        '\xf4',
                        '\xeb',
                        '\xfd'}; // hlt; jmp to it
    code.resize(510, '\0');
    code += "\x55\xaa";
    return code;
}

std::string probe_xml(const std::string& name, const std::string& disk)
{
    virt::XmlWriter xml;
    xml.open("domain", {{"type", "kvm"}});
    xml.element("name", name);
    xml.element("memory", "32", {{"unit", "MiB"}});
    xml.element("vcpu", "1");
    xml.open("os");
    xml.element("type", "hvm", {{"arch", "x86_64"}, {"machine", "pc"}});
    xml.empty("boot", {{"dev", "hd"}});
    xml.close();
    xml.open("features").empty("acpi").close();
    xml.element("on_poweroff", "destroy");
    xml.open("devices");
    xml.open("disk", {{"type", "file"}, {"device", "disk"}});
    xml.empty("driver", {{"name", "qemu"}, {"type", "raw"}});
    xml.empty("source", {{"file", disk}});
    xml.empty("target", {{"dev", "hda"}, {"bus", "ide"}});
    xml.close();
    xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
    xml.empty("memballoon", {{"model", "none"}});
    xml.close();
    xml.close();
    return xml.finish();
}

/// The sector as a disk on the host: a file of its pool, or of its folder on this machine.
class ProbeDisk {
public:
    ProbeDisk(const virt::Connection& connection, const HostEntry& host, const std::string& name)
    {
        auto sector = boot_sector();
        sector.resize(std::size_t{1} << 20U, '\0');
        if (host.pool.empty()) {
            std::filesystem::create_directories(host.folder);
            path_ = std::filesystem::path(host.folder) / (name + ".raw");
            write_file(path_, sector);
            return;
        }
        const auto pool = virt::StoragePool::find(connection, host.pool);
        volume_ = pool.create({.name = name + ".raw", .capacity = sector.size()});
        path_ = volume_->path();
        bool given = false;
        volume_->upload(0, sector.size(), [&] {
            return std::exchange(given, true) ? std::span<const std::byte>{}
                                              : std::as_bytes(std::span(sector));
        });
    }
    ~ProbeDisk()
    {
        if (!volume_) {
            std::error_code ignored;
            std::filesystem::remove(path_, ignored);
            return;
        }
        try {
            volume_->remove();
        } catch (const Error&) {
            return; // a megabyte is left on a host that just went away
        }
    }
    ProbeDisk(const ProbeDisk&) = delete;
    ProbeDisk& operator=(const ProbeDisk&) = delete;
    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
    std::optional<virt::StorageVolume> volume_;
};

bool runs(const virt::Connection& connection, const HostEntry& host)
{
    const auto name = "stemma-probe-" + make_uuid7(SystemClock().now()).substr(24);
    const ProbeDisk disk(connection, host, name);
    try {
        const auto domain = connection.create_transient(probe_xml(name, disk.path()));
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < deadline) {
            std::this_thread::sleep_for(50ms);
            if (!connection.find_by_name(name)) {
                return true;
            }
        }
        domain.destroy();
    } catch (const Error&) {
        return false; // refused: no KVM here
    }
    return false;
}

} // namespace

std::string probe_accel(const HostEntry& host)
{
    const auto connection = open_connection(host);
    if (connection.facts().driver == "TEST" || connection.facts().driver == "Test") {
        return "test";
    }
    return runs(connection, host) ? "kvm" : "qemu";
}

} // namespace stemma::deployer
