#include "stores.hpp"

#include <utility>

namespace stemma::server {

Stores::Stores(std::string url, const Clock& clock, Log& log)
    : url_(std::move(url)), clock_(clock), log_(log)
{
}

Stores::Lease::Lease(Stores& home, std::unique_ptr<lineage::Store> store)
    : home_(home), store_(std::move(store))
{
}

Stores::Lease::~Lease()
{
    try {
        const std::lock_guard lock(home_.mutex_);
        home_.idle_.push_back(std::move(store_));
    } catch (...) { // NOLINT(bugprone-empty-catch): out of memory: it is closed instead
    }
}

Stores::Lease Stores::lease()
{
    std::unique_ptr<lineage::Store> idle;
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            idle = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (idle) {
        idle->refresh();
        return {*this, std::move(idle)};
    }
    return {*this, lineage::Store::open(url_, lineage::Store::Mode::read, clock_, log_)};
}

} // namespace stemma::server
