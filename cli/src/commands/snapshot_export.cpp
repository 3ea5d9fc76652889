#include "stemma/analyzer/file_volume.hpp"
#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/disk/disk.hpp"

#include <filesystem>
#include <iterator>

#include "snapshot.hpp"

namespace stemma::cli {

namespace fs = std::filesystem;
using Part = analyzer::SnapshotFolder::Part;

namespace {

/// What was kept of a snapshot, open for reading.
std::unique_ptr<volume::Volume>
open_kept(Context& context, const lineage::SnapshotInfo& snapshot, Part part)
{
    auto kept = snapshot_folder(context).open(snapshot.id, part, context.cancel());
    if (!kept) {
        const bool disk = part == Part::disk;
        throw Error(ErrorCode::not_found,
                    fmt::format("snapshot {} kept no {}", snapshot.id, to_string(part)),
                    fmt::format("take one that does: stemma snapshot take vm:{} {}",
                                snapshot.vm_name,
                                disk ? "--keep-disk" : "--memory"));
    }
    return kept;
}

void write_raw(Context& context, volume::Volume& kept, const fs::path& file)
{
    analyzer::FileVolume to(file, kept.size());
    analyzer::copy_content(kept, to, context.cancel());
}

void write_qcow2(Context& context, volume::Volume& kept, const fs::path& file)
{
    run_checked({.argv = {"qemu-img",
                          "create",
                          "-q",
                          "-f",
                          "qcow2",
                          file.string(),
                          std::to_string(kept.size())}});
    disk::OpenOptions options;
    options.format = volume::ContainerFormat::qcow2;
    options.writable = true;
    options.check = false; // made a moment ago
    const auto to = disk::open_disk(file, options);
    analyzer::copy_content(kept, *to, context.cancel());
}

/// Written beside, then renamed: the file is whole or not there.
template <typename Write>
void write_export(Context& context, const std::string& file, Write&& write)
{
    const auto target = fs::absolute(file);
    const TemporaryFolder work("export", target.parent_path());
    const auto temporary = work.path() / target.filename();
    write(temporary);
    fs::rename(temporary, target);
    context.log().info("wrote {}", file);
}

std::string format_of_export(const Args& args, const std::string& file)
{
    auto format = args.value_or("as", file.ends_with(".raw") ? "raw" : "qcow2");
    if (format != "raw" && format != "qcow2") {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' is no format of an export", format),
                    "use --as qcow2 or --as raw");
    }
    return format;
}

/// Snapshots by their ids, and all those of VMs; all when nothing is named.
std::vector<lineage::SnapshotInfo> snapshots_meant(Context& context,
                                                   const std::vector<std::string>& words)
{
    if (words.empty()) {
        return snapshots_named(context, {});
    }
    std::vector<lineage::SnapshotInfo> result;
    for (const auto& word : words) {
        if (word.starts_with("snapshot:") || is_uuid(word)) {
            result.push_back(snapshot_named(context, word));
        } else {
            auto some = snapshots_named(context, {word});
            std::move(some.begin(), some.end(), std::back_inserter(result));
        }
    }
    return result;
}

/// One snapshot's part, read through; null where it is not kept.
Json verify_part(Context& context,
                 const analyzer::SnapshotFolder& folder,
                 const std::string& id,
                 Part part)
{
    constexpr std::size_t most_said = 20;
    if (!folder.has(id, part)) {
        return nullptr;
    }
    try {
        const auto kept = folder.open(id, part, context.cancel());
        const auto damage = analyzer::damage_of(*kept, most_said, context.cancel());
        return {{"ok", damage.empty()}, {"damage", damage}};
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        return {{"ok", false}, {"damage", Json::array({error.one_line()})}};
    }
}

Json verify_features(const analyzer::SnapshotFolder& folder, const std::string& id)
{
    try {
        (void)folder.features(id);
        return {{"ok", true}, {"damage", Json::array()}};
    } catch (const Error& error) {
        return {{"ok", false}, {"damage", Json::array({error.one_line()})}};
    }
}

std::string_view verdict_word(const Json& part)
{
    return part.is_null() ? "-" : part.at("ok").get<bool>() ? "ok" : "damaged";
}

} // namespace

int run_snapshot_export(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SNAPSHOT or VM");
    const auto disk_file = args.value("disk");
    const auto memory_file = args.value("memory");
    if (!disk_file && !memory_file) {
        throw Error(ErrorCode::usage, "say what to export: --disk FILE, --memory FILE, or both");
    }
    const auto snapshot = snapshot_named(context, words[0]);
    const auto disk = disk_file ? open_kept(context, snapshot, Part::disk) : nullptr;
    const auto memory = memory_file ? open_kept(context, snapshot, Part::memory) : nullptr;
    if (disk) {
        const bool raw = format_of_export(args, *disk_file) == "raw";
        write_export(context, *disk_file, [&](const fs::path& file) {
            raw ? write_raw(context, *disk, file) : write_qcow2(context, *disk, file);
        });
    }
    if (memory) {
        write_export(context, *memory_file, [&](const fs::path& file) {
            write_raw(context, *memory, file);
        });
    }
    return 0;
}

int run_snapshot_verify(Context& context, const Args& args)
{
    const auto folder = snapshot_folder(context);
    Answer answer;
    answer.schema = "stemma.snapshot-verify/1";
    bool whole = true;
    for (const auto& snapshot : snapshots_meant(context, args.words())) {
        if (!folder.has(snapshot.id)) {
            continue; // pruned
        }
        Json item = {{"id", snapshot.id},
                     {"name", snapshot.vm_name},
                     {"taken", format_time(snapshot.taken)},
                     {"features", verify_features(folder, snapshot.id)},
                     {"disk", verify_part(context, folder, snapshot.id, Part::disk)},
                     {"memory", verify_part(context, folder, snapshot.id, Part::memory)}};
        for (const auto* part : {"features", "disk", "memory"}) {
            item[std::string(part) + "_state"] = verdict_word(item[part]);
            for (const auto& damage : item[part].is_null() ? Json::array() : item[part]["damage"]) {
                whole = false;
                context.log().warning(
                    "snapshot {}: {}: {}", snapshot.id, part, damage.get<std::string>());
            }
        }
        answer.items.push_back(std::move(item));
    }
    const auto total = folder.pool().total();
    for (const auto& damage : total.damaged) {
        whole = false;
        context.log().warning("pool: {}", damage);
    }
    answer.extra["pool"] = {
        {"blocks", total.blocks}, {"bytes", total.bytes}, {"packs", total.packs}};
    answer.seq = context.store().last_seq();
    const int status = show(context,
                            answer,
                            {{"VM", "name"},
                             {"TAKEN", "taken", Column::Align::left, Column::Style::time},
                             {"SNAPSHOT", "id"},
                             {"FEATURES", "features_state"},
                             {"DISK", "disk_state"},
                             {"MEMORY", "memory_state"}});
    return whole ? status : exit_violated;
}

} // namespace stemma::cli
