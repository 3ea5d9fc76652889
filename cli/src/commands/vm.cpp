#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/libvirt_hypervisor.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "deploy_support.hpp"
#include "groups.hpp"
#include "migrate.hpp"
#include "vm_life.hpp"
#include "watch.hpp"

namespace stemma::cli {

namespace {

using namespace std::chrono_literals;

constexpr auto helper_patience = 20s;

Json item_of(const lineage::VmInfo& vm)
{
    return {{"uuid", vm.uuid},
            {"name", vm.name},
            {"host", vm.host},
            {"image", vm.image},
            {"release", vm.release.empty() ? Json(nullptr) : Json(vm.release)},
            {"state", vm.state},
            {"since", format_time(vm.since)}};
}

const std::vector<Column> vm_columns = {
    {.title = "NAME", .member = "name"},
    {.title = "STATE", .member = "state"},
    {.title = "HOST", .member = "host"},
    {.title = "IMAGE", .member = "image", .style = Column::Style::digest},
    {.title = "RELEASE", .member = "release"},
    {.title = "SINCE", .member = "since", .style = Column::Style::time}};

int run_list(Context& context, const Args& args)
{
    (void)args.expect_words(0, 0, "");
    Answer answer{
        .schema = "stemma.vms/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& vm : context.store().vms(args.has("all"))) {
        answer.items.push_back(item_of(vm));
    }
    return show(context, answer, vm_columns);
}

int run_show(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "VM");
    const auto vm = open_vm(context, words[0]);
    const auto status = vm.domain.status();
    auto item = item_of(vm.info);
    item["state"] = to_string(status.state);
    item["reason"] = status.reason;
    item["inside"] = nullptr;
    if (status.state == virt::DomainState::running) {
        try {
            const auto guest = deployer::open_guest(vm.domain, 3s, &context.cancel());
            item["inside"] = guest->info();
            item["inside"]["helper"] = guest->helper();
        } catch (const Error& error) {
            context.log().warning("{}: {}", vm.info.name, error.one_line());
        }
    }
    if (context.format == Format::table) {
        for (const auto& [key, value] : item.items()) {
            if (!value.is_object()) {
                context.out(fmt::format("{:<10} {}\n",
                                        key,
                                        value.is_string() ? printable(value.get<std::string>())
                                                          : value.dump()));
            }
        }
        if (item["inside"].is_object()) {
            for (const auto& [key, value] : item["inside"].items()) {
                context.out(fmt::format("  {:<10} {}\n",
                                        key,
                                        value.is_string() ? printable(value.get<std::string>())
                                                          : value.dump()));
            }
        }
        return 0;
    }
    Answer answer{
        .schema = "stemma.vm/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    answer.items.push_back(item);
    return show(context, answer, vm_columns);
}

void record_state(Context& context,
                  const OpenVm& vm,
                  std::string_view state,
                  std::string_view reason)
{
    record(context,
           "vm.state",
           {{"uuid", vm.info.uuid},
            {"name", vm.info.name},
            {"host", vm.info.host},
            {"state", state},
            {"reason", reason}});
}

std::unique_ptr<deployer::Hypervisor> hypervisor_of(Context& context, const OpenVm& vm)
{
    return deployer::connect_host(vm.host, context.cancel());
}

int run_start(Context& context, const Args& args)
{
    for (const auto& name : args.expect_words(1, 10000, "VM…")) {
        const auto vm = open_vm(context, name);
        if (!vm.domain.active()) {
            hypervisor_of(context, vm)->start(vm.info.uuid);
            record_state(context, vm, "running", "stemma vm start");
        }
    }
    return 0;
}

int run_stop(Context& context, const Args& args)
{
    const auto patience = std::chrono::seconds(args.number("timeout", 0, 86400).value_or(20));
    for (const auto& name : args.expect_words(1, 10000, "VM…")) {
        const auto vm = open_vm(context, name);
        if (vm.domain.active()) {
            hypervisor_of(context, vm)->stop(vm.info.uuid, patience);
            record_state(context, vm, "stopped", "stemma vm stop");
        }
    }
    return 0;
}

/// What was run and how it ended, in the VM's own log.
Json action_body(const OpenVm& vm, const std::vector<std::string>& command)
{
    Json argv = Json::array();
    for (const auto& word : command) {
        argv.push_back(json_text(word));
    }
    return {{"uuid", vm.info.uuid},
            {"name", vm.info.name},
            {"command", argv},
            {"phase", "begin"},
            {"exit", nullptr}};
}

void record_end(Context& context, Json body, const std::optional<deployer::GuestExit>& exit)
{
    const bool good = exit && !exit->timed_out && exit->signal == 0 && exit->code == 0;
    body["phase"] = good ? "done" : "failed";
    if (exit && !exit->timed_out) {
        body["exit"] = exit->signal != 0 ? 128 + exit->signal : exit->code;
    }
    record(context, "action.run", std::move(body));
}

int run_exec(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "VM -- COMMAND…");
    if (args.rest().empty()) {
        throw Error(ErrorCode::usage,
                    "no command was given",
                    "it stands after two dashes: stemma vm exec VM -- COMMAND…");
    }
    const auto vm = open_vm(context, words[0]);
    const auto guest = deployer::open_guest(vm.domain, helper_patience, &context.cancel());
    const auto seconds = args.number("timeout", 0, 86400).value_or(0);
    auto body = action_body(vm, args.rest());
    record(context, "action.run", body);
    std::optional<deployer::GuestExit> ended;
    try {
        ended = guest->exec(
            args.rest(), std::chrono::seconds(seconds), [&](bool is_error, std::string_view bytes) {
                if (is_error) {
                    write_all(STDERR_FILENO, bytes, "standard error");
                } else {
                    context.out(bytes);
                }
            });
    } catch (const Error& error) {
        body["reason"] = json_text(error.one_line());
        record_end(context, std::move(body), ended);
        throw;
    }
    const auto& exit = *ended;
    record_end(context, std::move(body), exit);
    if (args.has("changes")) {
        record(context,
               "vm.changed",
               {{"uuid", vm.info.uuid},
                {"name", vm.info.name},
                {"what", json_text("exec " + shell_join(args.rest()))}});
    }
    if (exit.timed_out) {
        throw Error(ErrorCode::remote, "the command did not end in time and was killed");
    }
    return exit.signal != 0 ? 128 + exit.signal : exit.code;
}

struct CopyEnd {
    std::string vm; ///< empty: this machine
    std::string path;
};

CopyEnd copy_end(const std::string& word)
{
    auto text = word.starts_with("vm:") ? word.substr(3) : word;
    const auto colon = text.find(':');
    if (colon == std::string::npos || text.find('/') < colon) {
        return {.vm = {}, .path = text};
    }
    return {.vm = text.substr(0, colon), .path = text.substr(colon + 1)};
}

void copy_out(Context& context, const CopyEnd& from, const std::string& to)
{
    const auto vm = open_vm(context, from.vm);
    const auto guest = deployer::open_guest(vm.domain, helper_patience, &context.cancel());
    std::filesystem::path target(to);
    if (std::filesystem::is_directory(target)) {
        target /= std::filesystem::path(from.path).filename();
    }
    NewFile file(target);
    const auto info = guest->read(from.path, [&](std::string_view bytes) { file.write(bytes); });
    // A guest does not get to make a setuid program on this machine.
    ::fchmod(file.fd(), info.mode == 0 ? 0644 : info.mode & 0777U);
    file.commit();
}

void copy_in(Context& context, const std::string& from, const CopyEnd& to)
{
    const auto vm = open_vm(context, to.vm);
    const auto source = open_file(from, O_RDONLY);
    struct stat status {};
    if (::fstat(source.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        throw Error(ErrorCode::usage, from + " is not a regular file");
    }
    auto path = to.path;
    if (path.ends_with('/')) {
        path += std::filesystem::path(from).filename().string();
    }
    const auto guest = deployer::open_guest(vm.domain, helper_patience, &context.cancel());
    const auto written = guest->write(path, status.st_mode & 07777U, [&] {
        std::string piece(32768, '\0');
        const auto got = ::read(source.get(), piece.data(), piece.size());
        if (got < 0) {
            throw system_error(errno, "read " + from);
        }
        piece.resize(static_cast<std::size_t>(got));
        return piece;
    });
    record(context,
           "vm.changed",
           {{"uuid", vm.info.uuid},
            {"name", vm.info.name},
            {"what", json_text("cp to " + path)},
            {"sha256", written.sha256}});
}

int run_cp(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "FROM TO");
    const auto from = copy_end(words[0]);
    const auto to = copy_end(words[1]);
    if (from.vm.empty() == to.vm.empty()) {
        throw Error(ErrorCode::usage,
                    "one of the two must be in a VM, and one on this machine",
                    "VM:/PATH names a file in a VM");
    }
    if (from.vm.empty()) {
        copy_in(context, from.path, to);
    } else {
        copy_out(context, from, to.path);
    }
    return 0;
}

} // namespace

std::vector<Command> vm_commands()
{
    return {
        {.name = "vm list",
         .summary = "list the VMs that the lineage knows",
         .synopsis = "[--all]",
         .description = "From the lineage, without asking a host.",
         .options = {{.name = "all", .value = "", .help = "with retired ones"}},
         .examples = {{"stemma vm list", "All live VMs."}},
         .exits = {},
         .run = run_list},
        {.name = "vm show",
         .summary = "ask a VM's host and its inside what it is",
         .synopsis = "VM",
         .description =
             "State from its host; host name, kernel, OS and boot id from inside, when a "
             "helper answers there.",
         .options = {},
         .examples = {{"stemma vm show shop-2", "Outside and inside."}},
         .exits = {},
         .run = run_show},
        {.name = "vm start",
         .summary = "start VMs",
         .synopsis = "VM…",
         .description = "Starts VMs that do not run, and records it.",
         .options = {},
         .examples = {{"stemma vm start shop-2", "One VM."}},
         .exits = {},
         .run = run_start},
        {.name = "vm stop",
         .summary = "stop VMs",
         .synopsis = "VM… [--timeout SECONDS]",
         .description = "Asks each guest to power off and pulls the plug when it does not.",
         .options = {{.name = "timeout",
                      .value = "SECONDS",
                      .help = "until the plug is pulled (20); 0: at once"}},
         .examples = {{"stemma vm stop shop-2", "Politely."}},
         .exits = {},
         .run = run_stop},
        vm_retire_command(),
        vm_adopt_command(),
        {.name = "vm exec",
         .summary = "run a command inside a VM",
         .synopsis = "VM [--timeout SECONDS] [--changes] -- COMMAND…",
         .description = "Through the management channel: no network and no password. Both outputs "
                        "come as they are; the exit status is the command's. The command and its "
                        "exit are in the VM's log (action.run); with --changes the VM counts as "
                        "changed by it.",
         .options = {{.name = "timeout",
                      .value = "SECONDS",
                      .help = "then it is killed (0: never)"},
                     {.name = "changes",
                      .value = "",
                      .help = "the command changes the VM: note that too"}},
         .examples = {{"stemma vm exec shop-2 -- sha256sum /usr/sbin/shopd", "Ask the VM itself."},
                      {"stemma vm exec shop-2 -- sh -c 'echo hi >/tmp/x'", "With a shell."}},
         .exits = "the command's; 128+N for signal N",
         .run = run_exec,
         .rest_is_command = true},
        {.name = "vm cp",
         .summary = "copy a file into or out of a VM",
         .synopsis = "FROM TO",
         .description = "One of the two is VM:/PATH. The file appears whole or not at all, and its "
                        "digest is compared at both ends. Copies into a VM are recorded.",
         .options = {},
         .examples = {{"stemma vm cp shop-2:/etc/shop/shop.conf .", "Out."},
                      {"stemma vm cp shop.conf shop-2:/etc/shop/shop.conf", "In."}},
         .exits = {},
         .run = run_cp},
        migrate_command(),
        watch_command(),
    };
}

} // namespace stemma::cli
