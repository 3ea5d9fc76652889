#include "stemma/analyzer/snapshots.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::analyzer;

namespace fs = std::filesystem;

namespace {

const std::string id = "01a1fc46-e0ed-777d-b418-0e6526516995";
const std::string vm = "e9e90795-3bae-4741-8481-16cc414211bc";

FeatureSet one_feature()
{
    FeatureSet set;
    set.features.push_back({"vm", "vm", "", "memory_mib", "96"});
    set.extractors.push_back({"vm", Status::complete, "", 1});
    return set;
}

} // namespace

TEST_CASE("a snapshot is kept whole or not at all")
{
    const TemporaryFolder folder("snapshots");
    const SnapshotFolder snapshots(folder.path());
    {
        const auto abandoned = snapshots.begin(id, vm);
        abandoned.put_features(one_feature());
        CHECK_FALSE(snapshots.has(id));
    }
    CHECK(fs::is_empty(folder.path()));

    auto draft = snapshots.begin(id, vm);
    draft.put_features(one_feature());
    draft.commit();
    CHECK(snapshots.has(id));
    CHECK(snapshots.ids() == std::vector<std::string>{id});
    CHECK(snapshots.features(id).features == one_feature().features);
    CHECK_FALSE(snapshots.has(id, SnapshotFolder::Part::disk));
    CHECK(snapshots.open(id, SnapshotFolder::Part::memory, Cancel()) == nullptr);
    CHECK(snapshots.bytes(id) > 0);
    snapshots.remove(id);
    CHECK_FALSE(snapshots.has(id));
    CHECK(fs::is_empty(folder.path()));
}

TEST_CASE("what a killed process left is gone with the VM's next snapshot")
{
    const TemporaryFolder folder("snapshots");
    fs::create_directories(folder.path() / (".new-" + vm));
    write_file(folder.path() / (".new-" + vm) / "half", "x");
    const SnapshotFolder snapshots(folder.path());
    auto draft = snapshots.begin(id, vm);
    CHECK(fs::is_empty(draft.path()));
}

TEST_CASE("an id never leads out of the folder, and damage is told")
{
    const TemporaryFolder folder("snapshots");
    const SnapshotFolder snapshots(folder.path());
    CHECK(support::error_of([&] { (void)snapshots.features("../../etc/passwd"); })->code() ==
          ErrorCode::usage);
    CHECK(support::error_of([&] { (void)snapshots.features(id); })->code() == ErrorCode::not_found);
    auto draft = snapshots.begin(id, vm);
    draft.put_features(one_feature());
    draft.commit();
    const auto file = folder.path() / id / "features.json.zst";
    const auto whole = read_file(file);
    for (std::size_t size = 0; size < whole.size(); ++size) {
        write_file(file, whole.substr(0, size));
        CHECK(support::error_of([&] { (void)snapshots.features(id); }).has_value());
    }
}
