#include "stemma/core/error.hpp"
#include "stemma/support/errors.hpp"
#include "stemma/support/volumes.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <random>

#include "disk_server.hpp"

using namespace stemma; // NOLINT(google-build-using-namespace): a test

namespace {

/// A disk of 1 MiB: all of it is the export "whole", two pieces in turned order are "parts".
struct Fixture {
    TemporaryFolder folder{"disk-server"};
    std::filesystem::path socket = folder.path() / "socket";
    std::string content = support::pattern(1 << 20);
    guestfs::DiskServer server{
        std::make_unique<volume::MemoryVolume>(content),
        {{.name = "whole", .pieces = {}},
         {.name = "parts",
          .pieces = {{.offset = 512 * 1024, .length = 4096}, {.offset = 0, .length = 8192}}}},
        socket};

    [[nodiscard]] std::string uri(const std::string& name) const
    {
        return "nbd+unix:///" + name + "?socket=" + socket.string();
    }

    /// What qemu's own client reads.
    std::string copy(const std::string& name)
    {
        const auto file = folder.path() / "copy";
        support::tool_checked(
            {"qemu-img", "convert", "-f", "raw", "-O", "raw", uri(name), file.string()});
        return read_file(file);
    }

    /// Says something to the server and gives all that it answers until it hangs up, or until it
    /// has been silent for a moment.
    [[nodiscard]] std::string talk(const std::string& words) const
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(socket.native().begin(), socket.native().end(), std::begin(address.sun_path));
        const Fd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        REQUIRE(::connect(client.get(),
                          reinterpret_cast<const sockaddr*>(&address),
                          sizeof address) == 0);
        (void)::send(client.get(), words.data(), words.size(), MSG_NOSIGNAL);
        ::shutdown(client.get(), SHUT_WR);
        std::string answer(1 << 16, '\0');
        std::size_t length = 0;
        ssize_t got = 0;
        while (length < answer.size() &&
               (got = ::recv(client.get(), answer.data() + length, answer.size() - length, 0)) >
                   0) {
            length += static_cast<std::size_t>(got);
        }
        answer.resize(length);
        return answer;
    }
};

} // namespace

TEST_CASE("qemu reads what the volume holds, the parts in their order")
{
    Fixture fixture;
    CHECK(fixture.copy("whole") == fixture.content);
    CHECK(fixture.copy("parts") ==
          fixture.content.substr(512 * 1024, 4096) + fixture.content.substr(0, 8192));
    CHECK_FALSE(
        support::tool({"qemu-img", "info", "-f", "raw", fixture.uri("none")}).exit.success());
}

TEST_CASE("two clients read at once")
{
    Fixture fixture;
    const std::string quiet = fixture.talk(""); // connects, and says nothing
    CHECK(quiet.substr(0, 16) == "NBDMAGICIHAVEOPT");
    CHECK(fixture.copy("whole") == fixture.content);
}

TEST_CASE("nobody can write")
{
    Fixture fixture;
    const auto result =
        support::tool({"qemu-io", "-f", "raw", "-c", "write -P 0xff 0 4096", fixture.uri("whole")});
    CHECK((!result.exit.success() || result.out.find("wrote") == std::string::npos));
    CHECK(fixture.copy("whole") == fixture.content);
}

TEST_CASE("a client that says anything at all does not end the server")
{
    Fixture fixture;
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same words each time
    const std::string flags("\0\0\0\3", 4);
    for (int i = 0; i < 200; ++i) {
        std::string words = i % 2 == 0 ? flags + "IHAVEOPT" : flags;
        for (int k = 0; k < i; ++k) {
            words += static_cast<char>(random());
        }
        (void)fixture.talk(words);
    }
    // A read beyond the end, after the old way of naming an export.
    const std::string request =
        flags + "IHAVEOPT" + std::string("\0\0\0\1\0\0\0\5", 8) + "whole" +
        std::string("\x25\x60\x95\x13\0\0\0\0HHHHHHHH\0\0\0\0\0\x0f\xff\xff\0\0\x10\0", 28);
    const auto answer = fixture.talk(request);
    REQUIRE(answer.size() == 18 + 10 + 16); // greeting, size and flags, a refusal without content
    CHECK(answer.substr(answer.size() - 16, 8) == std::string("\x67\x44\x66\x98\0\0\0\x16", 8));
    CHECK(fixture.copy("whole") == fixture.content);
}

TEST_CASE("a socket path that is too long is named")
{
    const TemporaryFolder folder("disk-server");
    const auto error = support::error_of([&] {
        const guestfs::DiskServer server(
            std::make_unique<volume::MemoryVolume>("x"), {}, folder.path() / std::string(120, 's'));
    });
    REQUIRE(error.has_value());
    CHECK(error->code() == ErrorCode::usage);
    CHECK(error->hint().find("TMPDIR") != std::string::npos);
}
