#pragma once

#include <sys/types.h>

#include <string>
#include <utility>

namespace stemma {

/// Owns a file descriptor; closes it.
class Fd {
public:
    Fd() noexcept = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    ~Fd() { reset(); }
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept
    {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    explicit operator bool() const noexcept { return fd_ >= 0; }
    void reset() noexcept;

private:
    int fd_ = -1;
};

/// open(2) with O_CLOEXEC added. `flags` and `mode` as for open(2).
/// throws  not_found, io
Fd open_file(const std::string& path, int flags, mode_t mode = 0666);

struct Pipe {
    Fd read_end;
    Fd write_end;
};
/// Both ends close on exec.
Pipe make_pipe();

} // namespace stemma
