// Both ends of the channel at once: the host's client and the helper's code, over a socket.

#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/virt/guest_client.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <thread>

#include "session.hpp"

using namespace stemma;
using namespace std::chrono_literals;
using support::error_of;
using virt::GuestClient;

namespace {

struct Ends {
    Fd host;
    Fd guest;
};

Ends make_ends()
{
    std::array<int, 2> fds{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
    return {Fd(fds[0]), Fd(fds[1])};
}

/// A helper that serves one socket until the host's end is closed.
class Helper {
public:
    Helper()
    {
        auto ends = make_ends();
        host_ = std::move(ends.host);
        thread_ = std::thread([fd = ends.guest.release()] {
            guest::Port port(Fd(fd), true);
            guest::serve(port);
        });
    }
    ~Helper() { thread_.join(); }
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;
    Fd take() { return std::move(host_); }

private:
    Fd host_;
    std::thread thread_;
};

GuestClient greet(Helper& helper, std::uint64_t epoch = 77)
{
    GuestClient client(virt::channel_over(helper.take()), epoch, nullptr);
    CHECK(client.hello(5s).at("protocol") == 1);
    return client;
}

Json sha256_request(const std::string& path)
{
    return {{"op", "sha256"}, {"path", path}};
}

} // namespace

TEST_CASE("the helper's digest of a file is ours")
{
    Helper helper;
    auto client = greet(helper);
    const auto answer = client.request({.body = sha256_request("/bin/sh"), .patience = 10s});
    CHECK(answer.at("sha256") == sha256_file("/bin/sh").hex());
}

TEST_CASE("content far beyond the window goes both ways and arrives as it was")
{
    const TemporaryFolder folder("guest");
    const auto path = (folder.path() / "file").string();
    std::string content;
    for (int i = 0; i < 300000; ++i) {
        content += std::to_string(i);
    }
    Helper helper;
    auto client = greet(helper);
    std::size_t at = 0;
    const auto written = client.request({.body = {{"op", "write"}, {"path", path}, {"mode", 0600}},
                                         .patience = 30s,
                                         .content = [&] {
                                             auto piece = content.substr(at, 50000);
                                             at += piece.size();
                                             return piece;
                                         }});
    CHECK(written.at("sha256") == sha256(content).hex());
    CHECK(read_file(path) == content);
    std::string back;
    const auto read =
        client.request({.body = {{"op", "read"}, {"path", path}},
                        .patience = 30s,
                        .content = nullptr,
                        .sink = [&](char, std::string_view bytes) { back += bytes; }});
    CHECK(back == content);
    CHECK(read.at("mode") == 0600);
}

TEST_CASE("a file that is sent half is not there")
{
    const TemporaryFolder folder("guest");
    const auto path = (folder.path() / "file").string();
    Helper helper;
    {
        auto client = greet(helper);
        int pieces = 0;
        const auto error = error_of([&] {
            (void)client.request({.body = {{"op", "write"}, {"path", path}, {"mode", 0600}},
                                  .patience = 5s,
                                  .content = [&]() -> std::string {
                                      if (++pieces == 3) {
                                          throw Error(ErrorCode::io, "the source broke");
                                      }
                                      return "some";
                                  }});
        });
        REQUIRE(error);
        CHECK_FALSE(std::filesystem::exists(path));
    }
}

TEST_CASE("a program's outputs, exit and signal come back")
{
    Helper helper;
    auto client = greet(helper);
    std::string out;
    std::string err;
    const auto run = [&](std::vector<std::string> argv, int timeout_ms) {
        return client.request(
            {.body = {{"op", "exec"}, {"argv", std::move(argv)}, {"timeout_ms", timeout_ms}},
             .patience = 20s,
             .content = nullptr,
             .sink = [&](char stream, std::string_view bytes) {
                 (stream == guest::stream_err ? err : out) += bytes;
             }});
    };
    CHECK(run({"sh", "-c", "echo out; echo err >&2; exit 5"}, 0).at("exit") == 5);
    CHECK(out == "out\n");
    CHECK(err == "err\n");
    CHECK(run({"sh", "-c", "kill -9 $$"}, 0).at("signal") == 9);
    const auto late = run({"sleep", "20"}, 100);
    CHECK(late.at("timed_out") == true);
    out.clear();
    CHECK(run({"sh", "-c", "head -c 1000000 /dev/zero"}, 0).at("exit") == 0);
    CHECK(out.size() == 1000000);
}

TEST_CASE("what the helper cannot do is an error with its code, and the talk goes on")
{
    Helper helper;
    auto client = greet(helper);
    const auto ask = [&](const Json& body) {
        return error_of([&] { (void)client.request({.body = body, .patience = 5s}); });
    };
    CHECK(ask(sha256_request("/nowhere"))->code() == ErrorCode::not_found);
    CHECK(ask(sha256_request("etc/passwd"))->code() == ErrorCode::usage);
    CHECK(ask(sha256_request("/dev/zero"))->code() == ErrorCode::usage);
    CHECK(ask({{"op", "fly"}})->code() == ErrorCode::unsupported);
    CHECK(ask(Json::object())->code() == ErrorCode::corrupt);
    CHECK(ask({{"op", "exec"}, {"argv", Json::array()}, {"timeout_ms", 0}})->code() ==
          ErrorCode::usage);
    CHECK(client.request({.body = {{"op", "ping"}}, .patience = 5s}) == Json::object());
}

TEST_CASE("requests of an earlier epoch are refused")
{
    // What a guest whose memory was rolled back looks like: it knows an epoch that is over.
    Helper helper;
    const auto host = helper.take();
    const auto copy = [&] { return virt::channel_over(Fd(::dup(host.get()))); };
    GuestClient old_client(copy(), 1, nullptr);
    (void)old_client.hello(5s);
    {
        GuestClient new_client(copy(), 2, nullptr);
        (void)new_client.hello(5s);
    }
    const auto error = error_of([&] {
        (void)old_client.request({.body = {{"op", "ping"}}, .patience = 5s});
    });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
}

TEST_CASE("a helper that never answers costs the caller's patience and no more")
{
    auto ends = make_ends();
    GuestClient client(virt::channel_over(std::move(ends.host)), 1, nullptr);
    const auto error = error_of([&] { (void)client.hello(300ms); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::remote);
}

TEST_CASE("a helper that was started anew is no reason to wait for what it does not know of")
{
    auto ends = make_ends();
    std::thread guest([fd = ends.guest.release()] {
        guest::Port port(Fd(fd), true);
        const auto hello = port.receive(30s);
        port.send(guest::json_frame(
            guest::FrameType::welcome, hello.value().epoch, 0, {{"protocol", 1}}));
        (void)port.receive(30s); // the request, when the guest reboots
        guest::serve(port);
    });
    {
        GuestClient client(virt::channel_over(std::move(ends.host)), 5, nullptr);
        (void)client.hello(30s);
        const auto error = error_of([&] {
            (void)client.request({.body = {{"op", "exec"}}, .patience = 1h, .silence = 50ms});
        });
        REQUIRE(error);
        CHECK(error->code() == ErrorCode::remote);
        CHECK(error->message().find("did the guest reboot?") != std::string::npos);
    }
    guest.join();
}

TEST_CASE("a helper that works long is asked whether it still does, and is believed")
{
    Helper helper;
    auto client = greet(helper);
    const auto answer = client.request(
        {.body = {{"op", "exec"}, {"argv", {"/bin/sleep", "0.4"}}, {"timeout_ms", 0}},
         .patience = 30s,
         .silence = 50ms});
    CHECK(answer.at("exit") == 0);
    // What the helper says of the questions afterwards is of no later request.
    CHECK(client.request({.body = sha256_request("/bin/sh"), .patience = 10s}).contains("sha256"));
}

TEST_CASE("a guest that sends nonsense is refused or ignored, never believed")
{
    const auto hello =
        guest::encode(guest::json_frame(guest::FrameType::welcome, 5, 0, {{"protocol", 1}}));
    const std::vector<std::string> answers = {
        "",
        "garbage",
        std::string(200000, 'S'),
        guest::encode({.type = guest::FrameType::end, .epoch = 5, .request = 1, .payload = ""}),
        guest::encode({.type = guest::FrameType::end, .epoch = 5, .request = 1, .payload = "[]"}),
        guest::encode(
            {.type = guest::FrameType::end, .epoch = 5, .request = 1, .payload = "{\"error\":1}"}),
        guest::encode({.type = guest::FrameType::end, .epoch = 4, .request = 1, .payload = "{}"}),
        guest::encode({.type = guest::FrameType::end, .epoch = 5, .request = 2, .payload = "{}"}),
        guest::encode({.type = guest::FrameType::data, .epoch = 5, .request = 1, .payload = ""}),
        guest::encode({.type = guest::FrameType::credit,
                       .epoch = 5,
                       .request = 1,
                       .payload = "\xff\xff\xff\xff"}),
    };
    for (const auto& answer : answers) {
        auto ends = make_ends();
        write_all(ends.guest.get(), hello, "guest");
        GuestClient client(virt::channel_over(std::move(ends.host)), 5, nullptr);
        (void)client.hello(5s);
        std::thread guest([&] { write_all(ends.guest.get(), answer, "guest"); });
        const auto error = error_of([&] {
            (void)client.request({.body = {{"op", "ping"}}, .patience = 300ms});
        });
        guest.join();
        INFO(answer.substr(0, 80));
        CHECK(error);
    }
}

TEST_CASE("^C ends a wait for a guest")
{
    auto ends = make_ends();
    Cancel cancel;
    cancel.request();
    GuestClient client(virt::channel_over(std::move(ends.host)), 1, &cancel);
    const auto error = error_of([&] { (void)client.hello(60s); });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::interrupted);
}
