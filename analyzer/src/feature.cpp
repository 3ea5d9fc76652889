#include "stemma/analyzer/feature.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

namespace stemma::analyzer {

namespace {

constexpr std::array<std::string_view, 12> type_words = {"text",
                                                         "number",
                                                         "boolean",
                                                         "size",
                                                         "duration",
                                                         "path",
                                                         "address",
                                                         "digest",
                                                         "version",
                                                         "mode",
                                                         "present",
                                                         "damage"};
constexpr std::array<std::string_view, 3> status_words = {"complete", "partial", "unsupported"};
constexpr std::array<std::string_view, 8> columns = {
    "kind", "type", "identity", "attribute", "value", "value_type", "file", "line"};

template <typename Enum, std::size_t Count>
std::optional<Enum> from_word(const std::array<std::string_view, Count>& words,
                              std::string_view word) noexcept
{
    const auto* found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) {
        return std::nullopt;
    }
    return static_cast<Enum>(found - words.begin());
}

auto name_order(const Feature& feature)
{
    return std::tie(feature.kind, feature.identity, feature.attribute);
}

auto full_order(const Feature& feature)
{
    return std::tie(feature.kind,
                    feature.identity,
                    feature.attribute,
                    feature.file,
                    feature.line,
                    feature.value,
                    feature.type);
}

/// Equal names and values are one feature; where two files say it, the first one is named.
bool repeats(const Feature& a, const Feature& b)
{
    return name_order(a) == name_order(b) && a.value == b.value && a.type == b.type;
}

/// Tells features of one name apart by "#2", "#3", …; false when there were none.
bool number_repetitions(std::vector<Feature>& features)
{
    bool changed = false;
    std::size_t first = 0;
    for (std::size_t i = 1; i <= features.size(); ++i) {
        if (i < features.size() && name_order(features[i]) == name_order(features[first])) {
            continue;
        }
        for (auto again = first + 1; again < i; ++again) {
            features[again].attribute += fmt::format("#{}", again - first + 1);
            changed = true;
        }
        first = i;
    }
    return changed;
}

Feature feature_from_row(const Json& row)
{
    if (!row.is_array() || row.size() != columns.size()) {
        throw Error(ErrorCode::corrupt, "a row of features does not have eight columns");
    }
    Feature feature;
    feature.kind = text_of(row[0], columns[0]);
    feature.type = text_of(row[1], columns[1]);
    feature.identity = text_of(row[2], columns[2]);
    feature.attribute = text_of(row[3], columns[3]);
    feature.value = text_of(row[4], columns[4]);
    const auto type = value_type_from(text_of(row[5], columns[5]));
    if (!type) {
        throw Error(ErrorCode::corrupt, "a row of features has an unknown value_type");
    }
    feature.value_type = *type;
    feature.file = text_of(row[6], columns[6]);
    if (!row[7].is_number_unsigned() ||
        row[7].get<std::uint64_t>() > std::numeric_limits<std::uint32_t>::max()) {
        throw Error(ErrorCode::corrupt, "a row of features has a line that is no number");
    }
    feature.line = row[7].get<std::uint32_t>();
    return feature;
}

ExtractorReport report_from(const Json& json)
{
    ExtractorReport report;
    report.extractor = string_member(json, "extractor");
    const auto status = status_from(string_member(json, "status"));
    if (!status) {
        throw Error(ErrorCode::corrupt, "an extractor has an unknown status");
    }
    report.status = *status;
    report.reason = string_member(json, "reason");
    report.features = static_cast<std::uint64_t>(integer_member(json, "features"));
    return report;
}

} // namespace

std::string_view to_string(ValueType type) noexcept
{
    return type_words[static_cast<std::size_t>(type)];
}

std::optional<ValueType> value_type_from(std::string_view word) noexcept
{
    return from_word<ValueType>(type_words, word);
}

std::string_view to_string(Status status) noexcept
{
    return status_words[static_cast<std::size_t>(status)];
}

std::optional<Status> status_from(std::string_view word) noexcept
{
    return from_word<Status>(status_words, word);
}

std::string Feature::name() const
{
    std::string result = kind;
    for (const auto* part : {&identity, &attribute}) {
        if (!part->empty()) {
            result += ':';
            result += *part;
        }
    }
    return result;
}

void FeatureSet::arrange()
{
    // Repetitions first: they must not take a number.
    std::sort(features.begin(), features.end(), [](const Feature& a, const Feature& b) {
        return std::tuple(name_order(a), std::tie(a.value, a.type, a.file, a.line)) <
               std::tuple(name_order(b), std::tie(b.value, b.type, b.file, b.line));
    });
    features.erase(std::unique(features.begin(), features.end(), repeats), features.end());
    // A hostile tree may hold "a", "a" and "a#2": numbering makes a new repetition then.
    do {
        std::sort(features.begin(), features.end(), [](const Feature& a, const Feature& b) {
            return full_order(a) < full_order(b);
        });
    } while (number_repetitions(features));
}

const Feature*
FeatureSet::find(std::string_view kind, std::string_view identity, std::string_view attribute) const
{
    const auto key = std::tie(kind, identity, attribute);
    const auto found = std::lower_bound(
        features.begin(), features.end(), key, [](const Feature& a, const auto& b) {
            return std::tuple<std::string_view, std::string_view, std::string_view>(
                       a.kind, a.identity, a.attribute) < b;
        });
    if (found == features.end() || found->kind != kind || found->identity != identity ||
        found->attribute != attribute) {
        return nullptr;
    }
    return &*found;
}

std::string FeatureSet::value_of(std::string_view kind,
                                 std::string_view identity,
                                 std::string_view attribute) const
{
    const auto* feature = find(kind, identity, attribute);
    return feature == nullptr ? std::string{} : feature->value;
}

bool FeatureSet::complete() const noexcept
{
    return std::all_of(extractors.begin(), extractors.end(), [](const ExtractorReport& report) {
        return report.status == Status::complete;
    });
}

Json to_json(const FeatureSet& set)
{
    auto extractors = Json::array();
    for (const auto& report : set.extractors) {
        extractors.push_back({{"extractor", report.extractor},
                              {"features", report.features},
                              {"reason", json_text(report.reason)},
                              {"status", to_string(report.status)}});
    }
    auto rows = Json::array();
    for (const auto& feature : set.features) {
        rows.push_back(Json::array({json_text(feature.kind),
                                    json_text(feature.type),
                                    json_text(feature.identity),
                                    json_text(feature.attribute),
                                    json_text(feature.value),
                                    to_string(feature.value_type),
                                    json_text(feature.file),
                                    feature.line}));
    }
    return {{"columns", columns},
            {"extractors", std::move(extractors)},
            {"rows", std::move(rows)},
            {"schema", features_schema}};
}

FeatureSet features_from_json(const Json& json)
{
    const auto schema = string_member(json, "schema");
    if (schema != features_schema) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("features of schema '{}' (this version reads {})",
                                schema,
                                features_schema));
    }
    if (array_member(json, "columns") != Json(columns)) {
        throw Error(ErrorCode::corrupt, "features with other columns than their schema's");
    }
    FeatureSet set;
    for (const auto& report : array_member(json, "extractors")) {
        set.extractors.push_back(report_from(report));
    }
    const auto& rows = array_member(json, "rows");
    set.features.reserve(rows.size());
    for (const auto& row : rows) {
        set.features.push_back(feature_from_row(row));
    }
    return set;
}

Json item_of(const Feature& feature)
{
    return {{"attribute", json_text(feature.attribute)},
            {"file", feature.file.empty() ? Json(nullptr) : json_text(feature.file)},
            {"identity", json_text(feature.identity)},
            {"kind", json_text(feature.kind)},
            {"line", feature.line == 0 ? Json(nullptr) : Json(feature.line)},
            {"name", json_text(feature.name())},
            {"type", json_text(feature.type)},
            {"value", json_text(feature.value)},
            {"value_type", to_string(feature.value_type)}};
}

} // namespace stemma::analyzer
