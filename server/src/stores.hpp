#pragma once

#include "stemma/lineage/store.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace stemma::server {

/// Open stores for threads that ask one question each: a store belongs to one thread at a time, and
/// opening one costs more than most questions.
class Stores {
public:
    Stores(std::string url, const Clock& clock, Log& log);

    /// A store for the time of one question.
    class Lease {
    public:
        Lease(Stores& home, std::unique_ptr<lineage::Store> store);
        ~Lease();
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        lineage::Store& operator*() const noexcept { return *store_; }

    private:
        Stores& home_;
        std::unique_ptr<lineage::Store> store_;
    };
    /// throws  not_found: there is no store yet
    Lease lease();

private:
    std::string url_;
    const Clock& clock_;
    Log& log_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<lineage::Store>> idle_;
};

} // namespace stemma::server
