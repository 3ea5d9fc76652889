#include "pool_lease.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <random>
#include <thread>

namespace stemma::deployer {

namespace {

constexpr int most_tries = 5;

class PoolLease final : public Lease {
public:
    PoolLease(virt::StoragePool pool, std::string name)
        : pool_(std::move(pool)), name_(std::move(name))
    {
    }
    PoolLease(const PoolLease&) = delete;
    PoolLease& operator=(const PoolLease&) = delete;
    ~PoolLease() override
    {
        try {
            if (const auto volume = pool_.volume(name_)) {
                volume->remove();
            }
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): the host is gone; a later
                                 // deployer finds its owner dead
        }
    }

private:
    virt::StoragePool pool_;
    std::string name_;
};

std::string prefix_of(const std::string& release)
{
    return fmt::format("lease~{}~", release);
}

std::string words_of_name(const std::string& name, const std::string& prefix)
{
    const auto owner = lease_owner_from(std::string_view(name).substr(prefix.size()));
    return owner ? words_of(*owner) : printable(name);
}

void remove_volume(const virt::StoragePool& pool, const std::string& name)
{
    if (const auto volume = pool.volume(name)) {
        volume->remove();
    }
}

/// The first lease beside our own whose owner may live; those of the dead are removed.
std::optional<std::string>
rival(const virt::StoragePool& pool, const std::string& prefix, const std::string& own)
{
    std::optional<std::string> found;
    for (const auto& name : pool.volume_names()) {
        if (name == own || !name.starts_with(prefix)) {
            continue;
        }
        const auto owner = lease_owner_from(std::string_view(name).substr(prefix.size()));
        if (owner && liveness_of(*owner) == Liveness::dead) {
            remove_volume(pool, name);
        } else if (!found) {
            found = name;
        }
    }
    return found;
}

/// Long enough that of two that tried at once one is done before the other comes again.
void wait_a_little()
{
    static thread_local std::minstd_rand random(std::random_device{}());
    std::this_thread::sleep_for(
        std::chrono::milliseconds(std::uniform_int_distribution<int>(50, 400)(random)));
}

/// false: this process had it before
bool create(const virt::StoragePool& pool, const std::string& name)
{
    try {
        (void)pool.create({.name = name, .capacity = 1});
        return true;
    } catch (const Error& error) {
        if (error.code() != ErrorCode::conflict) {
            throw;
        }
        return false;
    }
}

} // namespace

std::unique_ptr<Lease> take_lease(const virt::StoragePool& pool,
                                  const std::string& host,
                                  const std::string& release,
                                  const Cancel* cancel)
{
    const auto prefix = prefix_of(release);
    const auto own = prefix + to_string(own_lease_owner());
    std::optional<std::string> other;
    for (int tried = 0; tried < most_tries; ++tried) {
        if (cancel != nullptr) {
            cancel->check();
        }
        if (!create(pool, own)) {
            return nullptr;
        }
        auto lease = std::make_unique<PoolLease>(pool, own);
        other = rival(pool, prefix, own);
        if (!other) {
            return lease;
        }
        lease.reset();
        wait_a_little();
    }
    throw Error(ErrorCode::conflict,
                fmt::format("another deployer works on release {} at host {}: {}",
                            release,
                            host,
                            words_of_name(*other, prefix)),
                fmt::format("wait for it to end; if it is dead for good: stemma release unlock {}",
                            release));
}

std::vector<std::string> end_leases(const virt::StoragePool& pool, const std::string& release)
{
    const auto prefix = prefix_of(release);
    std::vector<std::string> owners;
    for (const auto& name : pool.volume_names()) {
        if (name.starts_with(prefix)) {
            remove_volume(pool, name);
            owners.push_back(words_of_name(name, prefix));
        }
    }
    return owners;
}

} // namespace stemma::deployer
