#include "stemma/deployer/spec.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"

namespace stemma::deployer {

namespace {

Json boot_json(const VmSpec& spec)
{
    if (!spec.boot) {
        return nullptr;
    }
    return {{"cmdline", spec.boot->cmdline},
            {"initrd", spec.boot->initrd},
            {"initrd_sha256", spec.boot->initrd_sha256},
            {"kernel", spec.boot->kernel},
            {"kernel_sha256", spec.boot->kernel_sha256}};
}

Json cards_json(const std::vector<NetworkCard>& cards)
{
    Json json = Json::array();
    for (const auto& card : cards) {
        json.push_back(
            {{"kind", to_string(card.kind)}, {"mac", card.mac}, {"source", card.source}});
    }
    return json;
}

NetworkCard card_from_json(const Json& json)
{
    const auto kind = string_member(json, "kind");
    return {.kind = kind == "user"      ? NetworkCard::Kind::user
                    : kind == "network" ? NetworkCard::Kind::network
                                        : NetworkCard::Kind::bridge,
            .source = string_member(json, "source"),
            .mac = string_member(json, "mac")};
}

/// Members that came later than the others: records of before do not have them.
void read_later_members(const Json& json, VmSpec& spec)
{
    for (const auto& card : json.value("networks", Json::array())) {
        spec.networks.push_back(card_from_json(card));
    }
    spec.system_disk_mib = json.value("system_disk_mib", std::uint64_t{0});
    if (const auto seed = json.find("seed"); seed != json.end() && !seed->is_null()) {
        spec.seed = ResolvedSeed{.path = string_member(*seed, "path"),
                                 .sha256 = string_member(*seed, "sha256")};
        if (!Digest::from_hex(spec.seed->sha256)) {
            throw Error(ErrorCode::corrupt, "a VM's description with an impossible seed");
        }
    }
    const auto helper = json.value("helper", std::string("stemma"));
    spec.helper = helper == "agent"  ? Helper::agent
                  : helper == "both" ? Helper::both
                                     : Helper::stemma;
}

/// Without members that say what was always so: a VM that has nothing of the later ones stays what
/// it was.
void drop_defaults(Json& json, const VmSpec& spec)
{
    if (spec.networks.empty()) {
        json.erase("networks");
    } else {
        json.erase("network");
    }
    if (spec.system_disk_mib == 0) {
        json.erase("system_disk_mib");
    }
    if (spec.helper == Helper::stemma) {
        json.erase("helper");
    }
    if (spec.seed) {
        json["seed"].erase("path");
    } else {
        json.erase("seed");
    }
}

} // namespace

std::string_view to_string(NetworkCard::Kind kind) noexcept
{
    switch (kind) {
    case NetworkCard::Kind::network:
        return "network";
    case NetworkCard::Kind::bridge:
        return "bridge";
    case NetworkCard::Kind::user:
        break;
    }
    return "user";
}

std::string vm_uuid(std::string_view release, std::string_view name)
{
    return make_uuid5(stemma_uuid_space, fmt::format("{}/{}", release, name));
}

Json to_json(const VmSpec& spec)
{
    Json disks = Json::array();
    for (const auto& disk : spec.data_disks) {
        disks.push_back({{"name", disk.name}, {"size_mib", disk.size_mib}});
    }
    return {{"boot", boot_json(spec)},
            {"data_disks", disks},
            {"helper", to_string(spec.helper)},
            {"host", spec.host},
            {"image",
             {{"digest", spec.image.digest},
              {"format", spec.image.format},
              {"name", spec.image.name},
              {"path", spec.image.path},
              {"size", spec.image.size}}},
            {"memory_mib", spec.memory_mib},
            {"name", spec.name},
            {"network", spec.network},
            {"networks", cards_json(spec.networks)},
            {"release", spec.release},
            {"seed",
             spec.seed ? Json{{"path", spec.seed->path}, {"sha256", spec.seed->sha256}}
                       : Json(nullptr)},
            {"system_disk_mib", spec.system_disk_mib},
            {"uuid", spec.uuid},
            {"vcpus", spec.vcpus}};
}

VmSpec spec_from_json(const Json& json)
{
    VmSpec spec;
    spec.uuid = string_member(json, "uuid");
    spec.name = string_member(json, "name");
    spec.release = string_member(json, "release");
    spec.host = string_member(json, "host");
    const auto& image = member(json, "image");
    spec.image.name = string_member(image, "name");
    spec.image.digest = string_member(image, "digest");
    spec.image.format = string_member(image, "format");
    spec.image.path = string_member(image, "path");
    spec.image.size = static_cast<std::uint64_t>(integer_member(image, "size"));
    spec.memory_mib = static_cast<std::uint64_t>(integer_member(json, "memory_mib"));
    spec.vcpus = static_cast<unsigned>(integer_member(json, "vcpus"));
    spec.network = string_member(json, "network");
    if (const auto& boot = member(json, "boot"); !boot.is_null()) {
        spec.boot = ResolvedBoot{.kernel = string_member(boot, "kernel"),
                                 .kernel_sha256 = string_member(boot, "kernel_sha256"),
                                 .initrd = string_member(boot, "initrd"),
                                 .initrd_sha256 = string_member(boot, "initrd_sha256"),
                                 .cmdline = string_member(boot, "cmdline")};
    }
    for (const auto& disk : array_member(json, "data_disks")) {
        spec.data_disks.push_back(
            {.name = string_member(disk, "name"),
             .size_mib = static_cast<std::uint64_t>(integer_member(disk, "size_mib"))});
    }
    read_later_members(json, spec);
    if (!is_name(spec.name) || !is_name(spec.release) || !Digest::from_hex(spec.image.digest)) {
        throw Error(ErrorCode::corrupt, "a VM's description with an impossible name or digest");
    }
    return spec;
}

std::string spec_digest(const VmSpec& spec)
{
    auto json = to_json(spec);
    json.erase("host");
    // An image is its content, whatever it is called and wherever it lies.
    json["image"] = spec.image.digest;
    drop_defaults(json, spec);
    if (spec.boot) {
        json["boot"].erase("kernel");
        json["boot"].erase("initrd");
    }
    return sha256(canonical_json(json)).hex();
}

} // namespace stemma::deployer
