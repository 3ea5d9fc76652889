#include "process_info.hpp"

#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>

namespace stemma::hooks {

namespace {

std::string proc_path(pid_t pid, std::string_view name)
{
    std::string path = "/proc/" + std::to_string(pid) + "/";
    path += name;
    return path;
}

std::string link_target(const std::string& link)
{
    std::array<char, 4096> target{};
    const auto size = ::readlink(link.c_str(), target.data(), target.size());
    return size > 0 ? std::string(target.data(), static_cast<std::size_t>(size)) : std::string();
}

std::string head_of(const std::string& path)
{
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 1024> head{};
    const auto size = fd ? ::read(fd.get(), head.data(), head.size()) : -1;
    return size > 0 ? std::string(head.data(), static_cast<std::size_t>(size)) : std::string();
}

pid_t number_after(std::string_view text, std::string_view label)
{
    const auto at = text.find(label);
    if (at == std::string_view::npos) {
        return 0;
    }
    text.remove_prefix(at + label.size());
    const auto value = parse_unsigned(trim(text.substr(0, text.find('\n'))));
    return value ? static_cast<pid_t>(*value) : 0;
}

} // namespace

std::optional<Family> family_of(pid_t thread)
{
    const auto status = head_of(proc_path(thread, "status"));
    const Family family{number_after(status, "\nTgid:"), number_after(status, "\nPPid:")};
    return family.process == 0 ? std::nullopt : std::optional(family);
}

std::uint64_t monotonic_now() noexcept
{
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(now.tv_nsec);
}

std::string link_of(pid_t pid, std::string_view name)
{
    return link_target(proc_path(pid, name));
}

bool stat_of(pid_t pid, std::string_view name, struct stat& info)
{
    return ::stat(proc_path(pid, name).c_str(), &info) == 0;
}

std::string real_path(const std::string& path)
{
    const Fd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
    return fd ? link_target("/proc/self/fd/" + std::to_string(fd.get())) : std::string();
}

Session::Interpreter interpreter_of(const std::string& path)
{
    const auto head = head_of(path);
    if (head.substr(0, 2) != "#!") {
        return {};
    }
    const auto line = std::string_view(head).substr(2, head.find('\n') - 2);
    const auto words = split_words(line);
    if (words.empty()) {
        return {};
    }
    const bool through_env =
        words.size() > 1 && words[0].size() >= 4 && words[0].substr(words[0].size() - 4) == "/env";
    return {std::string(words[0]), std::string(through_env ? words[1] : words[0])};
}

} // namespace stemma::hooks
