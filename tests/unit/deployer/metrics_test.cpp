#include "stemma/deployer/metrics.hpp"

#include <catch2/catch.hpp>

#include "worlds.hpp"

using namespace stemma;
using namespace stemma::deployer;

TEST_CASE("what a watch saw is Prometheus' text, with hostile names escaped")
{
    WatchFigures figures;
    figures.hosts = {host_named("h1"), host_named("h2")};
    figures.hosts[1].reachable = false;
    figures.vms["u"] = {
        .name = "a\"b\\c\nd", .host = "h1", .image = {}, .release = "web", .state = "running"};
    figures.drift = {{.host = "h1", .vm = "x", .kind = "snapshot", .expected = {}, .actual = "1"},
                     {.host = "h1", .vm = "x", .kind = "snapshot", .expected = {}, .actual = "2"}};
    figures.looks = 3;
    const auto text = prometheus_text(figures);
    INFO(text);
    CHECK(text.find("\nstemma_host_up{host=\"h1\"} 1\nstemma_host_up{host=\"h2\"} 0\n") !=
          std::string::npos);
    CHECK(text.find("vm=\"a\\\"b\\\\c\\nd\"") != std::string::npos);
    CHECK(text.find("\nstemma_vms{host=\"h1\",state=\"running\"} 1\n") != std::string::npos);
    const std::string series = "stemma_drift{host=\"h1\",vm=\"x\",kind=\"snapshot\"} 1\n";
    const auto first = text.find(series);
    REQUIRE(first != std::string::npos);
    CHECK(text.find(series, first + 1) == std::string::npos); // one sample per series
    CHECK(text.find("\nstemma_looks_total 3\n") != std::string::npos);
    CHECK(text.back() == '\n');
}
