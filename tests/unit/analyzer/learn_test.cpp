#include "stemma/analyzer/cluster.hpp"
#include "stemma/analyzer/forest.hpp"
#include "stemma/analyzer/outliers.hpp"
#include "stemma/analyzer/rules.hpp"
#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <random>
#include <set>
#include <string>

using namespace stemma;
using namespace stemma::analyzer;

namespace {

/// A table written by hand: "" is absent.
Matrix table(const std::vector<std::string>& columns,
             const std::vector<std::vector<std::string>>& rows)
{
    Matrix matrix;
    std::vector<std::set<std::string>> values(columns.size());
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (!row[i].empty()) {
                values[i].insert(row[i]);
            }
        }
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
        matrix.columns.push_back({columns[i], {values[i].begin(), values[i].end()}});
    }
    for (const auto& row : rows) {
        matrix.vms.push_back("vm" + std::to_string(matrix.vms.size()));
        auto& codes = matrix.codes.emplace_back();
        for (std::size_t i = 0; i < columns.size(); ++i) {
            const auto at = values[i].find(row[i]);
            codes.push_back(row[i].empty() ? 0
                                           : static_cast<std::uint32_t>(
                                                 1 + std::distance(values[i].begin(), at)));
        }
    }
    return matrix;
}

/// Two roles, three columns each that say so, and columns of noise.
Matrix two_roles(std::size_t each)
{
    std::mt19937 random(5);
    std::vector<std::vector<std::string>> rows;
    for (std::size_t i = 0; i < 2 * each; ++i) {
        const bool web = i % 2 == 0;
        const auto noise = [&] { return std::to_string(random() % 3); };
        rows.push_back({web ? "nginx" : "",
                        web ? "80" : "5432",
                        web ? "" : "postgres",
                        noise(),
                        noise(),
                        std::to_string(random())});
    }
    return table({"/a:server", "/b:port", "/c:db", "/n:1", "/n:2", "/n:id"}, rows);
}

} // namespace

TEST_CASE("average linkage joins by mean distance, as worked out by hand")
{
    // One column per VM pair would be needed for free distances; equal weights do here:
    // a and b differ in one of four columns, c differs from a in three and from b in two.
    const Matrix matrix = table({"p", "q", "r", "s"},
                                {{"1", "1", "1", "1"}, {"2", "1", "1", "1"}, {"2", "2", "2", "1"}});
    const auto distance = distances(matrix);
    CHECK(distance[0][1] == Approx(1.0 / 3)); // the constant column has no weight
    CHECK(distance[0][2] == Approx(1.0));
    CHECK(distance[1][2] == Approx(2.0 / 3));
    const Clustering clustering = cluster(matrix, 2);
    REQUIRE(clustering.merges.size() == 2);
    CHECK(clustering.merges[0].height == Approx(1.0 / 3));
    CHECK(clustering.merges[1].height == Approx((1.0 + 2.0 / 3) / 2));
    CHECK(clustering.clusters[0].members == std::vector<std::size_t>{0, 1});
}

TEST_CASE("groups are found without being told their number, with what defines them")
{
    const Clustering clustering = cluster(two_roles(12), std::nullopt);
    REQUIRE(clustering.clusters.size() == 2);
    for (const Cluster& group : clustering.clusters) {
        REQUIRE(group.members.size() == 12);
        for (const std::size_t member : group.members) {
            CHECK(member % 2 == group.members.front() % 2);
        }
        REQUIRE_FALSE(group.defining.empty());
        CHECK(group.defining.front().inside == 12);
        CHECK(group.defining.front().outside == 0);
        CHECK(group.defining.front().feature.front() == '/');
        CHECK(group.defining.front().feature[1] != 'n');
    }
}

TEST_CASE("merges are a tree over all VMs, in order of height")
{
    const Matrix matrix = two_roles(20);
    const auto merges = cluster(matrix, 3).merges;
    REQUIRE(merges.size() == 39);
    std::set<std::size_t> used;
    double last = 0;
    for (std::size_t i = 0; i < merges.size(); ++i) {
        CHECK(merges[i].height >= last);
        last = merges[i].height;
        CHECK(merges[i].left < 40 + i);
        CHECK(merges[i].right < 40 + i);
        CHECK(used.insert(merges[i].left).second);
        CHECK(used.insert(merges[i].right).second);
    }
    CHECK_THROWS_AS(cluster(matrix, 41), Error);
}

TEST_CASE("the VM that few questions single out is the first outlier, with what tells it apart")
{
    std::vector<std::vector<std::string>> rows;
    std::mt19937 random(3);
    for (int i = 0; i < 60; ++i) {
        rows.push_back({"a", "b", "c", std::to_string(random() % 4), std::to_string(random() % 4)});
    }
    rows[17] = {"x", "y", "", "0", "1"};
    const Matrix matrix = table({"p", "q", "r", "n1", "n2"}, rows);
    const auto outliers = find_outliers(matrix);
    REQUIRE(outliers.size() == 60);
    CHECK(outliers[0].vm == 17);
    CHECK(outliers[0].score > outliers[1].score + 0.1);
    REQUIRE_FALSE(outliers[0].reasons.empty());
    CHECK(outliers[0].reasons[0].alike == 0);
    CHECK(outliers[0].reasons[0].feature.size() == 1); // p, q or r; not the noise
    const auto again = find_outliers(matrix);
    CHECK(again[5].vm == outliers[5].vm);
    CHECK_THROWS_AS(find_outliers(table({"p"}, {{"1"}, {"2"}})), Error);
}

TEST_CASE("a forest learns what makes VMs sick and says so")
{
    // Sick: TLS off and debug on, which no column says alone.
    std::mt19937 random(11);
    std::vector<std::vector<std::string>> rows;
    std::vector<Labelled> known;
    for (std::size_t i = 0; i < 120; ++i) {
        const bool tls = random() % 2 == 0;
        const bool debug = random() % 2 == 0;
        rows.push_back({tls ? "on" : "off",
                        debug ? "yes" : "",
                        std::to_string(random() % 5),
                        std::to_string(random() % 5)});
        known.push_back({i, !tls && debug ? 1U : 0U});
    }
    const Matrix matrix = table({"/app:tls", "/app:debug", "/app:x", "/app:y"}, rows);
    const std::vector<std::string> labels = {"healthy", "sick"};
    const Validation validation = cross_validate(matrix, known, labels, 5);
    CHECK(validation.folds == 5);
    CHECK(validation.accuracy > 0.97);
    CHECK(validation.accuracy > validation.baseline + 0.1);
    std::size_t all = 0;
    for (const auto& row : validation.confusion) {
        for (const std::size_t count : row) {
            all += count;
        }
    }
    CHECK(all == known.size());

    const ForestModel model = train_forest(matrix, known, labels);
    const auto verdicts = classify(
        model, table({"/app:tls", "/app:debug"}, {{"off", "yes"}, {"on", "yes"}, {"off", ""}}));
    CHECK(verdicts[0].label == 1);
    CHECK(verdicts[1].label == 0);
    CHECK(verdicts[2].label == 0);
    for (const Verdict& verdict : verdicts) {
        double sum = verdict.base;
        for (const auto& part : verdict.parts) {
            sum += part.weight;
        }
        CHECK(sum == Approx(verdict.probability[verdict.label]));
    }
    const auto& first = verdicts[0].parts.front().feature;
    CHECK((first == "/app:tls" || first == "/app:debug"));
}

TEST_CASE("labels that mean nothing are validated as such")
{
    std::mt19937 random(2);
    std::vector<std::vector<std::string>> rows;
    std::vector<Labelled> known;
    for (std::size_t i = 0; i < 200; ++i) {
        rows.push_back({std::to_string(random() % 3), std::to_string(random() % 3)});
        known.push_back({i, random() % 2});
    }
    const Matrix matrix = table({"a", "b"}, rows);
    const Validation validation = cross_validate(matrix, known, {"no", "yes"}, 5);
    CHECK(validation.accuracy < 0.65);
    CHECK_THROWS_AS(train_forest(matrix, {{0, 0}, {1, 0}, {2, 1}}, {"no", "yes"}), Error);
}

TEST_CASE("a model's file gives the same model; a damaged one is refused")
{
    const Matrix matrix = two_roles(10);
    std::vector<Labelled> known;
    for (std::size_t i = 0; i < matrix.vms.size(); ++i) {
        known.push_back({i, i % 2});
    }
    ModelFile file;
    file.model = train_forest(matrix, known, {"db", "web"}, {.trees = 20});
    file.provenance.schema = schema_digest(matrix);
    const Json json = to_json(file);
    const ModelFile again = model_from_json(json);
    CHECK(to_json(again)["trees"] == json["trees"]);
    const auto before = classify(file.model, matrix);
    const auto after = classify(again.model, matrix);
    for (std::size_t i = 0; i < before.size(); ++i) {
        CHECK(before[i].probability == after[i].probability);
    }
    Json loop = json;
    loop["trees"][0][0][2] = 0; // a root that is its own child
    CHECK_THROWS_AS(model_from_json(loop), Error);
    Json feature = json;
    feature["trees"][0][0][0] = 1'000'000;
    CHECK_THROWS_AS(model_from_json(feature), Error);
    Json newer = json;
    newer["schema"] = "stemma.model/2";
    CHECK_THROWS_AS(model_from_json(newer), Error);
}

TEST_CASE("a user's rules hit what they describe, with their evidence")
{
    const Matrix matrix = table({"/etc/app.conf:tls", "/etc/app.conf:memory", "/etc/app.conf:mode"},
                                {{"no", "64M", "fast"}, {"yes", "64M", "fast"}, {"no", "2G", ""}});
    const auto rules = parse_rules(R"(
version: 1
rules:
  - name: weak
    label: sick
    because: plain text
    all:
      - {feature: "/etc/app.conf:tls", is: "no"}
    none:
      - {feature: "/etc/app.conf:memory", above: 1G}
  - name: modeless
    label: odd
    all:
      - {feature: "/etc/*:mode", exists: false}
)",
                                   "rules.yaml");
    const auto hits = apply_rules(rules, matrix);
    REQUIRE(hits.size() == 2);
    CHECK(hits[0].vm == 0);
    CHECK(rules[hits[0].rule].name == "weak");
    REQUIRE(hits[0].evidence.size() == 1);
    CHECK(hits[0].evidence[0].value == "no");
    CHECK(hits[1].vm == 2);
    CHECK_FALSE(hits[1].evidence[0].value.has_value());
}

TEST_CASE("wrong rules are refused with line and column")
{
    const auto message = [](const std::string& text) {
        try {
            parse_rules(text, "rules.yaml");
        } catch (const Error& error) {
            return error.one_line();
        }
        return std::string("accepted");
    };
    CHECK_THAT(message("version: 1\nrules:\n  - name: a\n    label: b\n"),
               Catch::Contains("rules.yaml:3:5"));
    CHECK_THAT(message("version: 1\nrules:\n  - name: a\n    label: b\n    all:\n      - {feature: "
                       "x, abov: 1}\n"),
               Catch::Contains("rules.yaml:6:") && Catch::Contains("abov"));
    CHECK_THAT(
        message("version: 1\nrules:\n  - name: a\n    label: b\n    all:\n      - {feature: x, "
                "above: many}\n"),
        Catch::Contains("many"));
}
