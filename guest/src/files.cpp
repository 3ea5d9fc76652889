// Operations on files and on the system: sha256, read, write, info.

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "session.hpp"

namespace stemma::guest {

namespace {

std::string path_member(const Json& request)
{
    auto path = text_of(member(request, "path"), "path");
    if (path.empty() || path.front() != '/' || path.find('\0') != std::string::npos) {
        throw Error(ErrorCode::usage, fmt::format("not an absolute path: {}", printable(path)));
    }
    return path;
}

struct OpenFile {
    Fd fd;
    struct stat status {};
};

/// Opens a regular file for reading; never waits on a pipe or a device.
OpenFile open_regular(const std::string& path)
{
    OpenFile file{.fd = open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)};
    if (::fstat(file.fd.get(), &file.status) != 0) {
        throw system_error(errno, "look at " + path);
    }
    if (!S_ISREG(file.status.st_mode)) {
        throw Error(ErrorCode::usage, path + " is not a regular file");
    }
    return file;
}

Json about(const struct stat& status)
{
    return {{"size", status.st_size},
            {"mode", status.st_mode & 07777U},
            {"uid", status.st_uid},
            {"gid", status.st_gid},
            {"modified_s", status.st_mtim.tv_sec}};
}

/// A text file's first line; empty when it cannot be read.
std::string first_line(const std::string& path)
{
    try {
        const std::string content = read_file(path, 65536);
        return std::string(trim(content));
    } catch (const Error&) {
        return {};
    }
}

std::string os_name()
{
    const auto text = first_line("/etc/os-release");
    for (const auto line : split_lines(text)) {
        if (line.starts_with("PRETTY_NAME=")) {
            auto value = line.substr(std::string_view("PRETTY_NAME=").size());
            if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
                value = value.substr(1, value.size() - 2);
            }
            return std::string(value);
        }
    }
    return {};
}

} // namespace

std::string boot_id()
{
    return first_line("/proc/sys/kernel/random/boot_id");
}

Json describe_system()
{
    utsname names{};
    ::uname(&names);
    const auto uptime = first_line("/proc/uptime");
    const auto seconds = parse_unsigned(std::string_view(uptime).substr(0, uptime.find('.')));
    return {{"host_name", json_text(static_cast<const char*>(names.nodename))},
            {"kernel", json_text(static_cast<const char*>(names.release))},
            {"machine", json_text(static_cast<const char*>(names.machine))},
            {"os", json_text(os_name())},
            {"boot_id", json_text(boot_id())},
            {"machine_id", json_text(first_line("/etc/machine-id"))},
            {"uptime_s", seconds.value_or(0)}};
}

Json digest_of_file(const Json& request)
{
    const auto path = path_member(request);
    const auto file = open_regular(path);
    const auto ids = hash_file(file.fd.get());
    auto result = about(file.status);
    result["sha256"] = ids.sha256.hex();
    result["size"] = ids.size;
    return result;
}

Json send_file(const Json& request, Exchange& exchange)
{
    const auto path = path_member(request);
    const auto file = open_regular(path);
    Sha256 hash;
    std::uint64_t size = 0;
    std::array<char, 32000> buffer{};
    while (true) {
        const auto got = ::read(file.fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            throw system_error(errno, "read " + path);
        }
        if (got == 0) {
            break;
        }
        const std::string_view piece(buffer.data(), static_cast<std::size_t>(got));
        hash.update(piece);
        size += piece.size();
        exchange.send(stream_content, piece);
    }
    auto result = about(file.status);
    result["sha256"] = hash.finish().hex();
    result["size"] = size;
    return result;
}

Json receive_file(const Json& request, Exchange& exchange)
{
    const auto path = path_member(request);
    const auto mode = integer_member(request, "mode");
    if (mode < 0 || mode > 07777) {
        throw Error(ErrorCode::usage, "a file's mode lies between 0 and 07777");
    }
    NewFile file(path, static_cast<mode_t>(mode));
    Sha256 hash;
    std::uint64_t size = 0;
    while (const auto piece = exchange.receive()) {
        file.write(*piece);
        hash.update(*piece);
        size += piece->size();
    }
    // The umask is the helper's, not the wish of whoever sends the file.
    if (::fchmod(file.fd(), static_cast<mode_t>(mode)) != 0) {
        throw system_error(errno, "set the mode of " + path);
    }
    file.commit();
    return {{"sha256", hash.finish().hex()}, {"size", size}};
}

} // namespace stemma::guest
