#include "preloading.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "process_info.hpp"
#include "program_file.hpp"
#include "tag.hpp"

namespace stemma::hooks {

namespace {

using preload::Answer;
using preload::Kind;
using preload::Message;

constexpr std::string_view variable = "LD_PRELOAD";

std::string with_library(const std::string& library)
{
    const char* before = std::getenv(variable.data()); // NOLINT(concurrency-mt-unsafe)
    return before == nullptr || *before == '\0' ? library : std::string(before) + ":" + library;
}

std::string_view reason_of(Loading loading)
{
    switch (loading) {
    case Loading::loaded:
    case Loading::unknown:
        break;
    case Loading::is_static:
        return "is static: what it opens is not seen by the preload fallback";
    case Loading::other_loader:
        return "is of another C library: what it opens is not seen by the preload fallback";
    case Loading::other_class:
        return "is of another architecture: what it opens is not seen by the preload fallback";
    case Loading::gains_rights:
        return "gains rights: what it opens is not seen by the preload fallback";
    }
    return {};
}

} // namespace

Preloading::Preloading(Session& session, std::string library)
    : session_(session), library_(std::move(library)), buffer_(preload::largest)
{
    const char* given = std::getenv("TMPDIR"); // NOLINT(concurrency-mt-unsafe): nobody writes it
    folder_ = std::string(given == nullptr ? "/tmp" : given) + "/stemma-XXXXXX";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (folder_.size() + 3 > sizeof address.sun_path) {
        folder_ = "/tmp/stemma-XXXXXX";
    }
    if (::mkdtemp(folder_.data()) == nullptr) {
        folder_.clear();
        throw system_error(errno, "make a folder for the observer's socket");
    }
    ::chmod(folder_.c_str(), 0711); // programs of other users may be part of the build
    const auto path = folder_ + "/s";
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    socket_ = Fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    constexpr int on = 1;
    constexpr int room = 1 << 22;
    if (!socket_ ||
        ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
        const int reason = errno;
        ::unlink(path.c_str());
        ::rmdir(folder_.c_str());
        throw system_error(reason, "make the observer's socket");
    }
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    ::chmod(path.c_str(), 0777);
}

Preloading::~Preloading()
{
    ::unlink((folder_ + "/s").c_str());
    ::rmdir(folder_.c_str());
}

std::vector<std::string> Preloading::environment() const
{
    return {std::string(variable) + "=" + with_library(library_),
            std::string(preload::variable) + "=" + folder_ + "/s:" + library_};
}

bool Preloading::receive(Event& event)
{
    iovec data{buffer_.data(), buffer_.size()};
    constexpr std::size_t most_fds = 2;
    alignas(cmsghdr)
        std::array<char, CMSG_SPACE(most_fds * sizeof(int)) + CMSG_SPACE(sizeof(ucred))>
            control{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const auto got = ::recvmsg(socket_.get(), &header, MSG_CMSG_CLOEXEC);
    std::vector<Fd> fds;
    for (cmsghdr* part = got < 0 ? nullptr : CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_type == SCM_CREDENTIALS) {
            ucred sender{};
            std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
            event.process = sender.pid;
        } else if (part->cmsg_type == SCM_RIGHTS) {
            const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count && i < most_fds; ++i) {
                int fd = -1;
                std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
                fds.emplace_back(fd);
            }
        }
    }
    const auto size = got < 0 ? 0 : static_cast<std::size_t>(got);
    if (size < sizeof(Message)) {
        return false;
    }
    std::memcpy(&event.message, buffer_.data(), sizeof(Message));
    const auto& message = event.message;
    if (std::uint64_t{message.path_size} + message.second_size > size - sizeof(Message)) {
        return false;
    }
    event.path.assign(buffer_.data() + sizeof(Message), message.path_size);
    event.second.assign(buffer_.data() + sizeof(Message) + message.path_size, message.second_size);
    if (message.waits != 0 && !fds.empty()) {
        event.answer = std::move(fds.front());
        fds.erase(fds.begin());
    }
    if (message.has_list != 0 && !fds.empty()) {
        event.list = std::move(fds.front());
    }
    return event.process > 0;
}

bool Preloading::take_one()
{
    Event event;
    if (!receive(event)) {
        return false;
    }
    auto answer = Answer::go_on;
    try {
        answer = tell(event);
    } catch (...) {
        lost_ = true; // out of memory: the build goes on, the record has a hole
    }
    if (event.answer) {
        // A process that was killed meanwhile waits no more.
        static_cast<void>(::write(event.answer.get(), &answer, sizeof answer));
    }
    return true;
}

std::vector<std::string> Preloading::list_of(const Event& event)
{
    constexpr off_t most = off_t{4} << 20U;
    struct stat info {};
    std::vector<std::string> list;
    if (!event.list || ::fstat(event.list.get(), &info) != 0 || info.st_size > most) {
        return list;
    }
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    const auto got = ::pread(event.list.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    for (std::size_t at = 0; at < text.size();) {
        const auto end = std::min(text.find('\0', at), text.size());
        list.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return list;
}

Loading Preloading::look_at(pid_t process, int folder, const std::string& path)
{
    const auto base = folder == AT_FDCWD ? std::string("cwd") : "fd/" + std::to_string(folder);
    const auto program =
        path.starts_with('/') ? path : link_of(process, base).append("/").append(path);
    struct stat owner {};
    stat_of(process, "", owner);
    const auto loading = loading_of(real_path(program), owner.st_uid, owner.st_gid);
    if (const auto reason = reason_of(loading); !reason.empty()) {
        session_.hole(process, std::string(program).append(" ").append(reason));
    }
    return loading;
}

/// A static program ignores the library, and what it starts may take it again.
Answer Preloading::answer_for(Loading loading)
{
    const bool complains = loading == Loading::other_class || loading == Loading::other_loader;
    return complains ? Answer::alone : Answer::go_on;
}

Answer Preloading::tell_exec(const Event& event)
{
    auto argv = list_of(event);
    const bool is_launcher = tag_of(argv).has_value(); // static, and reads nothing of the build
    const auto program =
        session_.executes(event.process, event.message.folder, event.path, [&] { return argv; });
    if (!program) {
        return Answer::go_on;
    }
    if (is_launcher) {
        return Answer::go_on;
    }
    const auto loading = look_at(event.process, event.message.folder, event.path);
    told_[event.process] = loading == Loading::loaded;
    return answer_for(loading);
}

void Preloading::look_at_root(pid_t pid, const std::string& program)
{
    look_at(pid, AT_FDCWD, program);
}

void Preloading::tell_start(const Event& event)
{
    if (std::exchange(told_[event.process], false)) {
        return;
    }
    session_.executes(
        event.process, AT_FDCWD, link_of(event.process, "exe"), [&] { return list_of(event); });
}

Answer Preloading::tell(Event& event)
{
    const auto& message = event.message;
    const pid_t process = event.process;
    switch (message.kind) {
    case Kind::started:
        tell_start(event);
        break;
    case Kind::opened:
    case Kind::opens:
        session_.opens(process, message.folder, event.path, message.flags);
        break;
    case Kind::executes:
        return tell_exec(event);
    case Kind::spawns:
        return answer_for(look_at(process, message.folder, event.path));
    case Kind::renames: {
        constexpr int no_replace = 1; // RENAME_NOREPLACE
        session_.renames(process,
                         {message.folder, event.path},
                         {message.second_folder, event.second},
                         (message.flags & no_replace) != 0);
        break;
    }
    case Kind::links:
        session_.links(
            process, {message.folder, event.path}, {message.second_folder, event.second});
        break;
    case Kind::symlinks:
        session_.symlinks(process, event.path, {message.second_folder, event.second});
        break;
    case Kind::changes_folder:
        session_.changes_folder(process);
        break;
    case Kind::exits:
        told_.erase(process);
        session_.exits(process, message.flags);
        break;
    case Kind::hole:
        session_.hole(process, event.path);
        break;
    }
    return Answer::go_on;
}

} // namespace stemma::hooks
