#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stemma::deployer {

/// The word that one deployer works on a release of a host, where every deployer of that host sees
/// it: also those with another store, on another machine. Taken back when it is destroyed.
class Lease {
public:
    virtual ~Lease() = default;
    Lease() = default;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
};

/// A process, told apart from all others of all machines.
struct LeaseOwner {
    std::string machine; ///< digests of its machine, of this run of its kernel, and of its
    std::string boot;    ///< namespace of processes: eight digits each
    std::string space;
    std::uint64_t process = 0;
    std::uint64_t started = 0; ///< in the kernel's ticks: process numbers come again
    std::string host;          ///< the machine's name, for people

    bool operator==(const LeaseOwner&) const = default;
};

/// This process.
LeaseOwner own_lease_owner();

/// As it stands in the name of a file: letters, digits, '-' and '.'.
std::string to_string(const LeaseOwner& owner);
/// nullopt: no such text
std::optional<LeaseOwner> lease_owner_from(std::string_view text);

/// "process 123 of build1".
std::string words_of(const LeaseOwner& owner);

enum class Liveness {
    alive,
    dead,   ///< it is of this machine, and gone
    unknown ///< it is of another machine, or of another namespace of processes
};
/// owner  as this process sees it
Liveness liveness_of(const LeaseOwner& owner);

} // namespace stemma::deployer
