#pragma once

#include "stemma/model/event.hpp"
#include "stemma/sqlite/database.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>

/// The schema that one writes first: a row per file, per link, per package of an image; questions
/// are recursive joins. What the store is measured against, on the same events.
namespace stemma::bench {

class Naive {
public:
    explicit Naive(const std::string& path);

    /// Keeps what one event says. Knows the kinds that the benchmark makes.
    void take(const model::Event& event);
    void begin() { db_.execute("BEGIN"); }
    void commit() { db_.execute("COMMIT"); }

    std::size_t hosts_of_file(const std::string& path);
    /// Nodes of sources whose first build ended at `since` or later.
    std::set<std::int64_t> sources_of_host(const std::string& host, Time since);
    /// VMs with a package of which a newer one was packed.
    std::size_t outdated_vms();
    /// Sources that every VM has whose name is LIKE this.
    std::size_t shared_sources(const std::string& names);

private:
    std::int64_t node(const std::string& build,
                      const std::string& path,
                      const std::string& sha256,
                      std::int64_t when);
    std::set<std::int64_t> sources_of(std::string_view vms, const std::string& key, Time since);
    void take_build(const Json& manifest);
    void take_package(const Json& body);
    void take_image(const Json& body);
    void take_vm(const Json& body);

    sqlite::Database db_;
};

} // namespace stemma::bench
