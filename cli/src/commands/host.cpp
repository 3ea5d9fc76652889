#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/virt/storage.hpp"

#include <unistd.h>

#include "deploy_support.hpp"
#include "groups.hpp"
#include "migrate.hpp"

namespace stemma::cli {

namespace {

const std::vector<Column> host_columns = {
    {.title = "NAME", .member = "name"},
    {.title = "STATE", .member = "state"},
    {.title = "VMS", .member = "vms", .align = Column::Align::right},
    {.title = "RUNS ON", .member = "accel"},
    {.title = "URI", .member = "uri"},
    {.title = "LABELS", .member = "label_text"}};

std::map<std::string, std::string> labels_in(const Args& args)
{
    std::map<std::string, std::string> labels;
    for (const auto& text : args.values("label")) {
        const auto equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            throw Error(ErrorCode::usage, "not a label: \"" + text + "\"", "labels read KEY=VALUE");
        }
        if (text.starts_with(deployer::own_labels)) {
            throw Error(ErrorCode::usage, "labels that begin with stemma/ are Stemma's own");
        }
        labels[text.substr(0, equals)] = text.substr(equals + 1);
    }
    return labels;
}

/// Where a host's disks go when nobody says: QEMU of the system's daemon may not look into homes.
std::string default_folder(Context& context, const deployer::HostEntry& host)
{
    const bool system = virt::split_uri(host.uri).path == "/system";
    if (!virt::is_local(host.uri) || (system && ::geteuid() == 0 && host.uri == "qemu:///system")) {
        return "/var/lib/libvirt/stemma";
    }
    return context.state_folder / "hosts" / host.name;
}

/// On this machine a folder is enough; elsewhere all goes through a storage pool of that folder.
void choose_storage(Context& context,
                    const Args& args,
                    const virt::Connection& connection,
                    deployer::HostEntry& host)
{
    if (args.has("pool") && args.has("folder")) {
        throw Error(ErrorCode::usage, "a pool has its folder: give --pool or --folder, not both");
    }
    if (args.has("pool")) {
        const auto pool = virt::StoragePool::find(connection, args.value_or("pool", ""));
        host.pool = pool.name();
        host.folder = pool.folder();
        return;
    }
    const auto folder = args.value_or("folder", default_folder(context, host));
    if (virt::is_local(host.uri)) {
        host.folder = normal_path(folder, std::filesystem::current_path());
        return;
    }
    if (!folder.starts_with('/')) {
        throw Error(ErrorCode::usage,
                    "a folder on another machine begins with /, and \"" + folder + "\" does not");
    }
    const auto pool =
        virt::StoragePool::ensure(connection, normal_path(folder, "/").string(), "stemma");
    host.pool = pool.name();
    host.folder = pool.folder();
}

std::string choose_accel(const Args& args, const deployer::HostEntry& host)
{
    auto accel = args.value_or("accel", "auto");
    if (accel == "auto") {
        return deployer::probe_accel(host);
    }
    if (accel != "kvm" && accel != "qemu" && accel != "test") {
        throw Error(ErrorCode::usage, "--accel is auto, kvm or qemu, not " + accel);
    }
    return accel;
}

deployer::HostEntry entry_from(const Args& args)
{
    const auto& words = args.expect_words(2, 2, "NAME URI");
    deployer::HostEntry host;
    host.name = words[0];
    host.uri = words[1];
    if (!deployer::is_name(host.name)) {
        throw Error(ErrorCode::usage, "not a name for a host: \"" + printable(host.name) + "\"");
    }
    virt::require_safe_uri(host.uri, args.has("insecure"));
    host.labels = labels_in(args);
    host.migrate_address = args.value_or("migrate-address", "");
    host.memory_mib = args.number("memory", 0, 1U << 30U).value_or(0);
    host.keepalive =
        std::chrono::seconds(args.number("keepalive", 1, 3600)
                                 .value_or(static_cast<std::uint64_t>(host.keepalive.count())));
    host.deadline =
        std::chrono::seconds(args.number("deadline", 1, 3600)
                                 .value_or(static_cast<std::uint64_t>(host.deadline.count())));
    return host;
}

/// One daemon under two names would count as two hosts, and a VM on it as two VMs.
void refuse_twin(Context& context, const deployer::HostEntry& host, const virt::HostFacts& facts)
{
    for (const auto& known : context.store().hosts()) {
        if (known.name != host.name && !facts.uuid.empty() && known.uuid == facts.uuid) {
            throw Error(ErrorCode::conflict,
                        fmt::format("this is host {} already ({})", known.name, known.uri),
                        "`stemma host remove " + known.name +
                            "` first; two machines with the same UUID need another host_uuid in "
                            "libvirtd.conf");
        }
    }
}

void record_host(Context& context, const deployer::HostEntry& host, const virt::HostFacts& facts)
{
    record(context,
           "host.added",
           {{"name", host.name},
            {"uuid", facts.uuid},
            {"uri", host.uri},
            {"labels", deployer::labels_of(host)},
            {"host_name", facts.host_name},
            {"memory_mib", facts.memory_mib},
            {"cpus", facts.cpus},
            {"driver", facts.driver}});
}

int run_add(Context& context, const Args& args)
{
    auto host = entry_from(args);
    const auto connection = deployer::open_in_time(host, context.cancel());
    const auto facts = connection.facts();
    (void)context.store(lineage::Store::Mode::write); // a host may be the first that is recorded
    refuse_twin(context, host, facts);
    choose_storage(context, args, connection, host);
    host.accel = choose_accel(args, host);
    record_host(context, host, facts);
    record(context, "host.state", {{"name", host.name}, {"state", "up"}, {"reason", "added"}});
    context.log().info("host {}: {} on {} ({} CPUs, {} MiB), guests run on {}, disks in {}{}",
                       host.name,
                       facts.driver,
                       facts.host_name,
                       facts.cpus,
                       facts.memory_mib,
                       host.accel == "qemu" ? "emulation (no working KVM)" : host.accel,
                       host.folder,
                       host.pool.empty() ? "" : " (storage pool " + host.pool + ")");
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
        label_text += fmt::format("{}{}={}", label_text.empty() ? "" : ",", key, value);
    }
    return {{"name", info.name},
            {"uri", info.uri},
            {"uuid", info.uuid},
            {"state", info.state},
            {"labels", entry.labels},
            {"label_text", label_text},
            {"accel", entry.accel},
            {"folder", entry.folder},
            {"pool", entry.pool.empty() ? Json(nullptr) : Json(entry.pool)},
            {"memory_mib", entry.memory_mib == 0 ? Json(nullptr) : Json(entry.memory_mib)},
            {"drained", entry.drained},
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
    std::vector<Command> commands{
        {.name = "host add",
         .summary = "make a libvirt host known",
         .synopsis = "NAME URI [--label KEY=VALUE]… [--folder DIR|--pool POOL] "
                     "[--accel auto|kvm|qemu] [--memory MIB] [--migrate-address ADDRESS] "
                     "[--keepalive SECONDS] [--deadline SECONDS] [--insecure]",
         .description =
             "Connects to URI, finds out what guests can run on there (KVM is believed only after "
             "a guest really ran), and records the host. Adding a known name again replaces all "
             "that is said of it.\n\nURI is libvirt's: qemu:///system, qemu+unix://, qemu+ssh://, "
             "qemu+tls://; qemu+tcp:// only to this machine. Nothing is asked: the SSH key must be "
             "known and the certificate valid. A URI with a password is refused, since it would be "
             "kept.\n\nDisks, base images and sockets of its VMs go to DIR, which the host's QEMU "
             "must be able to read. On this machine: /var/lib/libvirt/stemma for root's "
             "qemu:///system, else a folder beside the store. On another one: a storage pool of "
             "DIR (/var/lib/libvirt/stemma) that is made when there is none, or the pool POOL; "
             "nothing of Stemma has to run there.",
         .options =
             {{.name = "label",
               .value = "KEY=VALUE",
               .help = "a label that releases can ask for",
               .repeats = true},
              {.name = "folder", .value = "DIR", .help = "where its disks go"},
              {.name = "pool",
               .value = "POOL",
               .help = "a storage pool of the host (dir, fs or netfs) for its disks"},
              {.name = "memory", .value = "MIB", .help = "what VMs may use of it together (all)"},
              {.name = "migrate-address",
               .value = "ADDRESS",
               .help = "where other hosts reach its QEMU (the URI's host)"},
              {.name = "keepalive",
               .value = "SECONDS",
               .help = "between signs of life; three missing ones end a connection (2)"},
              {.name = "deadline",
               .value = "SECONDS",
               .help = "until a call that does not wait for a guest counts as hung (20)"},
              {.name = "accel", .value = "KIND", .help = "auto (try), kvm, or qemu for emulation"},
              {.name = "insecure",
               .value = "",
               .help = "accept a URI that proves nobody's identity"}},
         .examples = {{"stemma host add local qemu:///system", "This machine."},
                      {"stemma host add rack1 qemu+ssh://root@rack1/system --label zone=a",
                       "Another machine, with a label."},
                      {"stemma host add rack2 qemu+tls://rack2/system --pool fast",
                       "Into a pool."}},
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
    for (auto& command : moving_host_commands()) {
        commands.push_back(std::move(command));
    }
    return commands;
}

} // namespace stemma::cli
