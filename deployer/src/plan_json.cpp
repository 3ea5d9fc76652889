// A plan as it is saved and shown.

#include "stemma/core/error.hpp"
#include "stemma/deployer/plan.hpp"

namespace stemma::deployer {

namespace {

constexpr std::string_view plan_schema = "stemma.plan/1";

Action action_from(std::string_view word)
{
    for (const auto action : {Action::keep,
                              Action::verify,
                              Action::start,
                              Action::create,
                              Action::reimage,
                              Action::redefine,
                              Action::retire,
                              Action::blocked}) {
        if (to_string(action) == word) {
            return action;
        }
    }
    throw Error(ErrorCode::corrupt, fmt::format("a plan with the unknown action \"{}\"", word));
}

} // namespace

Json to_json(const Plan& plan)
{
    Json vms = Json::array();
    for (const auto& vm : plan.vms) {
        const bool retire = vm.action == Action::retire;
        vms.push_back({{"action", to_string(vm.action)},
                       {"available", vm.available},
                       {"from_image", vm.from_image.empty() ? Json(nullptr) : Json(vm.from_image)},
                       {"host", vm.spec.host.empty() ? Json(nullptr) : Json(vm.spec.host)},
                       {"leftovers", vm.leftovers},
                       {"name", vm.spec.name},
                       {"reason", vm.reason},
                       {"replaced", vm.replaced},
                       {"spec", retire ? Json(nullptr) : to_json(vm.spec)},
                       {"uuid", vm.spec.uuid},
                       {"wave", vm.wave}});
    }
    return {{"checks_digest", plan.checks_digest},
            {"file_digest", plan.file_digest},
            {"plan", plan_schema},
            {"release", plan.release},
            {"vms", vms},
            {"version", plan.version},
            {"waves", plan.waves},
            {"world_digest", plan.world_digest}};
}

Plan plan_from_json(const Json& json)
{
    if (string_member(json, "plan") != plan_schema) {
        throw Error(ErrorCode::unsupported, "a plan of another version");
    }
    Plan plan;
    plan.release = string_member(json, "release");
    plan.version = string_member(json, "version");
    plan.file_digest = string_member(json, "file_digest");
    plan.checks_digest = string_member(json, "checks_digest");
    plan.world_digest = string_member(json, "world_digest");
    plan.waves = static_cast<std::size_t>(integer_member(json, "waves"));
    for (const auto& item : array_member(json, "vms")) {
        PlannedVm vm;
        vm.action = action_from(string_member(item, "action"));
        if (const auto& spec = member(item, "spec"); !spec.is_null()) {
            vm.spec = spec_from_json(spec);
        } else {
            vm.spec.uuid = string_member(item, "uuid");
            vm.spec.name = string_member(item, "name");
            vm.spec.release = plan.release;
            vm.spec.host = optional_string_member(item, "host").value_or("");
        }
        vm.from_image = optional_string_member(item, "from_image").value_or("");
        vm.reason = string_member(item, "reason");
        vm.available = item.value("available", false);
        vm.replaced = item.value("replaced", false);
        vm.wave = static_cast<std::size_t>(integer_member(item, "wave"));
        for (const auto& path : array_member(item, "leftovers")) {
            vm.leftovers.push_back(path.get<std::string>());
        }
        plan.vms.push_back(std::move(vm));
    }
    return plan;
}

} // namespace stemma::deployer
