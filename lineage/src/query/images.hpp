#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../store/impl.hpp"

/// What is in images: by what was installed into them and their ancestors, and by what their
/// package databases list.
namespace stemma::lineage {

struct PackageRow {
    std::int64_t id = 0;
    std::optional<std::string> sha256; ///< 32 bytes; nullopt: a package database names it
    std::string purl;
    std::string name;
    std::string version;
    std::string arch;
    bool known = false; ///< somebody recorded how it was packed
};

/// One package in one image.
struct Contained {
    std::int64_t package = 0;
    std::int64_t image = 0; ///< where it was installed or listed first
    bool inferred = false;
    std::string basis;
};

/// One file that was put into an image as it is.
struct ContainedFile {
    std::int64_t content = 0;
    std::int64_t image = 0;
    std::string path;
    std::string kind; ///< file, tar, patch
};

class Images {
public:
    Images(Store::Impl& store, std::uint64_t known_at);

    const PackageRow& package(std::int64_t id);
    /// Packages in an image, each once.
    std::vector<Contained> packages_in(std::int64_t image);
    std::vector<ContainedFile> files_in(std::int64_t image);

    /// An image that has what it has from `from` (or has it installed, where both are equal).
    struct Holder {
        std::int64_t image = 0;
        std::int64_t from = 0;
        bool inferred = false;
        std::string basis;
    };
    /// Images that hold the package, each after the one that it has it from.
    std::vector<Holder> holders_of_package(std::int64_t id);
    /// Images that hold this content as a file that was put there.
    std::vector<Holder> holders_of_content(std::int64_t content);

    /// Images made of this one, in the order of their rows.
    const std::vector<std::int64_t>& children(std::int64_t image);
    std::optional<std::int64_t> parent(std::int64_t image);
    /// Position of the event that describes the image; nullopt: none within this view.
    std::optional<std::uint64_t> seq(std::int64_t image);

private:
    struct Row {
        std::optional<std::int64_t> parent;
        std::optional<std::int64_t> base;
        bool listed = false;
        std::optional<std::uint64_t> seq;
    };
    using Slot = std::uint32_t; ///< number of a name and architecture
    using Changes = std::vector<std::pair<std::int64_t, bool>>; ///< package, installed

    /// A file that was put into (or taken from) an image when it was made.
    struct FileChange {
        std::string path;
        std::int64_t content = 0; ///< 0: no file
        std::string kind;
        bool in = false;
    };

    /// Packages that were installed as files, by an image or what it is made of.
    struct Installed {
        std::map<Slot, std::pair<std::int64_t, std::int64_t>> files; ///< package, image
        std::set<Slot> newer; ///< decided below the listing: the listing does not count for them
        std::optional<std::int64_t> listed; ///< the nearest image whose package database was read
    };

    const Row& row(std::int64_t image);
    const Changes& changes(std::int64_t image);
    /// What was listed in an image as a difference to its base.
    const Changes& listing_changes(std::int64_t image);
    const std::vector<FileChange>& file_changes(std::int64_t image);
    /// Reads all images at once, when many were read one by one: a question that touches a tenth of
    /// the fleet is then answered by one pass over its tables.
    void count_read();
    void read_all();
    void read_all_rows();
    void read_all_files();
    void read_all_changes(std::string_view sql, std::unordered_map<std::int64_t, Changes>& into);
    std::set<std::int64_t> listing(std::int64_t image);
    bool lists(std::int64_t image, std::int64_t listed_package);
    Slot slot(std::int64_t id);
    /// The row of a package database's entry with the same name, version and architecture.
    std::optional<std::int64_t> listed_row(const PackageRow& package);
    /// The only recorded package that such an entry can be; nullopt: none, or several.
    std::optional<std::int64_t> only_file_of(const PackageRow& listed);
    Installed installed_in(std::int64_t image);
    bool keeps(std::int64_t image, std::int64_t package, std::optional<std::int64_t> listed);
    void add_holders_by_listing(std::int64_t listed,
                                const std::string& basis,
                                std::vector<Holder>& holders);
    static void
    resolve(Images& images, std::int64_t listed, std::int64_t image, std::vector<Contained>& out);

    Store::Impl& store_;
    std::uint64_t known_at_;
    std::unordered_map<std::int64_t, Row> rows_;
    std::unordered_map<std::int64_t, std::vector<std::int64_t>> children_;
    std::unordered_map<std::int64_t, Changes> changes_;
    std::unordered_map<std::int64_t, Changes> listings_;
    std::unordered_map<std::int64_t, std::vector<FileChange>> files_;
    std::unordered_map<std::int64_t, PackageRow> packages_;
    std::map<std::pair<std::string, std::string>, Slot> slot_numbers_;
    std::unordered_map<std::int64_t, Slot> slots_;
    std::size_t reads_ = 0;
    bool has_all_ = false;
};

} // namespace stemma::lineage
