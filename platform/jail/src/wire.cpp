#include "wire.hpp"

#include <array>
#include <cstring>

namespace stemma::jail {

namespace {

/// What a surveyed entry has.
constexpr std::uint64_t has_info = 1;
constexpr std::uint64_t has_digest = 2;
constexpr std::uint64_t has_target = 4;
constexpr std::uint64_t is_whole = 8;

[[noreturn]] void refuse()
{
    throw Error(ErrorCode::corrupt, "the process that reads the image gave a broken answer");
}

} // namespace

Packer& Packer::number(std::uint64_t value)
{
    std::array<char, sizeof value> bytes{};
    std::memcpy(bytes.data(), &value, sizeof value);
    text_.append(bytes.data(), bytes.size());
    return *this;
}

Packer& Packer::text(std::string_view value)
{
    number(value.size());
    text_ += value;
    return *this;
}

Packer& Packer::node(const volume::NodeInfo& info)
{
    return number(static_cast<std::uint64_t>(info.kind))
        .number(info.mode)
        .number((std::uint64_t{info.uid} << 32U) | info.gid)
        .number(info.size)
        .number(info.inode)
        .number(info.links)
        .number(static_cast<std::uint64_t>(info.modified.time_since_epoch().count()));
}

/// The name, a number whose bits say what follows, and that.
Packer& Packer::entry(const volume::NodeSurvey& entry)
{
    text(entry.name)
        .number((entry.info ? has_info : 0) | (entry.digest ? has_digest : 0) |
                (entry.target ? has_target : 0) | (entry.whole ? is_whole : 0));
    if (entry.info) {
        node(*entry.info);
    }
    if (entry.digest) {
        text_.append(entry.digest->bytes.begin(), entry.digest->bytes.end());
    }
    if (entry.target) {
        text(*entry.target);
    }
    number(entry.attributes.size());
    for (const auto& [name, value] : entry.attributes) {
        text(name).text(value);
    }
    return *this;
}

std::string_view Unpacker::take(std::size_t length)
{
    if (length > rest_.size()) {
        refuse();
    }
    const auto taken = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return taken;
}

std::uint64_t Unpacker::number()
{
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
}

std::string Unpacker::text()
{
    const std::uint64_t length = number();
    return std::string(take(static_cast<std::size_t>(length)));
}

volume::NodeInfo Unpacker::node()
{
    volume::NodeInfo info;
    const std::uint64_t kind = number();
    if (kind > static_cast<std::uint64_t>(volume::NodeKind::block_device)) {
        refuse();
    }
    info.kind = static_cast<volume::NodeKind>(kind);
    info.mode = static_cast<std::uint32_t>(number()) & 07777U;
    const std::uint64_t owner = number();
    info.uid = static_cast<std::uint32_t>(owner >> 32U);
    info.gid = static_cast<std::uint32_t>(owner);
    info.size = number();
    info.inode = number();
    info.links = static_cast<std::uint32_t>(number());
    info.modified = Time(std::chrono::microseconds(static_cast<std::int64_t>(number())));
    return info;
}

volume::NodeSurvey Unpacker::entry()
{
    volume::NodeSurvey entry{.name = text()};
    const std::uint64_t has = number();
    entry.whole = (has & is_whole) != 0;
    if ((has & has_info) != 0) {
        entry.info = node();
    }
    if ((has & has_digest) != 0) {
        entry.digest.emplace();
        std::memcpy(entry.digest->bytes.data(),
                    take(entry.digest->bytes.size()).data(),
                    entry.digest->bytes.size());
    }
    if ((has & has_target) != 0) {
        entry.target = text();
    }
    for (std::uint64_t left = number(); left > 0; --left) {
        auto name = text();
        entry.attributes.insert_or_assign(std::move(name), text());
    }
    return entry;
}

std::string pack_error(const Error& error)
{
    constexpr std::size_t most = 16384; // a message may quote the image
    const auto cut = [](const std::string& text) { return std::string_view(text).substr(0, most); };
    Packer packer(Answer::error);
    packer.number(static_cast<std::uint64_t>(error.code()))
        .text(cut(error.message()))
        .text(cut(error.hint()));
    for (std::size_t i = 0; i < error.frames().size() && i < 16; ++i) {
        packer.text(cut(error.frames()[i]));
    }
    return packer.message();
}

Error unpack_error(std::string_view message)
{
    Unpacker unpacker(message);
    const std::uint64_t code = unpacker.number();
    // Only the user interrupts; a jail that says so lies.
    const bool known = code < static_cast<std::uint64_t>(ErrorCode::interrupted);
    const std::string words = unpacker.text();
    Error error(known ? static_cast<ErrorCode>(code) : ErrorCode::corrupt, words, unpacker.text());
    while (!unpacker.empty()) {
        error.add_frame(unpacker.text());
    }
    return error;
}

} // namespace stemma::jail
