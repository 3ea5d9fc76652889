#pragma once

#include "stemma/core/clock.hpp"
#include "stemma/core/digest.hpp"
#include "stemma/core/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Events: the facts of the ledger, one at a time. Their bodies are JSON objects; this table is
/// what writers and readers agree on. A body may carry more; readers ignore what they do not know.
///
/// | kind               | body                                                                    |
/// |--------------------|-------------------------------------------------------------------------|
/// | build.recorded     | manifest: a whole stemma.manifest/1 object                              |
/// | package.packed     | purl name version arch sha256 file, build (run id or null),             |
/// |                    | payload: [{path sha256 mode size link artifact basis}]                  |
/// |                    |   link: content, build-id, source, unexplained; artifact: sha256 of     |
/// |                    |   the build's file that it came from, or null                           |
/// | image.created      | name digest parent (digest or null) format size path os,                |
/// |                    | installed: [{kind: deb|file|tar|patch, name, sha256, purl, path}],      |
/// |                    | removed: [same], packages: [{name version arch purl}] (all, effective)  |
/// | image.retired      | name digest reason                                                      |
/// | host.added         | name uuid uri labels: {k: v}                                            |
/// | host.state         | name state (up, down, unknown) reason                                   |
/// | host.removed       | name                                                                    |
/// | release.step       | release version step (a short word) subject phase (begin, done, failed) |
/// |                    | detail run (one UUIDv7 per apply)                                       |
/// | release.applied    | release version digest (of the YAML) vms: [name]                        |
/// | release.retired    | release; so do release.paused (and reason) and release.resumed          |
/// | vm.deployed        | uuid name host image (digest or "") release, adopted (bool)             |
/// | vm.state           | uuid name host reason, state (running, stopped, paused, crashed,        |
/// |                    |   condemned: to be removed when its host is back, unknown)              |
/// | vm.verified        | uuid name host image ok checks: [{name ok expected actual}]             |
/// | vm.migrated        | uuid name from to                                                       |
/// | vm.retired         | uuid name reason                                                        |
/// | vm.changed         | uuid name what (an admin's or tool's action inside the VM)              |
/// | snapshot.taken     | id uuid name host image parent disk memory (bool) quiesced (bool)       |
/// | channel.set        | channel kind (package, image) name version digest: the head of a channel|
/// | action.run         | command item exit name uuid phase run set_seq (`run` and `vm exec`)     |
/// | ledger.pruned      | before bytes events kinds tombstones; ledger.equivocation: reason       |
namespace stemma::model {

/// One fact from one origin, in order.
struct Event {
    std::string origin;     ///< who says it: UUID of the store or host that made it
    std::uint64_t oseq = 0; ///< 1, 2, 3 … without gaps per origin
    Time at{};              ///< valid time: when it happened, by the origin's clock
    std::string kind;       ///< e.g. "vm.deployed"
    Json body = Json::object();

    bool operator==(const Event&) const = default;
};

/// What somebody wants to say; the store adds origin and number.
struct EventDraft {
    Time at{};
    std::string kind;
    Json body = Json::object();
};

inline constexpr std::string_view event_schema = "stemma.event/1";

/// {"at","body","kind","origin","oseq","schema"}
Json to_json(const Event& event);
/// throws  corrupt: a member is missing or of another type; unsupported: a newer schema
Event event_from_json(const Json& json);

/// The bytes that the ledger's hash tree covers: canonical_json(to_json(event)).
std::string canonical_event(const Event& event);
/// The same; `body` is canonical_json(event.body), borrowed.
std::string canonical_event(const Event& event, std::string_view body);

} // namespace stemma::model
