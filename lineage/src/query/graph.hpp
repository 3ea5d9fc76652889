#pragma once

#include "stemma/lineage/query.hpp"

#include <functional>

#include "builds.hpp"
#include "images.hpp"
#include "placements.hpp"
#include "recall.hpp"

/// The links of the lineage, one step at a time, in both directions.
namespace stemma::lineage {

/// An artifact is one output of one build.
struct Output {
    std::int64_t build = 0;
    model::FileIndex file = 0;
    [[nodiscard]] Node node() const noexcept { return {Kind::artifact, (build << 32U) | file}; }
    static Output of(Node node) noexcept
    {
        return {node.id >> 32U, static_cast<model::FileIndex>(node.id & 0xffffffff)};
    }
};

/// What a link rests on that was found by comparing contents.
inline constexpr std::string_view by_content = "content";

class Graph {
public:
    using Visit = std::function<void(const Link&)>;

    Graph(Store::Impl& store, const View& view);

    /// The links that begin at `node`. Those of a package or of a file in an image include the
    /// derived images that still have it, so that their own links only lead to VMs.
    void downstream(Node node, const Visit& visit);
    /// From an image to the images derived of it, all the way down.
    void derived(Node image, const Visit& visit);
    /// The links that end at `node`.
    void upstream(Node node, const Visit& visit);

    [[nodiscard]] Builds& builds() noexcept { return builds_; }
    [[nodiscard]] Images& images() noexcept { return images_; }
    [[nodiscard]] Placements& placements() noexcept { return placements_; }
    [[nodiscard]] std::uint64_t known_at() const noexcept { return known_at_; }

    /// Content row of a version row.
    std::int64_t content_of(std::int64_t version);
    /// Builds that made this content, within the view.
    std::vector<Output> outputs_of(std::int64_t content);

    /// One file that a build knows.
    struct Use {
        std::int64_t build = 0;
        model::FileIndex file = 0;
        std::int64_t version = 0;
        FileRole role;
    };
    std::vector<Use> uses_of_version(std::int64_t version);
    /// Files with this content that builds read and other builds may have made.
    std::vector<Output> inlets_of(std::int64_t content);

    struct Producer {
        Output output;
        bool inferred = false;
        std::string basis;
    };
    /// Which of the outputs with one content a build read, that did not make it itself.
    std::vector<Producer> producers(const BuildRow& reader, std::vector<Output> outputs);
    /// Outputs that a file of a build may come from: none unless the file is loose, and not empty.
    std::vector<Output> candidates(FileRole role, std::int64_t content);

    struct Origin {
        Node node;
        std::string basis; ///< not empty: inferred
    };
    /// Who made, or whose source is, what a package or an image got with this content.
    std::vector<Origin> origins_of(std::int64_t content, const std::optional<std::string>& run);

    /// One file of a package, with what was said of it when it was packed.
    struct Packed {
        std::int64_t package = 0;
        std::uint64_t seq = 0;
        std::string path;
        std::string link;
        std::string basis;
        std::optional<std::string> run;
        std::int64_t content = 0; ///< of the build's file that it came from, else its own; 0: none
    };
    std::vector<Packed> packed_with(std::int64_t content);
    std::vector<Packed> packed_in(std::int64_t package);
    /// The build that a package says it was packed from; 0: none that is known.
    std::int64_t packer_of(const std::optional<std::string>& run);
    /// The package whose file has this content; 0: none.
    std::int64_t package_with(std::int64_t content);
    /// Content row of a package's file; 0: no image or build has it.
    std::int64_t content_of_package(std::int64_t package);

    /// A build on the way: notes that it was dirty, or not wholly observed.
    /// returns  nullptr: not in the view
    const BuildRow* meet(std::int64_t build);
    void note_unexplained(const Packed& file);
    void note_unexplained_file(const std::string& path);
    void note_unknown_package(std::int64_t package);
    void note_unobserved(const BuildRow& build, model::FileIndex file);

    /// Adds a gap, once.
    void note(const std::string& what, const std::string& reason);
    [[nodiscard]] const std::map<std::pair<std::string, std::string>, Gap>& gaps() const noexcept
    {
        return gaps_;
    }
    /// Builds with uncommitted changes that were met.
    [[nodiscard]] const std::set<std::int64_t>& dirty_builds() const noexcept { return dirty_; }

private:
    std::shared_ptr<const Build> build(std::int64_t id);
    void from_source(Node node, const Visit& visit);
    void from_artifact(Node node, const Visit& visit);
    void from_package(Node node, const Visit& visit);
    void from_image(Node node, const Visit& visit);
    void to_artifact(Node node, const Visit& visit);
    void to_package(Node node, const Visit& visit);
    void to_image(Node node, const Visit& visit);

    void steps_that_use(const Build& reader, model::FileIndex file, Link link, const Visit& visit);
    std::vector<Use> uses_of_content(std::int64_t content);
    std::vector<Use> uses_in(std::int64_t build, std::int64_t content);
    std::vector<Output> outputs_in(std::int64_t build, std::int64_t content);
    bool in_view(std::int64_t build);
    std::vector<Origin> origins_in(std::int64_t build, std::int64_t content);
    /// The nodes that an input of a step is: what made it, else the file itself.
    std::vector<Origin> input_nodes(const Use& use);
    std::vector<Packed> payloads(std::string_view condition, std::int64_t key);
    void packages_of_content(Node node, std::int64_t content, const Visit& visit);
    void images_of_content(Node node, std::int64_t content, const Visit& visit);
    void emit_holders(Node node, const std::vector<Images::Holder>& holders, const Visit& visit);
    bool has_size(std::int64_t content);

    Store::Impl& store_;
    View view_;
    std::uint64_t known_at_;
    std::shared_ptr<Recall> recall_;
    Builds& builds_;
    Images& images_;
    Placements placements_;
    std::map<std::pair<std::string, std::string>, Gap> gaps_;
    std::set<std::int64_t> dirty_;
};

} // namespace stemma::lineage
