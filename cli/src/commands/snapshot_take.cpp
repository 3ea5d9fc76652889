#include "stemma/analyzer/take.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/virt/connection.hpp"

#include <map>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

Json item_of(const analyzer::Taken& taken)
{
    auto item = taken.body;
    bool complete = true;
    for (const auto& report : taken.features.extractors) {
        // A system without cron is not a snapshot with a hole; a disk that cannot be read is.
        complete = complete && report.status != analyzer::Status::partial &&
                   (report.extractor != "disk" || report.status == analyzer::Status::complete);
    }
    item["complete"] = complete;
    item["error"] = nullptr;
    return item;
}

Json failed_item(const lineage::VmInfo& vm, const Error& error)
{
    Json item = {{"complete", false},
                 {"error", error.one_line()},
                 {"host", vm.host},
                 {"image", vm.image},
                 {"name", vm.name},
                 {"uuid", vm.uuid}};
    for (const auto* absent : {"definition",
                               "disk",
                               "extractors",
                               "features",
                               "flushed",
                               "id",
                               "memory",
                               "memory_size",
                               "parent",
                               "quiesced",
                               "state"}) {
        item[absent] = nullptr;
    }
    return item;
}

void tell_gaps(Context& context, const std::string& name, const analyzer::FeatureSet& set)
{
    for (const auto& report : set.extractors) {
        if (report.status == analyzer::Status::partial) {
            context.log().warning("{}: {}: {}", name, report.extractor, report.reason);
        } else if (report.status == analyzer::Status::unsupported) {
            context.log().debug("{}: {}: nothing: {}", name, report.extractor, report.reason);
        }
    }
}

analyzer::Subject subject_of(lineage::Store& store, const lineage::VmInfo& vm)
{
    analyzer::Subject subject{vm.uuid, vm.name, vm.host, vm.image, std::nullopt};
    const auto before = store.snapshots(vm.uuid);
    if (!before.empty()) {
        subject.parent = before.back().id;
    }
    return subject;
}

/// VMs of a libvirt that the lineage need not know: what it knows of them is used.
std::vector<lineage::VmInfo>
vms_of_uri(lineage::Store& store, const std::string& uri, const std::vector<std::string>& words)
{
    const auto connection = virt::Connection::open(uri);
    std::vector<lineage::VmInfo> result;
    for (const auto& word : words) {
        const auto name = word.starts_with("vm:") ? word.substr(3) : word;
        auto domain = is_uuid(name) ? connection.find_by_uuid(name) : connection.find_by_name(name);
        if (!domain) {
            throw Error(ErrorCode::not_found,
                        fmt::format("{} has no VM '{}'", virt::safe_uri(uri), printable(name)));
        }
        auto known = store.find_vm(domain->uuid());
        if (!known) {
            known.emplace();
            known->uuid = domain->uuid();
            known->name = domain->name();
        }
        result.push_back(*std::move(known));
    }
    return result;
}

std::string uri_of(lineage::Store& store, const lineage::VmInfo& vm)
{
    const auto host = store.find_host(vm.host);
    if (!host) {
        throw Error(ErrorCode::not_found,
                    fmt::format("the host of {} is not known ('{}')", vm.name, vm.host),
                    "add it: stemma host add NAME URI");
    }
    return host->uri;
}

std::optional<analyzer::PointMethod> method_named(const std::optional<std::string>& word)
{
    if (!word) {
        return std::nullopt;
    }
    const auto method = analyzer::point_method_from(*word);
    if (!method || method == analyzer::PointMethod::stopped) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' is no way to have a disk at one point", printable(*word)),
                    "use --method backup or --method external, or leave it out");
    }
    return method;
}

} // namespace

analyzer::TakeOptions take_options(Context& context, const Args& args)
{
    if (args.has("memory") && args.has("no-memory")) {
        throw Error(ErrorCode::usage, "--memory and --no-memory contradict each other");
    }
    analyzer::TakeOptions options;
    options.work_folder = capture_folder();
    options.quiesce = args.has("quiesce");
    options.keep_disk = args.has("keep-disk");
    options.memory = args.has("memory");
    options.method = method_named(args.value("method"));
    options.allow.assign(context.settings.image_allow.begin(), context.settings.image_allow.end());
    options.allow.push_back(context.state_folder / "images");
    return options;
}

analyzer::Taker make_taker(Context& context, analyzer::Definition definition)
{
    return {{context.clock(),
             context.cancel(),
             context.log(),
             context.progress(),
             context.store(lineage::Store::Mode::write)},
            snapshot_folder(context),
            std::move(definition)};
}

analyzer::Taken take_snapshot(Context& context,
                              analyzer::Taker& taker,
                              const lineage::VmInfo& vm,
                              const std::optional<std::string>& uri,
                              const analyzer::TakeOptions& options)
{
    auto& store = context.store(lineage::Store::Mode::write);
    auto taken = doing(
        [&] { return taker.take(subject_of(store, vm), uri ? *uri : uri_of(store, vm), options); },
        "taking a snapshot of {}",
        vm.name);
    tell_gaps(context, vm.name, taken.features);
    return taken;
}

int run_snapshot_take(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 10'000, "VM…");
    const auto options = take_options(context, args);
    const auto uri = args.value("uri");
    auto& store = context.store(lineage::Store::Mode::write);
    const auto vms = uri ? vms_of_uri(store, *uri, words) : vms_named(context, words);
    auto taker = make_taker(context, definition_of(args));
    Answer answer;
    answer.schema = "stemma.snapshot/1";
    std::size_t failures = 0;
    std::optional<Error> last;
    for (const auto& vm : vms) {
        try {
            const auto taken = take_snapshot(context, taker, vm, uri, options);
            answer.items.push_back(item_of(taken));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted || vms.size() == 1) {
                throw;
            }
            ++failures;
            context.log().warning("{}", error.one_line());
            answer.items.push_back(failed_item(vm, error));
            last = error;
        }
    }
    if (last && failures == vms.size()) {
        throw Error(*last);
    }
    answer.seq = store.last_seq();
    show(context,
         answer,
         {{"VM", "name"},
          {"SNAPSHOT", "id"},
          {"FEATURES", "features.count", Column::Align::right},
          {"DISK", "disk.method"},
          {"COMPLETE", "complete"}});
    return failures == 0 ? 0 : 4;
}

} // namespace stemma::cli
