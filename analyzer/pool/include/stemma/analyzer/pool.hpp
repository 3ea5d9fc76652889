#pragma once

#include "stemma/analyzer/canonical.hpp"
#include "stemma/analyzer/feature.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace stemma::analyzer {

using NodeId = std::uint32_t;
using VmIndex = std::uint32_t;
using Code = std::uint32_t;
using StringId = std::uint32_t;

/// Codes of a node in one VM; values begin at 2.
inline constexpr Code code_absent = 0;
inline constexpr Code code_present = 1;
inline constexpr Code first_value_code = 2;

/// Where a node stands in the tree of all that VMs have in common.
enum class NodeRole : std::uint8_t {
    root,
    kind,      ///< "files", "package", "unit", …
    path,      ///< a folder or file
    attribute, ///< of a file: mode, owner, group, link, sha256, …
    record,    ///< a section, a server block, a mount, a package
    list,      ///< a setting that is a list or set of lines
    element,   ///< one element of a list
    setting,   ///< a setting with one value
    shape,     ///< a setting of all records of one type, as a list of the values that it has
};

/// All texts, each once; ids are stable.
class StringTable {
public:
    StringId intern(std::string_view text);
    [[nodiscard]] std::string_view text(StringId id) const { return texts_[id]; }
    [[nodiscard]] std::size_t size() const noexcept { return texts_.size(); }

private:
    std::deque<std::string> texts_;
    std::unordered_map<std::string_view, StringId> ids_;
};

/// One thing that was seen: which node, with which value.
struct Observation {
    NodeId node = 0;
    Code code = code_absent;
    NodeId shape = 0; ///< element below a `shape` that says the same of the record's type; 0: none

    bool operator==(const Observation&) const = default;
};

/// How an observation stood in its source.
struct Detail {
    std::string raw;
    std::string file; ///< as it is called on this VM
    std::uint32_t line = 0;
};

/// One VM's features in the terms of a pool.
struct Sample {
    std::string name;
    OwnNames names;
    std::vector<Observation> seen; ///< by node, each node once
    std::vector<Detail> details;   ///< beside `seen`; empty when it was read without them
};

class ReadingCache;

/// The features of many VMs, dictionary-coded: a tree of nodes, for each the value that most VMs
/// have and the VMs that have another. Memory and time follow what differs, not what is equal.
///
/// A pool equals one that is built anew from the same samples, in any order, in everything that can
/// be asked of it; ids of nodes, strings and codes may differ. One thread at a time.
class Pool {
public:
    struct Exception {
        VmIndex vm;
        Code code;
    };
    struct Node {
        NodeId parent = 0;
        StringId name = 0;
        NodeRole role = NodeRole::root;
        bool operational = false;          ///< or below something that is
        std::uint32_t family = 0;          ///< of nodes that are likely to vary alike
        Code majority = code_absent;       ///< the most common code, or one that was not long ago
        NodeId twin = 0;                   ///< same parent and name, another role; 0: none
        std::vector<Exception> exceptions; ///< by vm
        std::vector<std::uint32_t> counts; ///< exceptions with each code; may be shorter
        std::vector<StringId> values;      ///< of the codes from 2 on
        std::vector<NodeId> children;
    };

    /// rules  of the user; borrowed, may be nullptr
    explicit Pool(const std::vector<CanonicalRule>* rules = nullptr);
    ~Pool();
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    /// Brings a VM's features into the terms of this pool. Counts nothing.
    /// cost  linear in the features
    Sample read(std::string name, const FeatureSet& features, bool with_details = false);

    /// Counts a sample. Returns the VM's index, which stays its own until it is removed.
    VmIndex add(const Sample& sample);
    void remove(VmIndex vm);
    /// A newer sample of the same VM.
    void replace(VmIndex vm, const Sample& sample);

    [[nodiscard]] std::size_t live() const noexcept { return live_; }
    /// One more than the highest index; some below may be free.
    [[nodiscard]] std::size_t end() const noexcept { return names_.size(); }
    [[nodiscard]] bool is_live(VmIndex vm) const { return vm < alive_.size() && alive_[vm]; }
    [[nodiscard]] const std::string& name_of(VmIndex vm) const { return names_[vm]; }
    [[nodiscard]] std::optional<VmIndex> find(std::string_view name) const;

    [[nodiscard]] std::size_t nodes() const noexcept { return nodes_.size(); }
    [[nodiscard]] const Node& node(NodeId id) const { return nodes_[id]; }
    [[nodiscard]] Code code_of(NodeId id, VmIndex vm) const;
    /// VMs with this code. Constant time, as is present().
    [[nodiscard]] std::size_t count(NodeId id, Code code) const;
    /// VMs in which the node is there at all.
    [[nodiscard]] std::size_t present(NodeId id) const;
    /// VMs with each code, absent ones left out; not sorted.
    [[nodiscard]] std::vector<std::pair<Code, std::size_t>> counts(NodeId id) const;
    [[nodiscard]] std::string_view value_text(NodeId id, Code code) const;

    /// Canonical file and key of a node: {"/etc/fstab", "[/boot]/options∋noatime"}.
    [[nodiscard]] std::pair<std::string, std::string> describe(NodeId id) const;
    [[nodiscard]] std::string_view name_text(NodeId id) const
    {
        return strings_.text(nodes_[id].name);
    }
    [[nodiscard]] std::size_t families() const noexcept { return families_.size(); }
    [[nodiscard]] const std::vector<CanonicalRule>* rules() const noexcept { return rules_; }
    [[nodiscard]] std::size_t bytes() const;

private:
    friend class SampleReader;
    NodeId child(NodeId parent, NodeRole role, std::string_view name);
    Code code_for(NodeId id, std::string_view value);
    std::uint32_t family_for(std::string_view text);
    [[nodiscard]] VmIndex free_index();
    /// Sets what a VM that is counted has; the majority's code until now if it had no exception.
    void put(NodeId id, VmIndex vm, Code code);
    void drop(NodeId id, VmIndex vm);
    void rebase_if_needed(NodeId id);
    void rebase(NodeId id, Code best);

    const std::vector<CanonicalRule>* rules_;
    std::unique_ptr<ReadingCache> cache_;
    StringTable strings_;
    std::vector<Node> nodes_;
    std::vector<NodeId> common_; ///< nodes whose majority is not "absent", sorted
    std::unordered_map<std::uint64_t, NodeId> lookup_; ///< by parent and name
    std::unordered_map<std::uint64_t, Code> codes_;
    std::unordered_map<std::string, std::uint32_t> families_;
    std::vector<std::string> names_;
    std::vector<bool> alive_;
    std::vector<VmIndex> free_;
    std::size_t live_ = 0;
};

} // namespace stemma::analyzer
