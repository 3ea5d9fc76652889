#pragma once

#include "stemma/analyzer/definition.hpp"
#include "stemma/analyzer/feature.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/volume/filesystem.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace stemma::analyzer {

/// Takes one extractor's features and complaints, and keeps its budget.
class Sink {
public:
    Sink(std::string extractor, std::vector<Feature>& features, std::uint64_t most)
        : extractor_(std::move(extractor)), features_(features), most_(most)
    {
    }

    void add(Feature feature);
    /// Something that is missing now: `what` reads after a count ("files too large to be hashed"),
    /// `example` is the first thing that it happened to.
    void miss(const std::string& what, std::string_view example);
    /// Nothing was looked at.
    void unsupported(std::string reason) { unsupported_ = std::move(reason); }
    [[nodiscard]] bool full() const noexcept { return count_ >= most_; }
    [[nodiscard]] ExtractorReport report() const;

private:
    struct Miss {
        std::uint64_t count = 0;
        std::string example;
    };
    std::string extractor_;
    std::vector<Feature>& features_;
    std::uint64_t most_;
    std::uint64_t count_ = 0;
    std::map<std::string, Miss> misses_;
    std::string unsupported_;
};

/// Names of a tree's own users and groups.
struct Accounts {
    std::map<std::uint32_t, std::string> users;
    std::map<std::uint32_t, std::string> groups;

    [[nodiscard]] std::string user(std::uint32_t id) const;
    [[nodiscard]] std::string group(std::uint32_t id) const;
};

/// What every extractor gets.
struct Source {
    volume::Filesystem& tree;
    const Definition& definition;
    const Clock& clock;
    const Cancel& cancel;
    Time deadline{};
    Accounts accounts{};

    /// A text file; nullopt where there is none. Damage and size become misses.
    [[nodiscard]] std::optional<std::string> text(const std::string& path, Sink& sink) const;
    /// Names in a folder; empty where there is none.
    [[nodiscard]] std::vector<volume::FolderEntry> list(const std::string& path, Sink& sink) const;
    /// Target of a link; empty where there is none.
    [[nodiscard]] std::string link(const std::string& path, Sink& sink) const;
    [[nodiscard]] bool exists(const std::string& path) const;
    /// throws  interrupted
    /// returns true when the time is over
    [[nodiscard]] bool late() const;
};

/// A feature whose kind and type are the same word.
Feature plain_feature(std::string_view kind,
                      std::string_view identity,
                      std::string_view attribute,
                      std::string_view value);

/// Adds features of one kind that one file says; `line` is that of the next ones.
struct Adder {
    Sink& sink;
    std::string kind;
    std::string file;
    std::uint32_t line = 0;

    void operator()(std::string_view identity,
                    std::string_view attribute,
                    std::string_view value,
                    ValueType type = ValueType::text) const;
    /// An element of a list: "attribute∋element", present.
    void element(std::string_view identity, std::string_view list, std::string_view element) const;
    /// A line that cannot be read.
    void damage(std::string_view identity, std::string_view text) const;
};

void extract_accounts(Source& source, Sink& users, Sink& groups);
void extract_packages(Source& source, Sink& sink);
void extract_registry(Source& source, Sink& sink);
void extract_units(Source& source, Sink& sink);
void extract_cron(Source& source, Sink& sink);
void extract_mounts(Source& source, Sink& sink);
void extract_network(Source& source, Sink& sink);
void extract_boot(Source& source, Sink& sink);
void extract_system(Source& source, Sink& sink);

} // namespace stemma::analyzer
