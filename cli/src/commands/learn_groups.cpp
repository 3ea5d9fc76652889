#include "stemma/analyzer/cluster.hpp"
#include "stemma/analyzer/outliers.hpp"
#include "stemma/analyzer/rules.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "compare_set.hpp"
#include "learn.hpp"

/// `learn cluster`, `learn outliers`, `learn check`: what needs no labels.
namespace stemma::cli {

namespace {

using analyzer::Matrix;

constexpr std::size_t shown_names = 6;

Matrix varying(const Fleet& fleet)
{
    return analyzer::matrix_of(*fleet.pool, {.operational = false, .constant = false});
}

/// "FILE:KEY = VALUE", or that it is not there.
std::string phrase_of(const std::string& feature, const std::string* value)
{
    if (value == nullptr) {
        return printable(feature) + " (not there)";
    }
    return *value == "present" ? printable(feature)
                               : printable(feature) + " = " + printable(*value);
}

std::string joined(const Json& words, std::size_t most)
{
    std::string text;
    for (std::size_t i = 0; i < words.size() && i < most; ++i) {
        text += (text.empty() ? "" : ", ") + words[i].get<std::string>();
    }
    return text + (words.size() > most ? fmt::format(" and {} more", words.size() - most) : "");
}

Json cluster_item(const Matrix& matrix, const analyzer::Cluster& cluster, std::size_t number)
{
    Json members = Json::array();
    for (const std::size_t row : cluster.members) {
        members.push_back(printable(matrix.vms[row]));
    }
    Json defining = Json::array();
    std::string words;
    for (const auto& one : cluster.defining) {
        defining.push_back({{"feature", json_text(one.feature)},
                            {"value", one.value ? json_text(*one.value) : Json(nullptr)},
                            {"inside", one.inside},
                            {"outside", one.outside}});
        if (words.size() < 160) {
            words += (words.empty() ? "" : "; ") +
                     phrase_of(one.feature, one.value ? &*one.value : nullptr);
        }
    }
    return {{"cluster", number},
            {"size", cluster.members.size()},
            {"typical", printable(matrix.vms[cluster.medoid])},
            {"vms", joined(members, shown_names)},
            {"defined_by", words},
            {"members", std::move(members)},
            {"defining", std::move(defining)}};
}

} // namespace

int run_learn_cluster(Context& context, const Args& args)
{
    const Fleet fleet = read_fleet(context, args);
    const Matrix matrix = varying(fleet);
    std::optional<std::size_t> wanted;
    if (const auto number = args.number("clusters", 1, 4'000)) {
        wanted = static_cast<std::size_t>(*number);
    }
    const auto clustering = analyzer::cluster(matrix, wanted);
    Answer answer;
    answer.schema = "stemma.clusters/1";
    answer.gaps = fleet.gaps;
    for (const auto& cluster : clustering.clusters) {
        answer.items.push_back(cluster_item(matrix, cluster, answer.items.size() + 1));
    }
    Json merges = Json::array();
    for (const auto& merge : clustering.merges) {
        merges.push_back({merge.left, merge.right, merge.height});
    }
    Json vms = Json::array();
    for (const auto& name : matrix.vms) {
        vms.push_back(json_text(name));
    }
    answer.extra = {{"silhouette", clustering.silhouette},
                    {"vms", std::move(vms)},
                    {"merges", std::move(merges)}};
    return show(context,
                answer,
                {{"CLUSTER", "cluster"},
                 {"SIZE", "size", Column::Align::right},
                 {"TYPICAL", "typical"},
                 {"VMS", "vms"},
                 {"DEFINED BY", "defined_by"}});
}

int run_learn_outliers(Context& context, const Args& args)
{
    const Fleet fleet = read_fleet(context, args);
    const Matrix matrix = varying(fleet);
    const auto limit = args.number("limit", 1, 1'000'000).value_or(matrix.vms.size());
    Answer answer;
    answer.schema = "stemma.outliers/1";
    answer.gaps = fleet.gaps;
    for (const auto& outlier : analyzer::find_outliers(matrix)) {
        if (answer.items.size() >= limit) {
            break;
        }
        Json reasons = Json::array();
        std::string words;
        for (const auto& reason : outlier.reasons) {
            reasons.push_back({{"feature", json_text(reason.feature)},
                               {"value", reason.absent ? Json(nullptr) : json_text(reason.value)},
                               {"alike", reason.alike}});
            words += fmt::format("{}{} ({} other{})",
                                 words.empty() ? "" : "; ",
                                 phrase_of(reason.feature, reason.absent ? nullptr : &reason.value),
                                 reason.alike,
                                 reason.alike == 1 ? "" : "s");
        }
        answer.items.push_back({{"vm", json_text(matrix.vms[outlier.vm])},
                                {"score", outlier.score},
                                {"shown_score", fmt::format("{:.3f}", outlier.score)},
                                {"because", words},
                                {"reasons", std::move(reasons)}});
    }
    return show(context,
                answer,
                {{"VM", "vm"},
                 {"SCORE", "shown_score", Column::Align::right},
                 {"TOLD APART BY", "because"}});
}

int run_learn_check(Context& context, const Args& args)
{
    const auto file = args.value("rules");
    if (!file) {
        throw Error(ErrorCode::usage, "no rules are named", "give --rules FILE; see docs/learn.md");
    }
    const auto rules = analyzer::load_rules(*file);
    const Fleet fleet = read_fleet(context, args);
    const Matrix matrix = analyzer::matrix_of(*fleet.pool, {});
    Answer answer;
    answer.schema = "stemma.check/1";
    answer.gaps = fleet.gaps;
    for (const auto& hit : analyzer::apply_rules(rules, matrix)) {
        const auto& rule = rules[hit.rule];
        Json evidence = Json::array();
        std::string words;
        for (const auto& one : hit.evidence) {
            evidence.push_back({{"feature", json_text(one.feature)},
                                {"value", one.value ? json_text(*one.value) : Json(nullptr)}});
            words += (words.empty() ? "" : "; ") +
                     phrase_of(one.feature, one.value ? &*one.value : nullptr);
        }
        answer.items.push_back({{"vm", json_text(matrix.vms[hit.vm])},
                                {"rule", rule.name},
                                {"label", rule.label},
                                {"because", rule.because},
                                {"found", words},
                                {"evidence", std::move(evidence)}});
    }
    const bool any = !answer.items.empty();
    const int status = show(context,
                            answer,
                            {{"VM", "vm"},
                             {"LABEL", "label"},
                             {"RULE", "rule"},
                             {"FOUND", "found"},
                             {"BECAUSE", "because"}});
    return status == 0 && any ? 3 : status;
}

} // namespace stemma::cli
