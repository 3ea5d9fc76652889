#include "disk_server.hpp"

#include "stemma/core/error.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>

namespace stemma::guestfs {

namespace {

using Bytes = std::vector<std::byte>;

// Numbers of the protocol's document, all big-endian on the wire.
constexpr std::uint32_t magic_high = 0x4e42444d;        // "NBDM"
constexpr std::uint32_t magic_low = 0x41474943;         // "AGIC"
constexpr std::uint32_t option_high = 0x49484156;       // "IHAV"
constexpr std::uint32_t option_low = 0x454f5054;        // "EOPT"
constexpr std::uint32_t option_reply_high = 0x0003e889; // 0x3e889045565a9
constexpr std::uint32_t option_reply_low = 0x045565a9;
constexpr std::uint32_t request_magic = 0x25609513;
constexpr std::uint32_t reply_magic = 0x67446698;
constexpr std::uint32_t handshake_flags = 3;          // fixed newstyle, no zeroes
constexpr std::uint32_t part_flags = 1 | 2 | 4 | 256; // flags, read-only, flush, many connections
constexpr std::uint32_t most_option = 4096;
constexpr std::uint32_t most_read = 32U << 20U;

enum Option : std::uint32_t { export_name = 1, abort_session = 2, info = 6, go = 7 };
enum Reply : std::uint32_t { ack = 1, about = 3, unsupported = 0x80000001, unknown = 0x80000006 };
enum Request : std::uint32_t { read_bytes = 0, write_bytes = 1, disconnect = 2, flush = 3 };

void append32(Bytes& to, std::uint32_t value)
{
    to.resize(to.size() + 4);
    volume::put_be32(to, to.size() - 4, value);
}
void append64(Bytes& to, std::uint64_t value)
{
    append32(to, static_cast<std::uint32_t>(value >> 32U));
    append32(to, static_cast<std::uint32_t>(value));
}
void append16(Bytes& to, std::uint32_t value)
{
    to.push_back(static_cast<std::byte>(value >> 8U));
    to.push_back(static_cast<std::byte>(value));
}

/// One connection; false from any function: it is over.
class Session {
public:
    Session(Fd socket,
            const std::vector<DiskServer::Export>& exports,
            const std::vector<std::unique_ptr<volume::Volume>>& parts)
        : socket_(std::move(socket)), exports_(exports), parts_(parts)
    {
    }

    [[nodiscard]] int descriptor() const { return socket_.get(); }

    bool greet()
    {
        Bytes hello;
        for (const std::uint32_t word : {magic_high, magic_low, option_high, option_low}) {
            append32(hello, word);
        }
        append16(hello, handshake_flags);
        return send(hello);
    }

    /// Takes what came: the client's flags, an option, or a request.
    bool step()
    {
        if (!greeted_) {
            greeted_ = true;
            return receive(4).has_value();
        }
        return part_ == nullptr ? take_option() : take_request();
    }

private:
    bool take_option()
    {
        const auto head = receive(16);
        if (!head || volume::be32(*head, 0) != option_high ||
            volume::be32(*head, 4) != option_low) {
            return false;
        }
        const std::uint32_t option = volume::be32(*head, 8);
        const std::uint32_t length = volume::be32(*head, 12);
        const auto data = length <= most_option ? receive(length) : std::nullopt;
        if (!data) {
            return false;
        }
        switch (option) {
        case Option::export_name:
            return enter(find_part(text_of(*data, 0, data->size())), false);
        case Option::abort_session:
            reply(option, Reply::ack, {});
            return false;
        case Option::info:
        case Option::go:
            return tell_about(option, *data);
        default:
            return reply(option, Reply::unsupported, {});
        }
    }

    bool tell_about(std::uint32_t option, const Bytes& data)
    {
        const std::uint32_t length = data.size() < 4 ? most_option : volume::be32(data, 0);
        auto* const part =
            length <= data.size() - 4 ? find_part(text_of(data, 4, length)) : nullptr;
        if (part == nullptr) {
            return reply(option, Reply::unknown, {});
        }
        Bytes about;
        append16(about, 0); // NBD_INFO_EXPORT
        append64(about, part->size());
        append16(about, part_flags);
        return reply(option, Reply::about, about) && reply(option, Reply::ack, {}) &&
               (option == Option::info || enter(part, true));
    }

    /// Goes over to requests; the old way of asking gets the size only now.
    bool enter(volume::Volume* part, bool told)
    {
        part_ = part;
        if (part == nullptr || told) {
            return part != nullptr;
        }
        Bytes about;
        append64(about, part->size());
        append16(about, part_flags);
        return send(about);
    }

    bool take_request()
    {
        const auto head = receive(28);
        if (!head || volume::be32(*head, 0) != request_magic) {
            return false;
        }
        const std::uint32_t type = volume::be32(*head, 4) & 0xFFFFU;
        const std::uint64_t offset =
            (std::uint64_t{volume::be32(*head, 16)} << 32U) | volume::be32(*head, 20);
        const std::uint32_t length = volume::be32(*head, 24);
        const auto handle = std::span(*head).subspan(8, 8);
        switch (type) {
        case Request::read_bytes:
            return answer_read(handle, offset, length);
        case Request::write_bytes: // whoever writes to what is read-only is not worth a reply
        case Request::disconnect:
            return false;
        case Request::flush:
            return answer(handle, 0, {});
        default:
            return answer(handle, EINVAL, {});
        }
    }

    bool answer_read(std::span<const std::byte> handle, std::uint64_t offset, std::uint32_t length)
    {
        const std::uint64_t size = part_->size();
        if (length > most_read || length > size || offset > size - length) {
            return answer(handle, EINVAL, {});
        }
        content_.resize(length);
        try {
            part_->read(offset, content_);
        } catch (const Error&) {
            return answer(handle, EIO, {});
        }
        return answer(handle, 0, content_);
    }

    bool answer(std::span<const std::byte> handle,
                std::uint32_t failure,
                std::span<const std::byte> content)
    {
        Bytes head;
        append32(head, reply_magic);
        append32(head, failure);
        head.insert(head.end(), handle.begin(), handle.end());
        return send(head) && send(content);
    }

    bool reply(std::uint32_t option, std::uint32_t kind, const Bytes& data)
    {
        Bytes message;
        append32(message, option_reply_high);
        append32(message, option_reply_low);
        append32(message, option);
        append32(message, kind);
        append32(message, static_cast<std::uint32_t>(data.size()));
        message.insert(message.end(), data.begin(), data.end());
        return send(message);
    }

    [[nodiscard]] volume::Volume* find_part(std::string_view name) const
    {
        for (std::size_t i = 0; i < exports_.size(); ++i) {
            if (exports_[i].name == name) {
                return parts_[i].get();
            }
        }
        return nullptr;
    }

    static std::string_view text_of(const Bytes& data, std::size_t at, std::size_t length)
    {
        return {reinterpret_cast<const char*>(data.data()) + at, length};
    }

    std::optional<Bytes> receive(std::size_t length)
    {
        Bytes data(length);
        for (std::size_t done = 0; done < length;) {
            const ssize_t got = ::recv(socket_.get(), data.data() + done, length - done, 0);
            if (got < 0 && errno == EINTR) {
                continue;
            }
            if (got <= 0) {
                return std::nullopt;
            }
            done += static_cast<std::size_t>(got);
        }
        return data;
    }

    bool send(std::span<const std::byte> data)
    {
        while (!data.empty()) {
            const ssize_t sent = ::send(socket_.get(), data.data(), data.size(), MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) {
                continue;
            }
            if (sent <= 0) {
                return false;
            }
            data = data.subspan(static_cast<std::size_t>(sent));
        }
        return true;
    }

    Fd socket_;
    const std::vector<DiskServer::Export>& exports_;
    const std::vector<std::unique_ptr<volume::Volume>>& parts_;
    volume::Volume* part_ = nullptr; ///< set when negotiation is over
    bool greeted_ = false;
    Bytes content_;
};

/// Serves all connections in turn, until this process is ended.
[[noreturn]] void serve(int listener,
                        const std::vector<DiskServer::Export>& exports,
                        const std::vector<std::unique_ptr<volume::Volume>>& parts)
{
    std::vector<Session> sessions;
    for (;;) {
        std::vector<pollfd> waiting = {{.fd = listener, .events = POLLIN, .revents = 0}};
        for (const Session& session : sessions) {
            waiting.push_back({.fd = session.descriptor(), .events = POLLIN, .revents = 0});
        }
        if (::poll(waiting.data(), waiting.size(), -1) < 0) {
            continue;
        }
        std::vector<Session> going;
        for (std::size_t i = 0; i < sessions.size(); ++i) {
            if (waiting[i + 1].revents == 0 || sessions[i].step()) {
                going.push_back(std::move(sessions[i]));
            }
        }
        if (waiting[0].revents != 0) {
            Fd socket(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
            Session session(std::move(socket), exports, parts);
            if (session.descriptor() >= 0 && session.greet()) {
                going.push_back(std::move(session));
            }
        }
        sessions = std::move(going);
    }
}

Fd listen_on(const std::filesystem::path& path)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.native().size() >= sizeof address.sun_path) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} is too long for a socket", path.string()),
                    "set TMPDIR to a folder with a shorter path");
    }
    std::copy(path.native().begin(), path.native().end(), std::begin(address.sun_path));
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::chmod(path.c_str(), 0600) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
        throw system_error(errno, fmt::format("listen on {}", path.string()));
    }
    return socket;
}

std::vector<std::unique_ptr<volume::Volume>> cut(volume::Volume& disk,
                                                 const std::vector<DiskServer::Export>& exports)
{
    std::vector<std::unique_ptr<volume::Volume>> parts;
    parts.reserve(exports.size());
    for (const auto& each : exports) {
        auto pieces = each.pieces;
        if (pieces.empty()) {
            pieces.push_back({.offset = 0, .length = disk.size()});
        }
        parts.push_back(std::make_unique<volume::Mapped>(disk, std::move(pieces), each.name));
    }
    return parts;
}

std::vector<int> with(std::vector<int> all, int one)
{
    all.push_back(one);
    return all;
}

} // namespace

DiskServer::DiskServer(std::unique_ptr<volume::Volume> disk,
                       std::vector<Export> exports,
                       const std::filesystem::path& socket)
    : disk_(std::move(disk)),
      parts_(cut(*disk_, exports)),
      exports_(std::move(exports)),
      listener_(listen_on(socket)),
      process_(disk_->name(),
               with(disk_->descriptors(), listener_.get()),
               {.processor = std::chrono::seconds(0)}, // as long as somebody reads
               [this](jail::Channel&) { serve(listener_.get(), exports_, parts_); })
{
}

} // namespace stemma::guestfs
