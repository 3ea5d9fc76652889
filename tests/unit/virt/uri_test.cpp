#include "stemma/support/errors.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/uri.hpp"

#include <catch2/catch.hpp>

using namespace stemma;
using namespace stemma::virt;

namespace {

ErrorCode refusal(const std::string& uri, bool insecure = false)
{
    const auto error = support::error_of([&] { require_safe_uri(uri, insecure); });
    REQUIRE(error);
    CHECK_FALSE(error->hint().empty());
    return error->code();
}

} // namespace

TEST_CASE("a URI is taken apart as libvirt does it")
{
    const auto parts = split_uri("qemu+ssh://me@[fe80::1]:2222/system?keyfile=/k&x=1");
    CHECK(parts.driver == "qemu");
    CHECK(parts.transport == "ssh");
    CHECK(parts.user == "me");
    CHECK(parts.host == "fe80::1");
    CHECK(parts.path == "/system");
    CHECK(parts.parameters == "keyfile=/k&x=1");
    CHECK(split_uri("qemu+tls://host:16514/system").host == "host");
    CHECK(split_uri("qemu:///system?a=b/c").path == "/system");
    CHECK(split_uri("nonsense").driver.empty());
    CHECK(split_uri("").driver.empty());
}

TEST_CASE("what would trust anybody, or keep a secret, is refused with a way out")
{
    for (const std::string uri : {"qemu:///system",
                                  "qemu+unix:///system?socket=/s",
                                  "qemu+ssh://root@rack/system?keyfile=/k",
                                  "qemu+tls://rack/system?pkipath=/p",
                                  "qemu://rack/system",
                                  "qemu+tcp://127.0.0.1/system",
                                  "qemu+tcp://localhost:16509/system",
                                  "qemu+tcp://[::1]/system",
                                  "qemu+ssh://rack/system?known_hosts_verify=normal",
                                  "test:///default"}) {
        INFO(uri);
        CHECK_NOTHROW(require_safe_uri(uri, false));
    }
    for (const std::string uri : {"qemu+tcp://10.0.0.1/system",
                                  "qemu+tcp://127.0.0.1.example.org/system",
                                  "qemu+ssh://rack/system?no_verify=1",
                                  "qemu+tls://rack/system?pkipath=/p&no_verify=1",
                                  "qemu+libssh2://rack/system?known_hosts_verify=auto",
                                  "qemu+libssh://rack/system?known_hosts_verify=ignore"}) {
        INFO(uri);
        CHECK(refusal(uri) == ErrorCode::usage);
        CHECK_NOTHROW(require_safe_uri(uri, true));
    }
    // These no word makes right.
    CHECK(refusal("qemu+ssh://me:secret@rack/system", true) == ErrorCode::usage);
    CHECK(refusal("qemu+ext://rack/system?command=/bin/x", true) == ErrorCode::usage);
}

TEST_CASE("SSH never asks")
{
    CHECK(without_questions("qemu+ssh://h/system") == "qemu+ssh://h/system?no_tty=1");
    CHECK(without_questions("qemu+ssh://h/system?keyfile=/k") ==
          "qemu+ssh://h/system?keyfile=/k&no_tty=1");
    CHECK(without_questions("qemu+ssh://h/system?no_tty=1") == "qemu+ssh://h/system?no_tty=1");
    CHECK(without_questions("qemu+tls://h/system") == "qemu+tls://h/system");
}

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
