#include "stemma/core/error.hpp"
#include "stemma/postgres/address.hpp"

#include <catch2/catch.hpp>

#include <array>

using stemma::postgres::shown;
using stemma::postgres::target;

TEST_CASE("a password is not shown, also where the address is written wrongly")
{
    for (const auto* const url : {"postgresql://u:geheim@h/db",
                                  "postgres://u:geheim@h:5432/db?sslmode=require",
                                  "postgresql://u:a@geheim@h/db",
                                  "postgresql://u:a/geheim@h/db",
                                  "postgresql://u:a?geheim@h/db",
                                  "postgresql://u:%67eheim@h/db",
                                  "postgresql://h/db?password=geheim",
                                  "postgresql://h/db?user=u&pass%77ord=geheim",
                                  "postgresql://h/db?sslpassword=geheim&sslkey=k"}) {
        INFO(url);
        CHECK(shown(url).find("eheim") == std::string::npos);
        CHECK(shown(url).find("***") != std::string::npos);
    }
}

TEST_CASE("an address without a password is shown as it is")
{
    for (const auto* const url :
         {"postgresql://h/db",
          "postgresql://u@h:5432,h2:5433/db?target_session_attrs=read-write",
          "postgresql://[::1]:5432/db",
          "postgresql:///db?host=/run/postgresql",
          "postgresql://h/db?application_name=a@b",
          "lineage.db"}) {
        CHECK(shown(url) == url);
    }
}

TEST_CASE("what names a database is where it is, not who asks")
{
    const auto usual = target("postgresql://a:x@db.example/lineage?sslmode=require");
    CHECK(usual == target("postgres://b@db.example:5432/lineage"));
    CHECK(usual == target("postgresql:///lineage?host=db.example&password=y"));
    CHECK(usual != target("postgresql://db.example:5433/lineage"));
    CHECK(usual != target("postgresql://db.example/other"));
    CHECK(usual.find('x' + std::string("@")) == std::string::npos);
}

TEST_CASE("an address that libpq cannot read is refused without its password")
{
    for (const auto* const url : {"postgresql://u:geheim%zz@h/db",
                                  "postgresql://u:geheim@[h/db",
                                  "postgresql://u:a@geheim@h/db",
                                  "postgresql://u:a/geheim@h/db"}) {
        try {
            target(url);
            FAIL("not refused: " << url);
        } catch (const stemma::Error& error) {
            CHECK(error.code() == stemma::ErrorCode::usage);
            CHECK(error.one_line().find("geheim") == std::string::npos);
        }
    }
}
