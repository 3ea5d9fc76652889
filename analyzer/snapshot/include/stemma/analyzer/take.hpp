#pragma once

#include "stemma/analyzer/definition.hpp"
#include "stemma/analyzer/disk_point.hpp"
#include "stemma/analyzer/feature.hpp"
#include "stemma/analyzer/snapshots.hpp"
#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/lineage/store.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// A VM as its lineage knows it; what it does not know stays empty.
struct Subject {
    std::string uuid;
    std::string name;
    std::string host;
    std::string image;                 ///< digest
    std::optional<std::string> parent; ///< id of its previous snapshot
};

struct TakeOptions {
    std::filesystem::path work_folder;
    std::vector<std::filesystem::path> allow{}; ///< see DiskPoint::Options
    bool quiesce = false;
    bool keep_disk = false;
    bool memory = false;                                ///< capture the memory of the same moment
    std::optional<PointMethod> method = std::nullopt;   ///< see DiskPoint::Options
    std::optional<std::string> schedule = std::nullopt; ///< id of the schedule that wants it
};

/// What a taken snapshot says of itself.
struct Taken { // NOLINT(bugprone-exception-escape): Json's move asserts at most
    std::string id;
    FeatureSet features;
    Json body; ///< of its event
};

/// Snapshots of VMs: disk at one point, features, metadata, and the event that says so.
class Taker {
public:
    struct World {
        const Clock& clock;
        const Cancel& cancel;
        Log& log;
        Progress& progress;
        lineage::Recorder& recorder;
    };
    /// folder  where snapshots are kept
    Taker(World world, SnapshotFolder folder, Definition definition);

    /// Durable when it returns. Killed anywhere before, nothing of it is known and the VM runs on.
    ///
    /// uri     of the libvirt that has it
    /// throws  not_found: that libvirt has no such VM; as DiskPoint, extract() and Recorder
    Taken take(const Subject& subject, const std::string& uri, const TakeOptions& options);

private:
    World world_;
    SnapshotFolder folder_;
    Definition definition_;
};

} // namespace stemma::analyzer
