#include "watch.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/metrics.hpp"
#include "stemma/deployer/watch.hpp"
#include "stemma/http/server.hpp"

#include <fcntl.h>
#include <signal.h>

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "deploy_support.hpp"
#include "release_run.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

namespace {

/// A repair that failed is tried again after this.
constexpr auto repair_pause = std::chrono::minutes(5);

deployer::RecordedVms recorded_vms(Context& context)
{
    deployer::RecordedVms recorded;
    auto& store = context.store(lineage::Store::Mode::write);
    store.refresh(); // others record as well
    for (const auto& vm : store.vms()) {
        recorded[vm.uuid] = {.name = vm.name,
                             .host = vm.host,
                             .image = vm.image,
                             .release = vm.release,
                             .state = vm.state};
    }
    return recorded;
}

/// Specs in force of every release that has live VMs.
std::vector<deployer::VmSpec> specs_in_force(Context& context)
{
    std::set<std::string> releases;
    for (const auto& vm : context.store().vms()) {
        releases.insert(vm.release);
    }
    std::vector<deployer::VmSpec> specs;
    for (const auto& release : releases) {
        const auto applied = deployer::applied_releases(context.store().release_events(release));
        if (!applied.empty()) {
            specs.insert(specs.end(), applied.back().specs.begin(), applied.back().specs.end());
        }
    }
    return specs;
}

std::vector<deployer::Drift>
drift_of(Context& context, const std::vector<deployer::ObservedHost>& hosts, bool with_foreign)
{
    std::set<std::string> adopted;
    for (const auto& vm : context.store().vms()) {
        if (vm.release.empty()) {
            adopted.insert(vm.uuid);
        }
    }
    return deployer::find_drift(hosts, specs_in_force(context), with_foreign, adopted);
}

int show_drift(Context& context, bool with_foreign)
{
    const deployer::Fleet fleet(host_entries(context), connect_patience, context.cancel());
    const auto hosts = fleet.observe();
    Answer answer{
        .schema = "stemma.drift/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& drift : drift_of(context, hosts, with_foreign)) {
        answer.items.push_back({{"host", drift.host},
                                {"vm", drift.vm},
                                {"kind", drift.kind},
                                {"expected", drift.expected},
                                {"actual", drift.actual}});
    }
    for (const auto& host : hosts) {
        if (!host.reachable) {
            answer.gaps.push_back({.what = "host " + host.name, .reason = host.error});
        }
    }
    const bool differs = !answer.items.empty();
    const int status = show(context,
                            answer,
                            {{.title = "HOST", .member = "host"},
                             {.title = "VM", .member = "vm"},
                             {.title = "DRIFT", .member = "kind"},
                             {.title = "EXPECTED", .member = "expected"},
                             {.title = "ACTUAL", .member = "actual"}});
    return status != 0 ? status : differs ? 3 : 0;
}

/// What a watch says of itself to Prometheus, from a thread of its own.
class MetricsPage {
public:
    MetricsPage(Context& context, std::string_view address)
        : server_(
              http::Address::parse(address),
              [this](const http::Request& request) { return answer(request); },
              context.log())
    {
        context.log().info("metrics on http://{}/metrics", server_.address().text());
        thread_ = std::thread([this] { server_.run(stop_); });
    }
    ~MetricsPage()
    {
        stop_.request();
        thread_.join();
    }
    MetricsPage(const MetricsPage&) = delete;
    MetricsPage& operator=(const MetricsPage&) = delete;

    void set(std::string text)
    {
        const std::lock_guard lock(mutex_);
        text_ = std::move(text);
    }

private:
    http::Response answer(const http::Request& request)
    {
        if (request.path != "/metrics") {
            return {.status = 404, .type = "text/plain", .body = "see /metrics\n", .headers = {}};
        }
        const std::lock_guard lock(mutex_);
        return {.status = 200,
                .type = "text/plain; version=0.0.4; charset=utf-8",
                .body = text_,
                .headers = {}};
    }

    std::mutex mutex_;
    std::string text_;
    Cancel stop_;
    http::Server server_;
    std::thread thread_;
};

/// Kinds that the VMs' states tell already.
bool is_told_by_state(const deployer::Drift& drift)
{
    return drift.kind == "stopped" || drift.kind == "missing";
}

/// Kinds that applying what is in force mends without anybody's consent.
bool can_be_repaired(const deployer::Drift& drift)
{
    static const std::set<std::string> kinds = {
        "stopped", "missing", "image", "definition", "memory", "vcpus", "renamed"};
    return kinds.contains(drift.kind);
}

/// Scheduled snapshots, taken by a process of their own: however long one takes, hosts are
/// followed.
class SnapshotTurns {
public:
    explicit SnapshotTurns(Context& context) : context_(context) {}
    ~SnapshotTurns()
    {
        if (running_) {
            running_->kill(SIGTERM); // it ends what it began in the hypervisor
            (void)running_->wait();
        }
    }
    SnapshotTurns(const SnapshotTurns&) = delete;
    SnapshotTurns& operator=(const SnapshotTurns&) = delete;

    /// Starts the process when it is some VM's turn and none runs.
    void look()
    {
        if (running_) {
            const auto exit = running_->poll();
            if (!exit) {
                return;
            }
            if (!exit->success() && exit->code != exit_incomplete) {
                context_.log().warning("scheduled snapshots: {}", exit->describe());
            }
            running_.reset();
        }
        try {
            if (any_snapshot_due(context_)) {
                start();
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            context_.log().warning("scheduled snapshots: {}", error.one_line());
        }
    }

private:
    void start()
    {
        const Fd nowhere = open_file("/dev/null", O_RDWR);
        auto argv = context_.own_command();
        argv.insert(argv.end(), {"snapshot", "schedule", "run"});
        running_.emplace(argv, Child::Streams{nowhere.get(), nowhere.get(), -1});
    }

    Context& context_;
    std::optional<Child> running_;
};

/// What is done after each look: drift is said once, recorded, mended where that is wished, and
/// counted.
class Follower {
public:
    Follower(Context& context, bool repairs, std::unique_ptr<MetricsPage> page)
        : context_(context),
          repairs_(repairs),
          page_(std::move(page)),
          file_(context.make_state_folder("watch") / "drift.json")
    {
        if (std::filesystem::exists(file_)) {
            for (const auto& word : parse_json(read_file(file_), file_.string())) {
                known_.insert(text_of(word, "drift"));
            }
        }
    }

    void take(const std::vector<deployer::ObservedHost>& hosts)
    {
        figures_.hosts = hosts;
        figures_.drift = drift_of(context_, hosts, false);
        say_new();
        if (repairs_) {
            repair();
        }
        ++figures_.looks;
        figures_.last_look = context_.clock().now();
        figures_.vms = recorded_vms(context_);
        if (page_) {
            page_->set(deployer::prometheus_text(figures_));
        }
    }

private:
    void say_new()
    {
        std::set<std::string> now;
        for (const auto& drift : figures_.drift) {
            const auto word = fmt::format(
                "{}/{}: {}: {}", drift.host, drift.vm, drift.kind, printable(drift.actual));
            if (now.insert(word).second && !known_.contains(word)) {
                context_.log().warning("drift: {}", word);
                record_drift(drift);
            }
        }
        if (now != known_) {
            known_ = std::move(now);
            write_file(file_, Json(known_).dump(2) + "\n");
        }
    }

    void record_drift(const deployer::Drift& drift)
    {
        for (const auto& [uuid, vm] : recorded_vms(context_)) {
            if (vm.name == drift.vm && !is_told_by_state(drift)) {
                record(context_,
                       "vm.changed",
                       {{"uuid", uuid},
                        {"name", vm.name},
                        {"host", drift.host},
                        {"what", json_text("drift: " + drift.kind + ": " + drift.actual)},
                        {"expected", json_text(drift.expected)}});
            }
        }
    }

    void repair()
    {
        std::set<std::string> releases;
        for (const auto& drift : figures_.drift) {
            for (const auto& [uuid, vm] : recorded_vms(context_)) {
                if (vm.name == drift.vm && !vm.release.empty() && can_be_repaired(drift)) {
                    releases.insert(vm.release);
                }
            }
        }
        for (const auto& release : releases) {
            repair_one(release);
        }
    }

    void repair_one(const std::string& release)
    {
        const auto now = std::chrono::steady_clock::now();
        const auto next = not_before_.find(release);
        if (next != not_before_.end() && now < next->second) {
            return;
        }
        try {
            if (repair_release(context_, release)) {
                ++figures_.repairs;
                return;
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            context_.log().warning("release {}: not repaired: {}", release, error.one_line());
        }
        ++figures_.failed_repairs;
        not_before_[release] = now + repair_pause;
    }

    Context& context_;
    bool repairs_;
    std::unique_ptr<MetricsPage> page_;
    std::filesystem::path file_;
    std::set<std::string> known_; ///< drift that was said
    std::map<std::string, std::chrono::steady_clock::time_point> not_before_;
    deployer::WatchFigures figures_;
};

int run_watch(Context& context, const Args& args)
{
    (void)args.expect_words(0, 0, "");
    const auto interval = args.number("interval", 1, 86400).value_or(30);
    const auto address = args.value("metrics");
    const bool once = args.has("once");
    auto& store = context.store(lineage::Store::Mode::write);
    SnapshotTurns turns(context);
    Follower follower(context,
                      args.has("repair"),
                      address ? std::make_unique<MetricsPage>(context, *address) : nullptr);
    deployer::Watcher watcher(host_entries(context),
                              {.recorder = store,
                               .recorded = [&] { return recorded_vms(context); },
                               .clock = context.clock(),
                               .log = context.log(),
                               .cancel = context.cancel(),
                               .looked =
                                   [&](const std::vector<deployer::ObservedHost>& hosts) {
                                       follower.take(hosts);
                                       if (!once) {
                                           turns.look();
                                       }
                                   }});
    if (once) {
        watcher.look_once();
        return show_drift(context, args.has("foreign"));
    }
    watcher.run(std::chrono::seconds(interval));
    return 0;
}

} // namespace

Command watch_command()
{
    return {
        .name = "watch",
        .summary = "follow the hosts, and record what happens to their VMs",
        .synopsis = "[--interval SECONDS] [--repair] [--metrics HOST:PORT] [--once [--foreign]]",
        .description =
            "Registers for every host's events, looks at all VMs, and records each change of state "
            "with its reason: powered off, destroyed, panicked, hypervisor died, rebooted, … A "
            "host that is lost makes its VMs unknown until it is back; VMs that were condemned "
            "meanwhile are removed then. Events are only hints: everything is compared again every "
            "30 seconds.\n\nHow hosts differ from the releases in force is drift: missing, "
            "stopped, "
            "renamed, elsewhere, foreign, edited, another image, base, definition, memory, CPUs or "
            "disks, snapshots. It is said and recorded when it appears. With --repair, releases "
            "are brought back to what is in force, unless they are paused; nothing is retired and "
            "no data disk is touched.\n\nSnapshots that are scheduled (`snapshot schedule`) are "
            "taken when it is their turn.\n\nWith --once it looks once, then prints the drift.",
        .options =
            {{.name = "interval", .value = "SECONDS", .help = "between full looks (30)"},
             {.name = "repair", .value = "", .help = "bring releases back to what is in force"},
             {.name = "metrics",
              .value = "HOST:PORT",
              .help = "serve /metrics for Prometheus there"},
             {.name = "once", .value = "", .help = "look once and print the drift"},
             {.name = "foreign", .value = "", .help = "with --once: also VMs that are not ours"}},
        .examples = {{"stemma watch", "Until ^C; as a service: stemma-watch.service."},
                     {"stemma watch --repair --metrics 127.0.0.1:9177",
                      "Mend what breaks, and be watched."},
                     {"stemma watch --once", "Is everything as it was applied?"}},
        .exits = "3 with --once: drift was found; 4 a host could not be asked",
        .run = run_watch};
}

} // namespace stemma::cli
