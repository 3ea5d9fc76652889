#pragma once

#include "stemma/core/fd.hpp"

#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

/// The observer's side of the fast lane (../lane/layout.hpp).
namespace stemma::hooks {

/// Chooses which tools take the lane, gives out logs and reads them.
class Lanes {
public:
    /// A file that was opened for reading, in the state that it then had.
    using Opened = std::function<void(pid_t process, std::string_view path, const struct stat&)>;

    /// library  path of the library; empty: nobody takes the lane
    explicit Lanes(std::string library);
    ~Lanes();
    Lanes(const Lanes&) = delete;
    Lanes& operator=(const Lanes&) = delete;

    /// To be called while `process` waits to become `program`: lets the library into it when the
    /// program is a tool that opens much and nothing speaks against it.
    /// environment  address of its list of variables
    void invite(pid_t process, pid_t parent, const std::string& program, std::uint64_t environment);
    /// Takes back what invite() wrote where it was not used up: in a parent that shares its memory
    /// with the child that it starts, and where the start failed. Before any other program starts.
    void settle();

    /// True for the library's request for a log.
    static bool is_hello(std::string_view path) noexcept;
    /// Answers it; false when the request has to go its ordinary way, and fails.
    bool grant(int listener, std::uint64_t request, pid_t process);

    /// Reads all logs to their ends.
    void read(const Opened& opened);
    /// The process is gone: its log may be another's.
    void release(pid_t process);

    [[nodiscard]] bool is_library(std::string_view path) const noexcept { return path == library_; }

private:
    struct Log;
    struct Invitation {
        pid_t process;
        pid_t parent;
        std::uint64_t address;
    };

    [[nodiscard]] bool takes_lane(pid_t process, const std::string& program);
    [[nodiscard]] bool sees_library(pid_t process) const;
    Log* log_for(pid_t process);
    void withdraw(pid_t process, std::uint64_t address) const;
    static void read_log(Log& log, const Opened& opened);

    std::string library_;
    struct stat library_info_ {};
    std::vector<std::pair<std::string, bool>> known_programs_;
    std::vector<Invitation> invitations_;
    std::vector<std::unique_ptr<Log>> logs_;
};

} // namespace stemma::hooks
