#pragma once

#include "message.hpp"

/// The library's way of talking to the observer. Works between vfork and exec, in signal handlers
/// and without a C++ runtime: no allocation, no lock, no errno.
namespace stemma::hooks::preload {

struct Event {
    Kind kind = Kind::hole;
    int folder = -100; ///< AT_FDCWD
    const char* path = nullptr;
    int flags = 0;
    int second_folder = -100;
    const char* second = nullptr;
    char* const* list = nullptr;
};

/// Reads where the observer is from the environment; without it nothing is told.
void find_observer(char** environment);

/// What a program needs to be told of too: "LIBRARY" and "SOCKET:LIBRARY"; empty without observer.
const char* library();
const char* address();

/// Sends and goes on.
void tell(const Event& event);
/// Sends, and waits until the observer has looked. An observer that is gone waits for nothing.
Answer tell_and_wait(const Event& event);

} // namespace stemma::hooks::preload
