#include "stemma/deployer/lease.hpp"
#include "stemma/support/fake_hypervisor.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "patient_hypervisor.hpp"

using namespace stemma;
using namespace stemma::deployer;

namespace {

/// A host's answer that does not come before a test lets it.
struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    bool passed = false;

    void pass()
    {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return open; });
        passed = true;
        changed.notify_all();
    }
    void let_pass()
    {
        std::unique_lock lock(mutex);
        open = true;
        changed.notify_all();
        changed.wait(lock, [&] { return passed; });
    }
};

class GatedLease final : public Lease {
public:
    explicit GatedLease(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
    GatedLease(const GatedLease&) = delete;
    GatedLease& operator=(const GatedLease&) = delete;
    ~GatedLease() override { gate_->pass(); }

private:
    std::shared_ptr<Gate> gate_;
};

} // namespace

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
    auto gone = self;
    gone.process = static_cast<std::uint64_t>(child);
    siginfo_t ended{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
    CHECK(liveness_of(gone) == Liveness::dead); // ended, and its parent did not ask yet
    REQUIRE(::waitpid(child, nullptr, 0) == child);
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

TEST_CASE("a host that hangs does not hold a deployer that gives its lease back")
{
    const auto gate = std::make_shared<Gate>();
    auto inner = std::make_shared<support::FakeHypervisor>("rack1");
    inner->on_lease = [&] { return std::make_unique<GatedLease>(gate); };
    const auto host = with_deadlines(inner, std::chrono::milliseconds(500), nullptr);
    auto lease = host->lease("web");
    REQUIRE(lease);
    lease.reset(); // without a deadline this would never return
    CHECK_FALSE(gate->passed);
    gate->let_pass();
}
