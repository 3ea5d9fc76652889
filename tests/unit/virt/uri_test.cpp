#include "stemma/support/errors.hpp"
#include "stemma/virt/connection.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::virt;

TEST_CASE("a password never leaves a URI")
{
    CHECK(safe_uri("qemu+ssh://me:secret@host/system") == "qemu+ssh://me@host/system");
    CHECK(safe_uri("qemu+ssh://me@host/system") == "qemu+ssh://me@host/system");
    CHECK(safe_uri("qemu:///system") == "qemu:///system");
    CHECK(safe_uri("qemu+ssh://me:a@b@host/system?x=1") == "qemu+ssh://me@host/system?x=1");
    CHECK(safe_uri("nonsense") == "nonsense");
}

TEST_CASE("local is what needs no network")
{
    CHECK(is_local("qemu:///system"));
    CHECK(is_local("qemu+unix:///system?socket=/x"));
    CHECK(is_local("test:///default"));
    CHECK_FALSE(is_local("qemu+ssh://host/system"));
    CHECK_FALSE(is_local("qemu+tls://10.0.0.1/system"));
    CHECK_FALSE(is_local(""));
}

TEST_CASE("a daemon that is not there is named, with the way out and without the password")
{
    const auto error = support::error_of(
        [] { (void)Connection::open("qemu+unix:///system?socket=/nonexistent/socket"); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::remote);
    CHECK(error->message().find("/nonexistent/socket") != std::string::npos);
    CHECK(error->hint().find("libvirtd") != std::string::npos);
    CHECK(support::error_of([] { (void)Connection::open("nosuch:///x"); }));
}
