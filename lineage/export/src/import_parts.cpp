#include "import_parts.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

#include "words.hpp"

namespace stemma::exporting {

namespace {

constexpr std::array package_endings = {std::string_view(".deb"),
                                        std::string_view(".rpm"),
                                        std::string_view(".apk"),
                                        std::string_view(".whl"),
                                        std::string_view(".jar"),
                                        std::string_view(".war"),
                                        std::string_view(".gem"),
                                        std::string_view(".crate"),
                                        std::string_view(".nupkg"),
                                        std::string_view(".tgz"),
                                        std::string_view(".zip"),
                                        std::string_view(".tar"),
                                        std::string_view(".tar.gz"),
                                        std::string_view(".tar.xz"),
                                        std::string_view(".tar.bz2"),
                                        std::string_view(".tar.zst")};

const Json& optional_container(const Json& object, std::string_view key, Json::value_t type)
{
    static const Json no_array = Json::array();
    static const Json no_object = Json::object();
    const bool wants_array = type == Json::value_t::array;
    const auto found = object.is_object() ? object.find(key) : object.end();
    if (found == object.end() || found->is_null()) {
        return wants_array ? no_array : no_object;
    }
    if (found->type() != type) {
        throw Error(
            ErrorCode::corrupt,
            fmt::format("member '{}' is not {}", key, wants_array ? "an array" : "an object"));
    }
    return *found;
}

} // namespace

const Json& optional_array(const Json& object, std::string_view key)
{
    return optional_container(object, key, Json::value_t::array);
}

const Json& optional_object(const Json& object, std::string_view key)
{
    return optional_container(object, key, Json::value_t::object);
}

std::string string_or_empty(const Json& object, std::string_view key)
{
    return optional_string_member(object, key).value_or("");
}

std::optional<Digest> sha256_in(const Json& list,
                                std::string_view algorithm_key,
                                std::string_view algorithm,
                                std::string_view value_key)
{
    for (const auto& entry : list) {
        if (string_member(entry, algorithm_key) != algorithm) {
            continue;
        }
        const auto text = string_member(entry, value_key);
        const auto digest = Digest::from_hex(to_lower(text));
        if (!digest) {
            throw Error(ErrorCode::corrupt, fmt::format("no SHA-256: '{}'", printable(text)));
        }
        return digest;
    }
    return std::nullopt;
}

Time time_or(const Json& object, std::string_view key, Time otherwise)
{
    const auto text = optional_string_member(object, key);
    if (!text) {
        return otherwise;
    }
    try {
        return parse_time(*text);
    } catch (const Error& error) {
        throw Error(ErrorCode::corrupt, fmt::format("member '{}': {}", key, error.message()));
    }
}

void ForeignPackage::read_scanned_file()
{
    if (is_package_name(name)) {
        file = file.empty() ? std::string(base_name(name)) : file;
        name = base_name(name);
    }
    if (version.starts_with("sha256:")) {
        version.clear();
    }
}

std::size_t lend_purls(std::vector<ForeignPackage>& packages,
                       const std::vector<ForeignPackage>& without_digest)
{
    std::size_t others = 0;
    for (const auto& inner : without_digest) {
        const auto file = std::find_if(packages.begin(), packages.end(), [&](const auto& package) {
            return package.name == inner.name && package.version == inner.version;
        });
        if (file == packages.end()) {
            ++others;
        } else if (file->purl.empty()) {
            file->purl = inner.purl;
        }
    }
    return others;
}

void ForeignPackage::complete()
{
    if (const auto parts = split_purl(purl)) {
        name = name.empty() ? parts->name : name;
        version = version.empty() ? parts->version : version;
        arch = arch.empty() ? parts->arch : arch;
    }
    const auto base = std::string(base_name(file));
    if (base.ends_with(".deb")) {
        const auto words = split(std::string_view(base).substr(0, base.size() - 4), '_');
        if (words.size() == 3) {
            name = name.empty() || name == base ? std::string(words[0]) : name;
            version = version.empty() ? std::string(words[1]) : version;
            arch = arch.empty() ? std::string(words[2]) : arch;
        }
    }
    if (name.empty()) {
        name = base.empty() ? sha256.hex() : base;
    }
}

model::EventDraft ForeignPackage::draft(Time at, std::string_view source) const
{
    const auto or_null = [](const std::string& text) {
        return text.empty() ? Json(nullptr) : Json(text);
    };
    return {at,
            "package.packed",
            {{"arch", or_null(arch)},
             {"build", nullptr},
             {"file", or_null(file)},
             {"imported_from", source},
             {"name", name},
             {"payload", payload},
             {"purl", or_null(purl)},
             {"sha256", sha256.hex()},
             {"version", or_null(version)}}};
}

Json payload_entry(std::string_view path, const Digest& sha256)
{
    return {{"artifact", nullptr},
            {"basis", "declared by an imported document"},
            {"link", "unexplained"},
            {"mode", nullptr},
            {"path", path},
            {"sha256", sha256.hex()},
            {"size", nullptr}};
}

bool is_package_name(std::string_view name)
{
    return std::any_of(package_endings.begin(),
                       package_endings.end(),
                       [&](std::string_view ending) { return name.ends_with(ending); });
}

} // namespace stemma::exporting
