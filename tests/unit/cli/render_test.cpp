#include "stemma/cli/render.hpp"

#include <catch2/catch.hpp>

#include <limits>

using namespace stemma;
using namespace stemma::cli;

namespace {

const std::vector<Column> columns = {
    {"NAME", "name"},
    {"SIZE", "size", Column::Align::right},
    {"DIGEST", "digest", Column::Align::left, Column::Style::digest}};

} // namespace

TEST_CASE("a table aligns wide letters and shows null as a dash")
{
    const Json items = {{{"name", "語"}, {"size", 5}, {"digest", "0123456789abcdef"}},
                        {{"name", "long"}, {"size", 1000}, {"digest", nullptr}}};
    CHECK(format_table(items, columns, false, 80) == "NAME  SIZE  DIGEST\n"
                                                     "語       5  0123456789ab\n"
                                                     "long  1000  -\n");
}

TEST_CASE("a hostile value cannot move the cursor")
{
    const Json items = {{{"name", "a\x1b[2Jb\n"}, {"size", 1}, {"digest", ""}}};
    const auto text = format_table(items, columns, false, 80);
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("a\\x1b[2Jb\\n") != std::string::npos);
}

TEST_CASE("a table is cut to the terminal, with a mark where something is missing")
{
    const Json items = {{{"name", std::string(100, 'x')}, {"size", 1}, {"digest", ""}}};
    const auto text = format_table(items, columns, false, 40);
    CHECK(text.find("…") != std::string::npos);
    CHECK(text.find(std::string(40, 'x')) == std::string::npos);
}

TEST_CASE("where nothing is cut, one long value does not push what follows it off the other lines")
{
    const std::string value(2000, 'x');
    const Json items = {{{"name", value}, {"size", 1}, {"digest", "ab"}},
                        {{"name", "short"}, {"size", 2}, {"digest", "cd"}}};
    const auto text = format_table(items, columns, false, std::numeric_limits<std::size_t>::max());
    CHECK(text.find(value + "     1  ab\n") != std::string::npos);
    const auto line = text.substr(text.find("short"));
    CHECK(line == "short" + std::string(120 - 5, ' ') + "     2  cd\n");
}
