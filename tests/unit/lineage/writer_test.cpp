#include "stemma/core/cancel.hpp"
#include "stemma/lineage/ledger.hpp"
#include "stemma/lineage/writer.hpp"
#include "stemma/support/errors.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>

#include "facts.hpp"
#include "write/message.hpp"
#include "write/socket.hpp"

using namespace stemma;
using namespace stemma::lineage;
using namespace stemma::lineage::test;
using stemma::support::error_of;

namespace {

/// A writer that works while the object lives.
class Working {
public:
    explicit Working(Place& place)
        : writer_(place.path, place.clock, place.log),
          thread_([this] { counts_ = writer_.run(end_); })
    {
    }
    ~Working() { end(); }
    Writer::Counts end()
    {
        end_.request();
        if (thread_.joinable()) {
            thread_.join();
        }
        return counts_;
    }

private:
    Cancel end_;
    Writer writer_;
    Writer::Counts counts_;
    std::thread thread_;
};

/// Runs `work` in a process of its own.
template <typename Work>
pid_t in_child(Work work)
{
    const pid_t child = ::fork();
    if (child == 0) {
        int code = 1;
        try {
            work();
            code = 0;
        } catch (...) { // NOLINT(bugprone-empty-catch): the code tells
        }
        ::_exit(code);
    }
    return child;
}

/// True when the child ended well.
bool ended_well(pid_t child)
{
    int status = 0;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

} // namespace

TEST_CASE("what many processes record at once is committed in groups, each answered with its own")
{
    Place place;
    place.open();
    constexpr std::uint64_t processes = 8;
    constexpr std::uint64_t events = 20;
    std::vector<pid_t> children;
    Pipe go = make_pipe();
    for (std::uint64_t i = 0; i < processes; ++i) {
        children.push_back(in_child([&, i] {
            char ignored = 0;
            go.write_end.reset();
            (void)::read(go.read_end.get(), &ignored, 1); // until the writer works
            auto store = place.open();
            for (std::uint64_t n = 1; n <= events; ++n) {
                const auto said_so = store->record(image(1, "a", fmt::format("{}-{}", i, n)));
                if (said_so.fresh != 1 || said_so.last_seq == 0) {
                    throw std::runtime_error("another's answer");
                }
            }
        }));
    }
    Working writer(place);
    go.write_end.reset();
    for (const auto child : children) {
        CHECK(ended_well(child));
    }
    const auto counts = writer.end();
    CHECK(counts.requests == processes * events);
    CHECK(counts.events == processes * events);
    CHECK(counts.groups <= counts.requests);
    auto store = place.open();
    CHECK(store->last_seq() == processes * events);
    CHECK(store->images().size() == processes * events);
    CHECK(verify(*store, thorough).findings.empty());
}

TEST_CASE("one request that is refused leaves the others of its group recorded")
{
    Place place;
    auto store = place.open();
    store->append(std::vector{said("o", 1, image(1, "a", "a"))});
    Working writer(place);
    const auto error = error_of([&] {
        store->append(
            std::vector{said("p", 1, image(1, "c", "c")), said("o", 1, image(2, "b", "b"))});
    });
    REQUIRE(error);
    CHECK(error->code() == ErrorCode::conflict);
    CHECK(error->message().find("two different things") != std::string::npos);
    CHECK(!error->hint().empty());
    CHECK(!store->find_image("c"));
    const auto bad = error_of([&] { store->record({at(1), "vm.deployed", Json::object()}); });
    REQUIRE(bad);
    CHECK(bad->code() == ErrorCode::corrupt);
    CHECK(store->record(image(3, "d", "d")).fresh == 1);
    CHECK(store->append(std::vector{said("o", 1, image(1, "a", "a"))}).duplicates == 1);
    writer.end();
    CHECK(store->last_seq() == 3); // the first, the report of the contradiction, the last
    CHECK(verify(*store, thorough).findings.empty());
}

TEST_CASE("a store has one writer, and the socket of a killed one is no obstacle")
{
    Place place;
    place.open();
    {
        Working writer(place);
        const auto second = error_of([&] { Writer(place.path, place.clock, place.log); });
        REQUIRE(second);
        CHECK(second->code() == ErrorCode::conflict);
        struct stat status {};
        REQUIRE(::stat(writer_place(place.path).c_str(), &status) == 0);
        CHECK((status.st_mode & 0077U & ~0066U) == 0);
    }
    CHECK(!std::filesystem::exists(writer_place(place.path)));
    const auto child = in_child([&] {
        Writer writer(place.path, place.clock, place.log);
        ::kill(::getpid(), SIGKILL);
    });
    ::waitpid(child, nullptr, 0);
    REQUIRE(std::filesystem::exists(writer_place(place.path)));
    CHECK(place.open()->record(image(1, "a", "a")).fresh == 1); // nobody listens: by itself
    Working writer(place);
    CHECK(place.open()->record(image(1, "b", "b")).fresh == 1);
    CHECK(writer.end().requests == 1);
}

TEST_CASE(
    "a writer that is killed at any moment loses nothing acknowledged, and says nothing twice")
{
    constexpr std::uint64_t events = 60;
    for (int round = 0; round < 8; ++round) {
        Place place;
        place.open();
        Pipe ready = make_pipe();
        const auto writer = in_child([&] {
            Cancel never;
            Writer working(place.path, place.clock, place.log);
            if (::write(ready.write_end.get(), "x", 1) == 1) {
                working.run(never);
            }
        });
        char ignored = 0;
        REQUIRE(::read(ready.read_end.get(), &ignored, 1) == 1);
        const auto client = in_child([&] {
            auto store = place.open();
            for (std::uint64_t n = 1; n <= events; ++n) {
                store->record(image(1, "a", fmt::format("{}", n)));
            }
        });
        std::this_thread::sleep_for(std::chrono::milliseconds(1 + 4 * round));
        ::kill(writer, SIGKILL);
        ::waitpid(writer, nullptr, 0);
        CHECK(ended_well(client));
        auto store = place.open();
        INFO("round " << round);
        CHECK(store->last_seq() == events);
        CHECK(store->images().size() == events);
        CHECK(verify(*store, thorough).findings.empty());
    }
}

TEST_CASE("a client that sends nonsense, half a message or too much is no harm to others")
{
    Place place;
    auto store = place.open();
    Working writer(place);
    const auto speak = [&](const std::string& bytes) {
        const auto fd = connect_to(writer_place(place.path));
        REQUIRE(fd);
        send_all(fd.get(), bytes);
        ::shutdown(fd.get(), SHUT_WR);
        return receive_message(fd.get());
    };
    CHECK(!speak(""));
    CHECK(!speak("\1"));
    CHECK(!speak(framed("{}").substr(0, 5)));
    CHECK(!speak(std::string("\xff\xff\xff\xff", 4) + "x"));
    for (const auto* text : {"",
                             "{}",
                             "[]",
                             "{\"schema\":\"stemma.write/2\"}",
                             "\xff",
                             "{\"schema\":\"stemma.write/1\",\"drafts\":[{}]}",
                             "{\"schema\":\"stemma.write/1\",\"drafts\":7}"}) {
        const auto reply = speak(framed(text));
        REQUIRE(reply);
        CHECK(std::holds_alternative<Error>(reply_from(*reply)));
    }
    CHECK(store->record(image(1, "a", "a")).fresh == 1);
    writer.end();
    CHECK(store->last_seq() == 1);
}

TEST_CASE("a store whose path is longer than a socket's name has a writer all the same")
{
    Place place;
    place.path = place.folder.path() / std::string(150, 'd') / "lineage.db";
    place.open();
    Working writer(place);
    CHECK(place.open()->record(image(1, "a", "a")).fresh == 1);
    CHECK(writer.end().requests == 1);
}
