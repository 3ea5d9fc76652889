#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/core/error.hpp"

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace stemma::deployer {

/// Work in a thread of its own that nobody has to wait for: libvirt's calls cannot be ended from
/// outside, so one that hangs is left behind with all that it holds.
///
/// What the work uses must be owned by it, or live as long as the process.
template <typename T>
class Background {
public:
    using Deadline = std::chrono::steady_clock::time_point;

    explicit Background(std::function<T()> work)
    {
        std::thread([state = state_, work = std::move(work)] {
            std::optional<T> value;
            std::optional<Error> error;
            try {
                value.emplace(work());
            } catch (const Error& failure) {
                error = failure;
            } catch (const std::exception& failure) {
                error = Error(ErrorCode::io, failure.what());
            }
            const std::lock_guard lock(state->mutex);
            state->value = std::move(value);
            state->error = std::move(error);
            state->finished = true;
            state->done.notify_all();
        }).detach();
    }

    /// What came of it; nullopt when it still runs at the deadline. Gives a value once.
    /// throws  what the work threw; interrupted
    std::optional<T> wait_until(Deadline deadline, const Cancel* cancel = nullptr)
    {
        std::unique_lock lock(state_->mutex);
        while (!state_->finished && std::chrono::steady_clock::now() < deadline) {
            state_->done.wait_until(
                lock,
                std::min(deadline,
                         std::chrono::steady_clock::now() + std::chrono::milliseconds(200)));
            if (cancel != nullptr) {
                cancel->check();
            }
        }
        if (state_->error) {
            throw Error(*state_->error);
        }
        return std::exchange(state_->value, std::nullopt);
    }

private:
    struct State {
        std::mutex mutex;
        std::condition_variable done;
        bool finished = false;
        std::optional<T> value;
        std::optional<Error> error;
    };
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

} // namespace stemma::deployer
