#include "event_loop.hpp"

#include "stemma/virt/connection.hpp"

#include <libvirt/libvirt.h>

#include <chrono>
#include <mutex>
#include <thread>

namespace stemma::virt {

namespace {

void keep_awake(int /*timer*/, void* /*data*/) {}

void run_loop()
{
    // The loop wakes for its own timer too, so that a registration from another thread is seen
    // even where the wake-up pipe is not (libvirt 9 has one; older ones lose it after a fork).
    virEventAddTimeout(1000, keep_awake, nullptr, nullptr);
    while (true) {
        if (virEventRunDefaultImpl() < 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }
}

} // namespace

void ensure_event_loop()
{
    // libvirt keeps one event implementation per process, so there is one loop per process.
    static std::once_flag once;
    std::call_once(once, [] {
        if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0) {
            throw last_error("start libvirt's event loop");
        }
        // It has no end of its own: connections may live as long as the process.
        std::thread(run_loop).detach();
    });
}

} // namespace stemma::virt
