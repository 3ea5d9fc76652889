#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// Reads another process's memory while it waits for us. Everything is bounded.
namespace stemma::hooks {

/// False with errno set when not all of it can be read.
bool read_bytes(pid_t thread, std::uint64_t address, void* into, std::size_t size);
/// A text of at most PATH_MAX bytes that ends with a zero.
bool read_text(pid_t thread, std::uint64_t address, std::string& into, std::size_t most = 4096);
/// A list of texts that ends with a null pointer: 65,536 texts and 4 MiB at most.
bool read_texts(pid_t thread, std::uint64_t address, bool narrow, std::vector<std::string>& into);

} // namespace stemma::hooks
