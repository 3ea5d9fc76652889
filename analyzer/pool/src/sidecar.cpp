#include "stemma/analyzer/sidecar.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/json.hpp"

#include <fmt/format.h>

namespace stemma::analyzer {

namespace {

void add(FeatureSet& set, std::string identity, std::string attribute, std::string value)
{
    Feature feature;
    feature.kind = "vm";
    feature.type = "vm";
    feature.identity = std::move(identity);
    feature.attribute = std::move(attribute);
    feature.value = std::move(value);
    set.features.push_back(std::move(feature));
}

void add_number(FeatureSet& set, std::string_view attribute, const Json& value)
{
    if (value.is_number_unsigned()) {
        add(set, "", std::string(attribute), std::to_string(value.get<std::uint64_t>()));
    }
}

void add_disks(FeatureSet& set, const Json& disks)
{
    if (!disks.is_object()) {
        return;
    }
    for (const auto& [disk, uuid] : disks.items()) {
        if (uuid.is_string()) {
            add(set, fmt::format("disk[{}]", disk), "uuid", uuid.get<std::string>());
        }
    }
}

} // namespace

void add_sidecar(const std::filesystem::path& tree, FeatureSet& set)
{
    std::filesystem::path file = tree;
    if (file.filename().empty()) {
        file = file.parent_path();
    }
    file.replace_extension(".json");
    if (!std::filesystem::is_regular_file(file)) {
        return;
    }
    const Json body = parse_json(read_file(file, 1U << 20U), file.string());
    if (!body.is_object()) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: not a JSON object", file.string()));
    }
    for (const auto& [name, value] : body.items()) {
        if (name == "mem" || name == "memory_mib") {
            add_number(set, "memory_mib", value);
        } else if (name == "vcpu" || name == "vcpus") {
            add_number(set, "vcpus", value);
        } else if (name == "disks") {
            add_disks(set, value);
        }
    }
    set.arrange();
}

} // namespace stemma::analyzer
