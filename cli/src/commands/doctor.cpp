#include "stemma/cli/args.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/guestfs/guestfs.hpp"
#include "stemma/lineage/ledger.hpp"
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

/// What reads the file systems that have no reader of our own.
Finding check_libguestfs()
{
    const auto found = guestfs::find_installation();
    if (found.missing.empty()) {
        return {"libguestfs",
                "ok",
                fmt::format("{}; whether its VM starts is tried when one is needed", found.version),
                {}};
    }
    return {"libguestfs",
            "optional",
            fmt::format("{}: XFS, btrfs, RAID and thin LVM cannot be read", found.missing),
            found.remedy};
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

/// Finding about a store that cannot be looked at.
Finding unreadable(Context& context, const Error& error)
{
    if (error.code() == ErrorCode::not_found) {
        return {"store",
                "optional",
                fmt::format("{}: not made yet", lineage::shown_store(context.store_url)),
                "stemma init; the first build or import makes it"};
    }
    return {"store", "missing", error.one_line(), error.hint()};
}

/// Sizes, growth, and what of the file is of no use.
std::vector<Finding> check_store(Context& context)
{
    constexpr auto month = std::chrono::hours(24 * 30);
    constexpr std::uint64_t long_log = std::uint64_t{256} << 20U;
    std::vector<Finding> findings;
    try {
        const auto sizes = lineage::sizes(context.store(), context.clock().now() - month);
        findings.push_back({"store",
                            "ok",
                            fmt::format("{}: {} events, {}; in 30 days {} events, {} of content",
                                        lineage::shown_store(context.store_url),
                                        sizes.events.count,
                                        human_size(sizes.file + sizes.log),
                                        sizes.recent.count,
                                        human_size(sizes.recent.bytes)),
                            {}});
        if (const auto gap = context.store_gap()) {
            findings.push_back({"store ledger",
                                "optional",
                                gap->reason,
                                "start the server, or see what its address and log say"});
        }
        for (const auto& setting : sizes.unsafe_settings) {
            findings.push_back(
                {"store server",
                 "optional",
                 fmt::format("{} is off: a power failure may lose what it "
                             "acknowledged, or all of it",
                             setting),
                 fmt::format("ALTER SYSTEM SET {} = on; SELECT pg_reload_conf()", setting)});
        }
        if (sizes.free * 4 > sizes.file && sizes.free > (1U << 20U)) {
            findings.push_back(
                {"store space",
                 "optional",
                 fmt::format("{} of the file are free pages", human_size(sizes.free)),
                 "stemma ledger compact, if the file shall become smaller"});
        }
        if (!sizes.page_checksums) {
            findings.push_back({"store pages",
                                "optional",
                                "no checksums: a disk's silent errors are found by `stemma ledger "
                                "verify` only, and not all",
                                "stemma ledger compact"});
        }
        if (sizes.log > long_log) {
            findings.push_back(
                {"store log",
                 "optional",
                 fmt::format("{}: some process has been reading the past of the store for long",
                             human_size(sizes.log)),
                 fmt::format("fuser {} shows which", shell_quote(sizes.path))});
        }
    } catch (const Error& error) {
        findings.push_back(unreadable(context, error));
    }
    return findings;
}

/// Builds that ran and were not recorded leave their journals.
std::vector<Finding> check_journals(Context& context)
{
    const auto folder = context.state_folder / "journals";
    std::size_t count = 0;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder, none)) {
        count += entry.path().extension() == ".journal" ? 1U : 0U;
    }
    if (count == 0) {
        return {};
    }
    return {{"journals",
             "optional",
             fmt::format("{} of builds that run, or were not recorded", count),
             fmt::format("when no build runs: cd {} && stemma ingest *.journal && rm *.journal",
                         shell_quote(folder.string()))}};
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
    findings.push_back(check_libguestfs());
    findings.push_back(check_kvm());
    findings.push_back(check_libvirt());
    for (auto&& found : {check_store(context), check_journals(context)}) {
        findings.insert(findings.end(), found.begin(), found.end());
    }
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
