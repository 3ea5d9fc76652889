#include "stemma/analyzer/snapshots.hpp"

#include "stemma/analyzer/file_volume.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/disk/disk.hpp"
#include "stemma/zstd/zstd.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

namespace stemma::analyzer {

namespace fs = std::filesystem;

namespace {

constexpr const char* features_file = "features.json.zst";
constexpr const char* domain_file = "domain.xml";
constexpr std::uint64_t largest_features = 4ULL << 30U;
constexpr std::uint64_t largest_domain = 4ULL << 20U;
constexpr std::array parts = {SnapshotFolder::Part::disk, SnapshotFolder::Part::memory};

std::string map_file(SnapshotFolder::Part part)
{
    return fmt::format("{}.map", to_string(part));
}

/// As release 0.1 kept it.
const char* whole_file(SnapshotFolder::Part part)
{
    return part == SnapshotFolder::Part::disk ? "disk.qcow2" : "memory.elf";
}

BlockMap read_map(const fs::path& file)
{
    return doing([&] { return block_map_from(read_file(file), file.string()); },
                 "reading {}",
                 file.string());
}

} // namespace

std::string_view to_string(SnapshotFolder::Part part) noexcept
{
    return part == SnapshotFolder::Part::disk ? "disk" : "memory";
}

SnapshotFolder::SnapshotFolder(fs::path folder)
    : folder_(std::move(folder)), pool_(folder_ / "pool")
{
}

fs::path SnapshotFolder::folder_of(const std::string& id) const
{
    if (!is_uuid(id)) { // ids come from ledgers of others too; they must not lead elsewhere
        throw Error(ErrorCode::usage, fmt::format("'{}' is not a snapshot's id", id));
    }
    return folder_ / id;
}

SnapshotFolder::Draft::Draft(fs::path path, fs::path final_path)
    : path_(std::move(path)), final_path_(std::move(final_path))
{
    fs::create_directories(path_);
    fs::permissions(path_, fs::perms::owner_all); // it tells what is inside a VM
}

SnapshotFolder::Draft::Draft(Draft&& other) noexcept
    : path_(std::exchange(other.path_, {})), final_path_(std::move(other.final_path_))
{
}

SnapshotFolder::Draft::~Draft()
{
    if (!path_.empty()) {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
}

std::string SnapshotFolder::Draft::put_features(const FeatureSet& set) const
{
    const auto json = canonical_json(to_json(set));
    write_file(path_ / features_file, zstd::compress(json));
    return sha256(json).hex();
}

void SnapshotFolder::Draft::put_domain(const std::string& xml) const
{
    write_file(path_ / domain_file, xml, 0600);
}

void SnapshotFolder::Draft::put_map(Part part, const BlockMap& map) const
{
    write_file(path_ / map_file(part), to_bytes(map), 0600);
}

fs::path SnapshotFolder::Draft::memory_file() const
{
    return path_ / "memory.new";
}

void SnapshotFolder::Draft::commit()
{
    sync_folder(path_);
    std::error_code failure;
    fs::rename(path_, final_path_, failure);
    if (failure) {
        throw system_error(failure.value(), fmt::format("put {} in place", final_path_.string()));
    }
    path_.clear();
    sync_folder(final_path_.parent_path());
}

SnapshotFolder::Draft SnapshotFolder::begin(const std::string& id, const std::string& vm) const
{
    if (!is_uuid(vm)) {
        throw Error(ErrorCode::usage, fmt::format("'{}' is not a VM's uuid", vm));
    }
    // One at a time per VM: what is there was left by a killed process.
    auto draft = folder_ / (".new-" + vm);
    std::error_code ignored;
    fs::remove_all(draft, ignored);
    return {std::move(draft), folder_of(id)};
}

FeatureSet SnapshotFolder::features(const std::string& id) const
{
    const auto path = folder_of(id) / features_file;
    return doing(
        [&] {
            if (!fs::exists(path)) {
                throw Error(ErrorCode::not_found,
                            fmt::format("the features of snapshot {} are not here", id),
                            "it was pruned, or taken by another store");
            }
            const auto json = zstd::decompress(read_file(path), largest_features);
            return features_from_json(parse_json(json, path.string()));
        },
        "reading {}",
        path.string());
}

bool SnapshotFolder::has(const std::string& id) const
{
    return fs::exists(folder_of(id) / features_file);
}

bool SnapshotFolder::has(const std::string& id, Part part) const
{
    const auto folder = folder_of(id);
    return fs::exists(folder / map_file(part)) || fs::exists(folder / whole_file(part));
}

std::unique_ptr<volume::Volume>
SnapshotFolder::open(const std::string& id, Part part, const Cancel& cancel) const
{
    const auto map = folder_of(id) / map_file(part);
    if (fs::exists(map)) {
        auto hold = pool_.hold(cancel);
        return pool_.open(std::move(hold),
                          read_map(map),
                          fmt::format("the {} of snapshot {}", to_string(part), id));
    }
    const auto file = folder_of(id) / whole_file(part);
    if (!fs::exists(file)) {
        return nullptr;
    }
    if (part == Part::memory) {
        return std::make_unique<FileVolume>(file);
    }
    disk::OpenOptions options;
    options.format = volume::ContainerFormat::qcow2;
    return disk::open_disk(file, options);
}

std::optional<std::string> SnapshotFolder::domain(const std::string& id) const
{
    const auto file = folder_of(id) / domain_file;
    return fs::exists(file) ? std::optional(read_file(file, largest_domain)) : std::nullopt;
}

std::vector<BlockMap> SnapshotFolder::maps() const
{
    std::vector<BlockMap> result;
    for (const auto& id : ids()) {
        for (const auto part : parts) {
            const auto file = folder_of(id) / map_file(part);
            if (fs::exists(file)) {
                result.push_back(read_map(file));
            }
        }
    }
    return result;
}

std::uint64_t SnapshotFolder::bytes(const std::string& id) const
{
    constexpr std::uint64_t block = 512; // what st_blocks counts, whatever the file system
    std::uint64_t total = 0;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_of(id), ignored)) {
        struct stat info {};
        if (::lstat(entry.path().c_str(), &info) == 0) {
            total += static_cast<std::uint64_t>(info.st_blocks) * block;
        }
    }
    return total;
}

std::vector<std::string> SnapshotFolder::ids() const
{
    std::vector<std::string> result;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
        auto name = entry.path().filename().string();
        if (is_uuid(name)) {
            result.push_back(std::move(name));
        }
    }
    std::sort(result.begin(), result.end());
    return result;
}

void SnapshotFolder::remove(const std::string& id) const
{
    // Renamed first: half a removed folder is never seen under its id.
    const auto doomed = folder_ / (".gone-" + id);
    std::error_code failure;
    fs::rename(folder_of(id), doomed, failure);
    if (failure && failure != std::errc::no_such_file_or_directory) {
        throw system_error(failure.value(), fmt::format("remove snapshot {}", id));
    }
    fs::remove_all(doomed, failure);
}

} // namespace stemma::analyzer
