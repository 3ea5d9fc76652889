#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/virt/connection.hpp"

#include <unistd.h>

#include <array>

namespace stemma::cli {

int run_doctor(Context& context, const Args& args);

namespace {

namespace fs = std::filesystem;

struct Finding {
    std::string check;
    std::string state; ///< ok, optional, missing
    std::string detail;
    std::string remedy;
};

struct Program {
    std::string_view name;
    std::string_view package;
    std::string_view without; ///< what does not work without it
    bool needed;
};

constexpr std::array programs = {
    Program{"git", "git", "sources get no commits and blobs", true},
    Program{"qemu-img", "qemu-utils", "no image can be made, checked or converted", true},
    Program{"qemu-nbd", "qemu-utils", "no image can be read or changed", true},
    Program{"e2fsck", "e2fsprogs", "no ext4 image can be changed", true},
    Program{"qemu-system-x86_64", "qemu-system-x86", "no VM can run on this machine", true},
    Program{"virsh", "libvirt-clients", "hosts cannot be looked at by hand", false},
    Program{"dot", "graphviz", "`stemma why --all --format dot` cannot be drawn", false},
    Program{"mmdebstrap", "mmdebstrap", "scripts/golden-image cannot make a Debian image", false},
    Program{
        "guestfish", "libguestfs-tools", "XFS, btrfs and other file systems cannot be read", false},
};

Finding check_program(const Program& program)
{
    if (const auto path = find_program(program.name)) {
        return {std::string(program.name), "ok", *path, {}};
    }
    return {std::string(program.name),
            program.needed ? "missing" : "optional",
            fmt::format("not found: {}", program.without),
            fmt::format("apt-get install {}", program.package)};
}

Finding check_kvm()
{
    if (::access("/dev/kvm", R_OK | W_OK) == 0) {
        return {"/dev/kvm", "ok", "there; whether guests run is tried when a VM is started", {}};
    }
    return {"/dev/kvm",
            "optional",
            "not usable: VMs run under emulation, about ten times slower",
            "turn on virtualisation in the firmware, or join the group kvm"};
}

Finding check_libvirt()
{
    constexpr std::string_view uri = "qemu:///system";
    try {
        const auto facts = virt::Connection::open(std::string(uri), {.read_only = true}).facts();
        return {
            "libvirt",
            "ok",
            fmt::format(
                "{}: {} {}, libvirt {}", uri, facts.host_name, facts.driver, facts.libvirt_version),
            {}};
    } catch (const Error& error) {
        return {"libvirt",
                "optional",
                fmt::format("{}; no VM can run on this machine", error.message()),
                "systemctl start libvirtd, or `libvirtd -d` where there is no systemd"};
    }
}

Finding check_space(const fs::path& folder)
{
    auto existing = folder;
    while (!fs::exists(existing) && existing != existing.parent_path()) {
        existing = existing.parent_path();
    }
    std::error_code failure;
    const auto space = fs::space(existing, failure);
    constexpr std::uintmax_t low = std::uintmax_t{2} << 30U;
    if (failure || space.available >= low) {
        return {"space",
                "ok",
                fmt::format("{} free for {}", human_size(space.available), folder.string()),
                {}};
    }
    return {"space",
            "optional",
            fmt::format("only {} free for {}", human_size(space.available), folder.string()),
            "free some, or name another store with --store"};
}

Finding check_store(Context& context)
{
    try {
        auto& store = context.store();
        std::error_code ignored;
        const auto size = fs::file_size(context.store_url, ignored);
        return {"store",
                "ok",
                fmt::format("{}: {} events{}",
                            context.store_url,
                            store.last_seq(),
                            ignored ? "" : fmt::format(", {}", human_size(size))),
                {}};
    } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found) {
            return {"store",
                    "optional",
                    fmt::format("{}: not made yet", context.store_url),
                    "stemma init; the first build or import makes it"};
        }
        return {"store", "missing", error.one_line(), error.hint()};
    }
}

} // namespace

int run_doctor(Context& context, const Args& args)
{
    args.expect_words(0, 0, "no words");
    std::vector<Finding> findings;
    findings.reserve(programs.size() + 4);
    for (const auto& program : programs) {
        findings.push_back(check_program(program));
    }
    findings.push_back(check_kvm());
    findings.push_back(check_libvirt());
    findings.push_back(check_store(context));
    findings.push_back(check_space(context.state_folder));
    Answer answer;
    answer.schema = "stemma.doctor/1";
    bool broken = false;
    for (const auto& finding : findings) {
        broken = broken || finding.state == "missing";
        answer.items.push_back(
            {{"check", json_text(finding.check)},
             {"state", finding.state},
             {"detail", json_text(finding.detail)},
             {"remedy", finding.remedy.empty() ? Json(nullptr) : json_text(finding.remedy)}});
    }
    show(context,
         answer,
         {{"CHECK", "check"}, {"STATE", "state"}, {"DETAIL", "detail"}, {"REMEDY", "remedy"}});
    return broken ? 1 : 0;
}

} // namespace stemma::cli
