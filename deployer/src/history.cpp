// What the ledger says of a release's past.

#include "stemma/core/error.hpp"
#include "stemma/deployer/apply.hpp"

namespace stemma::deployer {

model::EventDraft applied_event(const Plan& plan, const Release& release, Time at)
{
    Json names = Json::array();
    Json specs = Json::array();
    for (const auto& vm : plan.vms) {
        if (vm.action != Action::retire) {
            names.push_back(vm.spec.name);
            specs.push_back(to_json(vm.spec));
        }
    }
    return {.at = at,
            .kind = "release.applied",
            .body = {{"release", plan.release},
                     {"version", plan.version},
                     {"digest", plan.file_digest},
                     {"vms", names},
                     {"specs", specs},
                     {"verify", to_json(release.verify)}}};
}

namespace {

std::string text_of_member(const Json& body, const char* key)
{
    const auto found = body.find(key);
    return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

using Homes = std::map<std::string, std::string>; ///< hosts by VM uuid

/// Where a VM was moved to since.
void note_move(const model::Event& event, Homes& homes)
{
    const bool moved = event.kind == "release.step" &&
                       text_of_member(event.body, "step") == "migrate" &&
                       text_of_member(event.body, "phase") == "done";
    if (moved) {
        homes[text_of_member(event.body, "uuid")] = text_of_member(event.body, "to");
    }
}

} // namespace

std::vector<AppliedRelease> applied_releases(const std::vector<model::Event>& events)
{
    std::vector<AppliedRelease> applied;
    Homes homes;
    for (const auto& event : events) {
        note_move(event, homes);
        if (event.kind != "release.applied" || !event.body.contains("specs")) {
            continue;
        }
        try {
            AppliedRelease release;
            release.version = string_member(event.body, "version");
            release.file_digest = string_member(event.body, "digest");
            release.at = event.at;
            for (const auto& spec : array_member(event.body, "specs")) {
                release.specs.push_back(spec_from_json(spec));
            }
            release.verify = verification_from_json(member(event.body, "verify"));
            for (const auto& spec : release.specs) {
                homes[spec.uuid] = spec.host;
            }
            applied.push_back(std::move(release));
        } catch (const Error&) {
            continue; // recorded by a newer version: not something to go back to
        }
    }
    for (auto& release : applied) {
        for (auto& spec : release.specs) {
            spec.host = homes.at(spec.uuid);
        }
    }
    return applied;
}

std::map<std::string, std::string> verified_specs(const std::vector<model::Event>& events)
{
    std::map<std::string, std::string> verified;
    for (const auto& event : events) {
        if (event.kind != "release.step") {
            continue;
        }
        const auto text = [&](const char* key) { return text_of_member(event.body, key); };
        const auto uuid = text("uuid");
        if (text("step") == "verify" && text("phase") == "done") {
            verified[uuid] = proof_of(text("spec"), text("checks"));
        } else if (text("phase") == "begin" && text("step") != "collect") {
            verified.erase(uuid); // whatever begins must be proven again
        }
    }
    return verified;
}

} // namespace stemma::deployer
