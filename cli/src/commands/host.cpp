#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"

#include <unistd.h>

#include "deploy_support.hpp"
#include "groups.hpp"

namespace stemma::cli {

namespace {

using deployer::accel_label;
using deployer::folder_label;

const std::vector<Column> host_columns = {
    {.title = "NAME", .member = "name"},
    {.title = "STATE", .member = "state"},
    {.title = "VMS", .member = "vms", .align = Column::Align::right},
    {.title = "RUNS ON", .member = "accel"},
    {.title = "URI", .member = "uri"},
    {.title = "LABELS", .member = "label_text"}};

Json labels_of(const Args& args)
{
    Json labels = Json::object();
    for (const auto& text : args.values("label")) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Error(ErrorCode::usage, "not a label: \"" + text + "\"", "labels read KEY=VALUE");
        }
        if (text.starts_with("stemma/")) {
            throw Error(ErrorCode::usage, "labels that begin with stemma/ are Stemma's own");
        }
        labels[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return labels;
}

/// Where a host's disks go when nobody says: QEMU of the system's daemon may not look into homes.
std::string default_folder(Context& context, const std::string& uri, const std::string& name)
{
    if (uri.starts_with("qemu:///system") && ::geteuid() == 0) {
        return "/var/lib/libvirt/stemma";
    }
    return std::filesystem::absolute(context.state_folder / "hosts" / name).lexically_normal();
}

void refuse_unsafe(const std::string& uri, bool insecure)
{
    const auto scheme = uri.substr(0, uri.find("://"));
    if (!insecure && scheme.ends_with("+tcp")) {
        throw Error(ErrorCode::usage,
                    "anybody on the way can read and change what goes over " + scheme,
                    "use qemu+tls:// or qemu+ssh://, or say --insecure");
    }
    if (!insecure && uri.find("no_verify=1") != std::string::npos) {
        throw Error(ErrorCode::usage,
                    "no_verify=1 accepts any machine as this host",
                    "make the host's key or certificate known, or say --insecure");
    }
    if (virt::safe_uri(uri) != uri) {
        throw Error(ErrorCode::usage,
                    "a password in a URI would be kept in the store",
                    "use a key file (?keyfile=) or certificates (?pkipath=)");
    }
}

int run_add(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "NAME URI");
    const auto& name = words[0];
    const auto& uri = words[1];
    if (!deployer::is_name(name)) {
        throw Error(ErrorCode::usage, "not a name for a host: \"" + printable(name) + "\"");
    }
    refuse_unsafe(uri, args.has("insecure"));
    auto labels = labels_of(args);
    const auto facts = virt::Connection::open(uri).facts();
    if (!virt::is_local(uri)) {
        throw Error(ErrorCode::unsupported,
                    "hosts on other machines are not managed by this version",
                    "run stemma on that machine with a URI such as qemu:///system");
    }
    const auto folder = args.value_or("folder", default_folder(context, uri, name));
    auto accel = args.value_or("accel", "auto");
    if (accel == "auto") {
        accel = deployer::probe_accel(uri, folder);
    } else if (accel != "kvm" && accel != "qemu" && accel != "test") {
        throw Error(ErrorCode::usage, "--accel is auto, kvm or qemu, not " + accel);
    }
    labels[folder_label] = std::filesystem::absolute(folder).lexically_normal().string();
    labels[accel_label] = accel;
    record(context,
           "host.added",
           {{"name", name},
            {"uuid", facts.uuid},
            {"uri", uri},
            {"labels", labels},
            {"host_name", facts.host_name},
            {"memory_mib", facts.memory_mib},
            {"cpus", facts.cpus},
            {"driver", facts.driver}});
    record(context, "host.state", {{"name", name}, {"state", "up"}, {"reason", "added"}});
    context.log().info("host {}: {} on {} ({} CPUs, {} MiB), guests run on {}, disks in {}",
                       name,
                       facts.driver,
                       facts.host_name,
                       facts.cpus,
                       facts.memory_mib,
                       accel == "qemu" ? "emulation (no working KVM)" : accel,
                       folder);
    return 0;
}

Json item_of(const lineage::HostInfo& info, const std::vector<lineage::VmInfo>& vms)
{
    const auto entry = deployer::entry_of(info);
    std::size_t count = 0;
    for (const auto& vm : vms) {
        count += vm.host == info.name ? 1U : 0U;
    }
    std::string label_text;
    for (const auto& [key, value] : entry.labels) {
        label_text += (label_text.empty() ? "" : ",") + key + "=" + value;
    }
    return {{"name", info.name},
            {"uri", info.uri},
            {"uuid", info.uuid},
            {"state", info.state},
            {"labels", entry.labels},
            {"label_text", label_text},
            {"accel", entry.accel},
            {"folder", entry.folder},
            {"vms", count}};
}

int run_list(Context& context, const Args& args)
{
    (void)args.expect_words(0, 0, "");
    Answer answer{
        .schema = "stemma.hosts/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    const auto vms = context.store().vms();
    for (const auto& info : context.store().hosts()) {
        answer.items.push_back(item_of(info, vms));
    }
    return show(context, answer, host_columns);
}

int run_show(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto entry = find_host_entry(context, words[0]);
    const auto info = context.store().find_host(entry.name);
    const deployer::Fleet fleet({entry}, std::chrono::seconds(20), context.cancel());
    const auto observed = fleet.observe().front();
    Answer answer{
        .schema = "stemma.host/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    auto host = item_of(*info, context.store().vms());
    host["state"] = observed.reachable ? "up" : "unknown";
    host["error"] = observed.reachable ? Json(nullptr) : Json(observed.error);
    answer.extra["host"] = host;
    for (const auto& vm : observed.vms) {
        answer.items.push_back({{"name", vm.name},
                                {"uuid", vm.uuid},
                                {"state", vm.state},
                                {"reason", vm.reason},
                                {"release", vm.release.empty() ? Json(nullptr) : Json(vm.release)},
                                {"image", vm.image.empty() ? Json(nullptr) : Json(vm.image)}});
    }
    if (!observed.reachable) {
        answer.gaps.push_back({.what = "host " + entry.name, .reason = observed.error});
    }
    if (context.format == Format::table) {
        context.out(fmt::format("{} {}  runs on {}  disks in {}\n",
                                entry.name,
                                virt::safe_uri(entry.uri),
                                entry.accel,
                                entry.folder));
    }
    return show(context,
                answer,
                {{.title = "VM", .member = "name"},
                 {.title = "STATE", .member = "state"},
                 {.title = "REASON", .member = "reason"},
                 {.title = "RELEASE", .member = "release"},
                 {.title = "IMAGE", .member = "image", .style = Column::Style::digest}});
}

int run_remove(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto entry = find_host_entry(context, words[0]);
    for (const auto& vm : context.store().vms()) {
        if (vm.host == entry.name && !args.has("force")) {
            throw Error(ErrorCode::conflict,
                        "host " + entry.name + " still has VM " + vm.name,
                        "retire its VMs first, or say --force to forget the host with them");
        }
    }
    record(context, "host.removed", {{"name", entry.name}});
    return 0;
}

} // namespace

std::vector<Command> host_commands()
{
    return {
        {.name = "host add",
         .summary = "make a libvirt host known",
         .synopsis = "NAME URI [--label KEY=VALUE]… [--folder DIR] [--accel auto|kvm|qemu]",
         .description =
             "Connects to URI, finds out what guests can run on there (KVM is believed only after "
             "a "
             "guest really ran), and records the host. Adding a known name again replaces its URI "
             "and labels.\n\nDisks, base images and sockets of its VMs go to DIR, which the host's "
             "QEMU must be able to read: /var/lib/libvirt/stemma for root's qemu:///system, else a "
             "folder beside the store.",
         .options = {{.name = "label",
                      .value = "KEY=VALUE",
                      .help = "a label that releases can ask for",
                      .repeats = true},
                     {.name = "folder", .value = "DIR", .help = "where its disks go"},
                     {.name = "accel",
                      .value = "KIND",
                      .help = "auto (try), kvm, or qemu for emulation"},
                     {.name = "insecure",
                      .value = "",
                      .help = "accept a URI that proves nobody's identity"}},
         .examples = {{"stemma host add local qemu:///system", "This machine."},
                      {"stemma host add rack1 qemu:///system --label zone=a", "With a label."}},
         .exits = {},
         .run = run_add},
        {.name = "host list",
         .summary = "list the known hosts",
         .synopsis = "",
         .description = "Lists hosts from the lineage, without asking them; `host show` asks.",
         .options = {},
         .examples = {{"stemma host list", "All of them."}},
         .exits = {},
         .run = run_list},
        {.name = "host show",
         .summary = "ask a host what runs there",
         .synopsis = "NAME",
         .description = "Connects to the host and lists its VMs, also those of others.",
         .options = {},
         .examples = {{"stemma host show local", "What runs on this machine."}},
         .exits = "4 the host cannot be reached",
         .run = run_show},
        {.name = "host remove",
         .summary = "forget a host",
         .synopsis = "NAME [--force]",
         .description = "Records that the host is no longer one of ours. Touches nothing on it.",
         .options = {{.name = "force",
                      .value = "",
                      .help = "also when the lineage has live VMs there"}},
         .examples = {{"stemma host remove rack1", "It has no VMs any more."}},
         .exits = {},
         .run = run_remove},
    };
}

} // namespace stemma::cli
