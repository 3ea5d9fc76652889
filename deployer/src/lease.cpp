#include "stemma/deployer/lease.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>

namespace stemma::deployer {

namespace {

constexpr std::uint64_t most_bytes = 4096;

/// Of a file of the kernel's or the system's; empty when it cannot be read.
std::string text_of(const std::string& path)
{
    try {
        return read_file(path, most_bytes);
    } catch (const Error&) {
        return {};
    }
}

std::string short_name(std::string_view text)
{
    return sha256(text).hex().substr(0, 8);
}

std::string host_name()
{
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) {
        return "unnamed";
    }
    std::string text = name.data();
    std::ranges::replace_if(
        text,
        [](char c) {
            return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.');
        },
        '-');
    return text.substr(0, 64);
}

/// When a process began; nullopt: there is none of that number, or one that ended and waits for its
/// parent, which may never ask.
std::optional<std::uint64_t> start_of(std::uint64_t process)
{
    const auto text = text_of(fmt::format("/proc/{}/stat", process));
    // The program's name stands in parentheses and may hold anything; the rest is plain.
    const auto name_end = text.rfind(')');
    if (name_end == std::string::npos) {
        return std::nullopt;
    }
    constexpr std::size_t start_field = 19; // of those behind the name
    const auto fields = split_words(std::string_view(text).substr(name_end + 1));
    if (!fields.empty() && (fields.front() == "Z" || fields.front() == "X")) {
        return std::nullopt;
    }
    return fields.size() > start_field ? parse_unsigned(fields[start_field]) : std::nullopt;
}

} // namespace

LeaseOwner own_lease_owner()
{
    std::error_code ignored;
    const auto process = static_cast<std::uint64_t>(::getpid());
    return {.machine = short_name(text_of("/etc/machine-id")),
            .boot = short_name(text_of("/proc/sys/kernel/random/boot_id")),
            .space =
                short_name(std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string()),
            .process = process,
            .started = start_of(process).value_or(0),
            .host = host_name()};
}

std::string to_string(const LeaseOwner& owner)
{
    return fmt::format("{}-{}-{}-{}-{}-{}",
                       owner.machine,
                       owner.boot,
                       owner.space,
                       owner.process,
                       owner.started,
                       owner.host);
}

std::optional<LeaseOwner> lease_owner_from(std::string_view text)
{
    std::array<std::string_view, 5> parts;
    for (auto& part : parts) {
        const auto end = text.find('-');
        if (end == std::string_view::npos || end == 0) {
            return std::nullopt;
        }
        part = text.substr(0, end);
        text.remove_prefix(end + 1);
    }
    const auto process = parse_unsigned(parts[3]);
    const auto started = parse_unsigned(parts[4]);
    if (!process || !started) {
        return std::nullopt;
    }
    return LeaseOwner{.machine = std::string(parts[0]),
                      .boot = std::string(parts[1]),
                      .space = std::string(parts[2]),
                      .process = *process,
                      .started = *started,
                      .host = std::string(text)};
}

std::string words_of(const LeaseOwner& owner)
{
    return fmt::format("process {} of {}", owner.process, printable(owner.host));
}

Liveness liveness_of(const LeaseOwner& owner)
{
    const auto self = own_lease_owner();
    // Copies of a machine share its id, but not its name.
    if (owner.machine != self.machine || owner.host != self.host) {
        return Liveness::unknown;
    }
    if (owner.boot != self.boot) {
        return Liveness::dead;
    }
    if (owner.space != self.space) {
        return Liveness::unknown;
    }
    return start_of(owner.process) == owner.started ? Liveness::alive : Liveness::dead;
}

} // namespace stemma::deployer
