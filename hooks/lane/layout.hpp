#pragma once

#include <cstddef>
#include <cstdint>

/// What the observer and its library within a tool's process have in common. Both are of one build
/// of Stemma; nothing of this is kept.
///
/// Asking the observer before each open costs microseconds, and a compiler opens a thousand files,
/// most of them not there. A tool on the fast lane has a library in it that opens files for reading
/// by one instruction at a known place, which the filter lets pass, and then writes into a shared
/// log which file that was and in what state. The observer reads the log before it lets this
/// process or any other write, rename, run or end anything. Every other call, and every other
/// process, is asked about as before: what the library does not know of costs time and no truth.
namespace stemma::hooks::lane {

/// Where the library puts `syscall; ret`: below the lowest address of programs that are linked to a
/// fixed one (0x400000), above the kernel's lowest (0x10000).
inline constexpr std::uint64_t code_address = 0x2f0000;
/// What the kernel sees as the caller's place.
inline constexpr std::uint64_t return_address = code_address + 2;

/// Opening this asks for a log. There is no such file: without an observer that knows the lane the
/// open fails, and the library stays idle.
inline constexpr const char* hello_path = "/.stemma/lane/1";

/// The variable that holds the library's path. The observer gives it ld.so's name while a chosen
/// tool is started; the library takes that back before the tool sees it.
inline constexpr const char* idle_name = "STEMMA_WAY";
inline constexpr const char* loud_name = "LD_PRELOAD";
inline constexpr std::size_t name_size = 10;

inline constexpr std::size_t log_bytes = std::size_t{1} << 16U;

/// At the log's beginning. `tail` is where the next entry goes; its upper half counts how often the
/// library began anew. It does so only when the log is full and the observer has just read it.
struct LogHead {
    std::uint64_t tail;
};

/// Followed by the path as the program gave it (relative to its working folder), padded to eight.
struct LogEntry {
    std::uint64_t size; ///< of the entry with its path and padding
    std::uint64_t path_size;
    std::uint64_t device;
    std::uint64_t inode;
    std::uint64_t bytes;
    std::uint64_t mtime_s;
    std::uint64_t mtime_ns;
    std::uint64_t ctime_s;
    std::uint64_t ctime_ns;
};

} // namespace stemma::hooks::lane
