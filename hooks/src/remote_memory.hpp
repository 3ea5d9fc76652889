#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

/// Reads another process's memory while it waits for us. Everything is bounded.
namespace stemma::hooks {

/// False with errno set when not all of it can be read.
bool read_bytes(pid_t thread, std::uint64_t address, void* into, std::size_t size);
/// False with errno set when not all of it can be written.
bool write_bytes(pid_t thread, std::uint64_t address, const void* from, std::size_t size);
/// A text of at most PATH_MAX bytes that ends with a zero.
bool read_text(pid_t thread, std::uint64_t address, std::string& into);

using TextVisitor = std::function<void(std::uint64_t address, const std::string& text)>;
/// Each text of a list that ends with a null pointer: 65,536 texts and 4 MiB at most.
/// narrow  pointers of four bytes
bool visit_texts(pid_t thread, std::uint64_t list, bool narrow, const TextVisitor& visit);
bool read_texts(pid_t thread, std::uint64_t list, bool narrow, std::vector<std::string>& into);

} // namespace stemma::hooks
