#pragma once

#include "stemma/core/fd.hpp"

#include <optional>
#include <string>

/// Unix sockets as far as the writer of a store and its clients need them: whole messages, each
/// four bytes of length (lowest first) and as many bytes of text.
namespace stemma::lineage {

/// Longest message that is sent; what is longer goes into the store directly.
inline constexpr std::size_t longest_message = std::size_t{1} << 30U;
inline constexpr std::size_t length_size = 4;

/// Where the writer of a store listens: beside it.
std::string writer_place(const std::string& store_path);

/// A connection; without an fd when nobody listens there.
Fd connect_to(const std::string& place);
/// mode  who may connect: the permissions of the store
/// throws  io, conflict: somebody listens there
Fd listen_at(const std::string& place, mode_t mode);

/// `text` as a message.
std::string framed(const std::string& text);
/// Length of the message that begins with these bytes; nullopt: too few.
std::optional<std::size_t> message_length(std::string_view bytes) noexcept;

/// False when the other side has gone.
bool send_all(int fd, std::string_view bytes) noexcept;
/// One message; nullopt when the other side has gone, or what it sent is no message.
/// throws  conflict: nothing came for ten minutes
std::optional<std::string> receive_message(int fd);

} // namespace stemma::lineage
