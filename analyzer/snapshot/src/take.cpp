#include "stemma/analyzer/take.hpp"

#include "stemma/analyzer/extract_image.hpp"
#include "stemma/analyzer/file_volume.hpp"
#include "stemma/analyzer/vm_features.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
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

/// Puts disks and memories into the pool, and says what that took.
class Keeper {
public:
    Keeper(const BlockPool& pool, const SnapshotFolder::Draft& draft, const Cancel& cancel)
        : pool_(pool), draft_(draft), cancel_(cancel), hold_(pool.hold(cancel))
    {
    }

    void keep(SnapshotFolder::Part part, volume::Volume& from)
    {
        const auto put = doing(
            [&] { return pool_.put(hold_, from, cancel_); }, "keeping the {}", to_string(part));
        draft_.put_map(part, put.map);
        stored_[std::string(to_string(part))] = {{"blocks", put.blocks},
                                                 {"fresh", put.fresh},
                                                 {"stored", put.stored},
                                                 {"sha256", put.map.content.hex()}};
    }
    void keep_memory()
    {
        const auto file = draft_.memory_file();
        {
            FileVolume memory(file);
            keep(SnapshotFolder::Part::memory, memory);
        }
        std::filesystem::remove(file);
    }
    [[nodiscard]] const Json& stored() const noexcept { return stored_; }

private:
    const BlockPool& pool_;
    const SnapshotFolder::Draft& draft_;
    const Cancel& cancel_;
    BlockPool::Hold hold_; ///< until the draft is in place
    Json stored_ = {{"disk", nullptr}, {"memory", nullptr}};
};

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

void tell_left(const std::vector<std::string>& left,
               const std::string& kept,
               const std::string& name,
               Log& log)
{
    if (!left.empty()) {
        log.warning("{} of {} is kept, {} not: a snapshot has the system disk alone",
                    kept,
                    name,
                    join(left, ", "));
    }
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
            return draft->memory_file();
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
    Keeper keeper(folder_.pool(), *draft, world_.cancel);
    const auto left = other_disks(description, point.target());
    if (options.keep_disk) {
        tell_left(left, point.target(), subject.name, world_.log);
        keeper.keep(SnapshotFolder::Part::disk, *point.open());
    }
    Json memory = nullptr;
    if (options.memory) {
        const auto size = point.finish_memory(world_.cancel);
        memory = {{"bytes", size.bytes}, {"pages", size.pages}};
        keeper.keep_memory();
    }
    draft->put_domain(domain.xml(virt::Domain::Which::next_start));
    const auto digest = draft->put_features(taken.features);
    taken.body = {{"definition", definition_.name},
                  {"disk",
                   {{"kept", options.keep_disk},
                    {"left", left},
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
                  {"schedule", json_or_null(options.schedule)},
                  {"state", virt::to_string(state.state)},
                  {"stored", keeper.stored()},
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
