#include "stemma/analyzer/take.hpp"

#include "stemma/analyzer/extract_image.hpp"
#include "stemma/analyzer/vm_features.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"

#include <utility>

namespace stemma::analyzer {

namespace {

virt::Domain find_domain(const virt::Connection& connection, const Subject& subject)
{
    auto domain = connection.find_by_uuid(subject.uuid);
    if (!domain) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{} has no VM {} ({})",
                                virt::safe_uri(connection.uri()),
                                subject.name,
                                subject.uuid),
                    "it was removed or moved; `stemma vm list` says where it should be");
    }
    return *std::move(domain);
}

/// The disk's features; a disk that cannot be read costs them, not the snapshot.
FeatureSet
extract_disk(const DiskPoint& point, const Definition& definition, const ExtractOptions& options)
{
    try {
        return extract_image(point.open(), std::nullopt, definition, options);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported && error.code() != ErrorCode::not_found &&
            error.code() != ErrorCode::corrupt) {
            throw;
        }
        FeatureSet set;
        set.extractors.push_back({"disk", Status::unsupported, error.one_line(), 0});
        return set;
    }
}

void add_vm(FeatureSet& set, const std::string& xml)
{
    auto features = vm_features(xml);
    set.extractors.push_back({"vm", Status::complete, {}, features.size()});
    set.features.insert(set.features.end(),
                        std::make_move_iterator(features.begin()),
                        std::make_move_iterator(features.end()));
}

/// A whole copy of the disk at its point, thin.
void keep_disk(const DiskPoint& point, const std::filesystem::path& file, const Cancel& cancel)
{
    const auto place = point.place();
    std::vector<std::string> argv = {"qemu-img", "convert", "-f", point.format(), "-O", "qcow2"};
    argv.insert(argv.end(), {"-c", "-o", "compression_type=zstd"});
    argv.push_back(place);
    argv.push_back(file.string());
    run_checked({.argv = std::move(argv), .cancel = &cancel});
}

Json reports_of(const FeatureSet& set)
{
    auto reports = Json::array();
    for (const auto& report : set.extractors) {
        reports.push_back({{"extractor", report.extractor},
                           {"features", report.features},
                           {"reason", json_text(report.reason)},
                           {"status", to_string(report.status)}});
    }
    return reports;
}

} // namespace

Taker::Taker(World world, SnapshotFolder folder, Definition definition)
    : world_(world), folder_(std::move(folder)), definition_(std::move(definition))
{
}

Taken Taker::take(const Subject& subject, const std::string& uri, const TakeOptions& options)
{
    const Activity activity(world_.progress, "taking a snapshot of " + subject.name, 0, "");
    const auto connection = virt::Connection::open(uri);
    const auto domain = find_domain(connection, subject);
    const auto xml = domain.xml();
    const auto description = virt::describe_domain(xml);
    const auto state = domain.status();
    Taken taken;
    taken.id = make_uuid7(world_.clock.now());
    // Begun by whoever holds the VM's lock, which the point takes first of all.
    std::optional<SnapshotFolder::Draft> draft;
    const auto begin_draft = [&] { draft.emplace(folder_.begin(taken.id, subject.uuid)); };
    DiskPoint::Options wanted{.clock = world_.clock,
                              .cancel = world_.cancel,
                              .log = world_.log,
                              .work_folder = options.work_folder,
                              .allow = options.allow,
                              .quiesce = options.quiesce,
                              .method = options.method};
    if (options.memory) {
        wanted.make_memory_file = [&] {
            begin_draft();
            return draft->path() / SnapshotFolder::memory_file;
        };
    }
    DiskPoint point(connection, domain, description, wanted);
    if (!draft) {
        begin_draft();
    }
    taken.features =
        extract_disk(point, definition_, {.clock = world_.clock, .cancel = world_.cancel});
    if (definition_.wants("vm")) {
        add_vm(taken.features, xml);
        taken.features.arrange();
    }
    if (options.keep_disk) {
        keep_disk(point, draft->path() / SnapshotFolder::disk_file, world_.cancel);
    }
    Json memory = nullptr;
    if (options.memory) {
        const auto size = point.finish_memory(world_.cancel);
        memory = {{"bytes", size.bytes}, {"pages", size.pages}};
    }
    const auto digest = draft->put_features(taken.features);
    taken.body = {{"definition", definition_.name},
                  {"disk",
                   {{"kept", options.keep_disk},
                    {"method", to_string(point.method())},
                    {"pause_ms", static_cast<double>(point.pause().count()) / 1000},
                    {"target", point.target()}}},
                  {"extractors", reports_of(taken.features)},
                  {"features", {{"count", taken.features.features.size()}, {"sha256", digest}}},
                  {"flushed", point.flushed()},
                  {"host", subject.host},
                  {"id", taken.id},
                  {"image", subject.image},
                  {"memory", options.memory},
                  {"memory_size", memory},
                  {"name", subject.name},
                  {"parent", json_or_null(subject.parent)},
                  {"quiesced", point.quiesced()},
                  {"state", virt::to_string(state.state)},
                  {"uuid", subject.uuid}};
    draft->commit();
    try {
        world_.recorder.record({point.at(), "snapshot.taken", taken.body});
    } catch (...) {
        folder_.remove(taken.id); // unknown to the ledger: nobody would ever find it
        throw;
    }
    return taken;
}

} // namespace stemma::analyzer
