#include "stemma/deployer/lease.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

using namespace stemma;
using namespace stemma::deployer;

TEST_CASE("the owner of a lease comes back from the name of its file")
{
    const auto self = own_lease_owner();
    CHECK(self.process == static_cast<std::uint64_t>(::getpid()));
    CHECK(self.started > 0);
    const auto text = to_string(self);
    CHECK(text.find_first_of("/~ \n") == std::string::npos);
    CHECK(lease_owner_from(text) == self);
    CHECK(liveness_of(self) == Liveness::alive);
    for (const auto* damaged : {"", "a", "a-b-c-1-", "a-b-c-x-2-host", "a-b-c-1-2", "----- -"}) {
        INFO(damaged);
        CHECK((!lease_owner_from(damaged) || lease_owner_from(damaged)->host.empty()));
    }
    const auto dashes = lease_owner_from("a-b-c-1-2-my-host.example");
    REQUIRE(dashes);
    CHECK(dashes->host == "my-host.example");
    CHECK(words_of(*dashes) == "process 1 of my-host.example");
}

TEST_CASE("a process is dead only where that can be known")
{
    const auto self = own_lease_owner();
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(0);
    }
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    auto gone = self;
    gone.process = static_cast<std::uint64_t>(child);
    CHECK(liveness_of(gone) == Liveness::dead);
    auto reused = self; // the number lives again, as another process
    reused.started += 1;
    CHECK(liveness_of(reused) == Liveness::dead);
    auto rebooted = self;
    rebooted.boot = "00000000";
    CHECK(liveness_of(rebooted) == Liveness::dead);
    auto contained = self;
    contained.space = "00000000";
    CHECK(liveness_of(contained) == Liveness::unknown);
    auto elsewhere = self;
    elsewhere.machine = "00000000";
    CHECK(liveness_of(elsewhere) == Liveness::unknown);
    auto copied = self; // machines made from one image may share their id
    copied.host += "x";
    copied.boot = "00000000";
    CHECK(liveness_of(copied) == Liveness::unknown);
}
