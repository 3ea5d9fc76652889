#include "stemma/analyzer/report.hpp"
#include "stemma/analyzer/settings.hpp"

#include <catch2/catch.hpp>

#include <string>

namespace {

using namespace stemma::analyzer;

FeatureSet system_with(const std::string& text)
{
    FeatureSet set;
    set.features = settings_features("/etc/my.cnf", text);
    set.arrange();
    return set;
}

std::string page_for(const std::string& odd, const std::string& name)
{
    Pool pool;
    for (int i = 0; i < 5; ++i) {
        pool.add(pool.read("vm" + std::to_string(i), system_with("[a]\nmotd = plain\n")));
    }
    const Sample target = pool.read(name, system_with("[a]\nmotd = " + odd + "\n"), true);
    const PeerModel model(pool);
    const RankOptions options;
    const Ranking ranking = model.rank(target, options);
    const std::vector<Mark> past = {
        {Mark::Kind::snapshot, stemma::parse_time("2026-01-02T03:04:05Z"), "snapshot <1>"},
        {Mark::Kind::event, stemma::parse_time("2026-01-03T03:04:05Z"), "vm.changed \"x\""}};
    return ranking_html({name, "five", ranking, target, pool, model, options, past});
}

} // namespace

TEST_CASE("the page needs nothing from elsewhere and shows finding, strip and map")
{
    const std::string page = page_for("other", "odd");
    CHECK(page.find("a/motd") != std::string::npos);
    CHECK(page.find("class=\"strip\"") != std::string::npos);
    CHECK(page.find("class=\"map\"") != std::string::npos);
    CHECK(page.find("class=\"time\"") != std::string::npos);
    CHECK(page.find("snapshot &lt;1&gt;") != std::string::npos);
    CHECK(page.find("http://") == std::string::npos);
    CHECK(page.find("https://") == std::string::npos);
    CHECK(page.find("<script") == std::string::npos);
    CHECK(page.ends_with("</html>\n"));
}

TEST_CASE("what a VM says cannot become part of the page")
{
    const std::string page = page_for("<img src=x onerror=alert(1)> \" ' &", "<b>vm</b>");
    CHECK(page.find("<img") == std::string::npos);
    CHECK(page.find("<b>vm") == std::string::npos);
    CHECK(page.find("&lt;img src=x") != std::string::npos);
}

TEST_CASE("a terminal is not given control characters of a VM")
{
    Ranking ranking;
    Finding finding;
    finding.file = "/etc/a\x1b[2J";
    finding.setting = "k";
    finding.value = std::string("x\x1b]0;title\x07");
    finding.reason = "r";
    ranking.findings.push_back(finding);
    const std::string text = ranking_text("t\x1b[0m", "p", ranking, {});
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find('\x07') == std::string::npos);
}
