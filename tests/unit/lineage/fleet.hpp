#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "facts.hpp"

/// A small made-up world: repositories, builds, packages, images and VMs over time, told twice: as
/// events for the store, and as plain tables that a naive oracle joins.
namespace stemma::lineage::test {

/// One content of one file of one repository.
struct SourceKey {
    std::string repo;
    std::string path;
    std::string sha256;
    auto operator<=>(const SourceKey&) const = default; // NOLINT(modernize-use-nullptr): its own 0
};

/// What one file of a build is made of, by name; sources have no inputs.
struct BuiltFile {
    std::string repo;
    std::string path;
    std::string sha256;
    std::vector<std::string> inputs; ///< paths within the build
    bool system = false;
};

struct BuiltTree {
    std::string run;
    std::string repo;
    std::string commit;
    std::int64_t at = 0;
    std::map<std::string, BuiltFile> files; ///< by path
};

struct PackedFile {
    std::string sha256;
    std::string name;
    std::string version;
    std::size_t build = 0;
    std::vector<std::string> payload; ///< paths of the build
};

struct MadeImage {
    std::string digest;
    std::int64_t at = 0;
    std::map<std::string, std::size_t> packages; ///< package name → PackedFile
};

struct VmStep {
    std::int64_t at = 0;
    bool gone = false;
    std::string host;
    std::size_t image = 0;
};

class Fleet {
public:
    explicit Fleet(std::uint64_t seed);

    /// Every fact, in the order in which it happened.
    std::vector<model::Event> events;
    std::int64_t end = 0; ///< after everything

    [[nodiscard]] std::set<SourceKey> all_sources() const;
    [[nodiscard]] const std::vector<std::string>& hosts() const { return hosts_; }
    [[nodiscard]] std::vector<std::string> vms() const;
    /// The oracle: by joining everything with everything.
    [[nodiscard]] std::set<SourceKey> sources_of_vm(const std::string& vm, std::int64_t at) const;
    [[nodiscard]] std::set<SourceKey> sources_of_host(const std::string& host,
                                                      std::int64_t at) const;
    [[nodiscard]] std::set<std::string> vms_with(const SourceKey& source, std::int64_t at) const;
    [[nodiscard]] std::set<std::string> hosts_with(const SourceKey& source, std::int64_t at) const;
    [[nodiscard]] std::set<std::string> packages_of_vm(const std::string& vm,
                                                       std::int64_t at) const;

private:
    std::size_t below(std::size_t bound) { return static_cast<std::size_t>(random_() % bound); }
    void say(const std::string& origin, const model::EventDraft& draft);
    void build(std::size_t repo);
    void pack(std::size_t build);
    void make_image();
    void change_vm();
    void tell_build(const BuiltTree& tree);
    [[nodiscard]] std::set<SourceKey> sources_of(std::size_t build, const std::string& path) const;
    [[nodiscard]] const VmStep* state_of(const std::string& vm, std::int64_t at) const;

    std::mt19937_64 random_;
    std::int64_t now_ = 1000;
    std::map<std::string, std::uint64_t> said_;
    std::vector<std::map<std::string, int>> contents_; ///< per repository, version of each file
    std::vector<BuiltTree> builds_;
    std::vector<PackedFile> packages_;
    std::vector<MadeImage> images_;
    std::map<std::string, std::vector<VmStep>> vms_;
    std::vector<std::string> hosts_{"h0", "h1", "h2", "h3"};
};

} // namespace stemma::lineage::test
