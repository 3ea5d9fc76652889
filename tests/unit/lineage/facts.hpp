#pragma once

#include "stemma/core/file.hpp"
#include "stemma/core/log.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/store.hpp"
#include "stemma/support/fake_clock.hpp"

#include <string>

/// Facts for tests, short to write.
namespace stemma::lineage::test {

/// A sha256 that is told by one word, the same everywhere.
inline std::string sha(std::string_view word)
{
    return sha256(word).hex();
}

inline Time at(std::int64_t seconds)
{
    return parse_time("2026-01-01T00:00:00Z") + std::chrono::seconds(seconds);
}

/// `ledger verify --rebuild`.
inline const Verification thorough{true, std::nullopt, nullptr, nullptr};

/// A store in a folder of its own.
struct Place {
    TemporaryFolder folder{"stemma-lineage-test"};
    support::FakeClock clock;
    NullLog log;
    std::string path = folder.path() / "lineage.db";

    std::unique_ptr<Store> open(Store::Mode mode = Store::Mode::write)
    {
        return Store::open(path, mode, clock, log);
    }
};

inline model::EventDraft deployed(std::int64_t when,
                                  const std::string& vm,
                                  const std::string& host,
                                  const std::string& image)
{
    return {at(when),
            "vm.deployed",
            Json{{"uuid", vm},
                 {"name", vm + "-name"},
                 {"host", host},
                 {"image", sha(image)},
                 {"release", "r"}}};
}

inline model::EventDraft
state(std::int64_t when, const std::string& vm, const std::string& host, const std::string& word)
{
    return {
        at(when),
        "vm.state",
        Json{
            {"uuid", vm}, {"name", vm + "-name"}, {"host", host}, {"state", word}, {"reason", ""}}};
}

inline model::EventDraft
migrated(std::int64_t when, const std::string& vm, const std::string& from, const std::string& to)
{
    return {at(when),
            "vm.migrated",
            Json{{"uuid", vm}, {"name", vm + "-name"}, {"from", from}, {"to", to}}};
}

inline model::EventDraft retired(std::int64_t when, const std::string& vm)
{
    return {at(when), "vm.retired", Json{{"uuid", vm}, {"name", vm + "-name"}, {"reason", "done"}}};
}

inline model::EventDraft image(std::int64_t when,
                               const std::string& name,
                               const std::string& content,
                               const Json& parent = nullptr)
{
    return {at(when),
            "image.created",
            Json{{"name", name},
                 {"digest", sha(content)},
                 {"parent", parent},
                 {"format", "qcow2"},
                 {"size", 1024},
                 {"path", "/images/" + name},
                 {"os", "Debian"},
                 {"installed", Json::array()},
                 {"removed", Json::array()},
                 {"packages", Json::array()}}};
}

inline model::Event
said(const std::string& origin, std::uint64_t oseq, const model::EventDraft& draft)
{
    return {origin, oseq, draft.at, draft.kind, draft.body};
}

} // namespace stemma::lineage::test
