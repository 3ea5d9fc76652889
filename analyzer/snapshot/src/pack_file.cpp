#include "pack_file.hpp"

#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"
#include "stemma/volume/volume.hpp"
#include "stemma/zstd/zstd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace stemma::analyzer {

namespace {

constexpr std::string_view pack_magic = "STMPACK1";
constexpr std::size_t digest_size = 32;
constexpr std::size_t frame_entry = 16;
constexpr std::size_t end_size = 8 + 8 + digest_size + pack_magic.size();
constexpr std::size_t no_frame = std::numeric_limits<std::size_t>::max();
/// Of one frame, compressed: more than the worst case of what cannot be compressed.
constexpr std::size_t largest_frame = 2 * pack_frame_blocks * pool_block;

template <typename Number>
void put_le(std::string& out, Number value)
{
    for (std::size_t i = 0; i < sizeof value; ++i) {
        out.push_back(static_cast<char>((value >> (8 * i)) & 0xffU));
    }
}

std::span<const std::byte> bytes_of(std::string_view text)
{
    return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view text_of(const Digest& digest)
{
    return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

} // namespace

PackWriter::PackWriter(const std::filesystem::path& file) : file_(file, 0600)
{
    put(pack_magic);
}

void PackWriter::put(std::string_view bytes)
{
    file_.write(bytes);
    at_ += bytes.size();
}

std::uint32_t PackWriter::add(const Digest& digest, BlockView block)
{
    digests_.push_back(digest);
    present_.push_back(1);
    pending_.append(reinterpret_cast<const char*>(block.data()), block.size());
    if (pending_.size() == pack_frame_blocks * pool_block) {
        end_frame();
    }
    return static_cast<std::uint32_t>(digests_.size() - 1);
}

void PackWriter::skip(const Digest& digest)
{
    digests_.push_back(digest);
    present_.push_back(0);
}

void PackWriter::end_frame()
{
    if (pending_.empty()) {
        return;
    }
    const auto frame = zstd::compress(pending_);
    frames_.push_back({at_,
                       static_cast<std::uint32_t>(frame.size()),
                       static_cast<std::uint32_t>(pending_.size() / pool_block)});
    put(frame);
    pending_.clear();
}

std::uint64_t PackWriter::commit()
{
    end_frame();
    std::string index;
    put_le(index, static_cast<std::uint32_t>(digests_.size()));
    for (const auto& digest : digests_) {
        index += text_of(digest);
    }
    index += present_;
    put_le(index, static_cast<std::uint32_t>(frames_.size()));
    for (const auto& frame : frames_) {
        put_le(index, frame.offset);
        put_le(index, frame.bytes);
        put_le(index, frame.blocks);
    }
    std::string end;
    put_le(end, at_);
    put_le(end, static_cast<std::uint64_t>(index.size()));
    end += text_of(sha256(index));
    end += pack_magic;
    put(index);
    put(end);
    file_.commit();
    return at_;
}

PackReader::PackReader(const std::filesystem::path& file)
    : file_(file.string()), name_(file.filename().string()), loaded_(no_frame)
{
    const auto fd = open_file(file_, O_RDONLY);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
        throw system_error(errno, fmt::format("read {}", file.string()));
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const auto torn = [&] {
        return Error(ErrorCode::corrupt, fmt::format("{} is torn or damaged", file.string()));
    };
    if (size < pack_magic.size() + end_size ||
        bytes_at(fd.get(), 0, pack_magic.size()) != pack_magic) {
        throw torn();
    }
    const auto end = bytes_at(fd.get(), size - end_size, end_size);
    const auto offset = volume::le64(bytes_of(end), 0);
    const auto length = volume::le64(bytes_of(end), 8);
    if (!end.ends_with(pack_magic) || offset > size - end_size ||
        length != size - end_size - offset) {
        throw torn();
    }
    const auto index = bytes_at(fd.get(), offset, length);
    if (text_of(sha256(index)) != std::string_view(end).substr(16, digest_size)) {
        throw torn();
    }
    load_index(index);
}

std::string PackReader::bytes_at(int fd, std::uint64_t offset, std::size_t size) const
{
    std::string bytes(size, '\0');
    if (read_at(fd, offset, std::as_writable_bytes(std::span(bytes)), name_) < size) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is cut short", name_));
    }
    return bytes;
}

/// Its digest was right: what it says was written so. The bounds are checked all the same.
void PackReader::load_index(const std::string& index)
{
    const auto bytes = bytes_of(index);
    const auto wrong = [&] {
        return Error(ErrorCode::corrupt, fmt::format("the index of {} contradicts itself", name_));
    };
    constexpr std::size_t number = 4;
    blocks_ = index.size() >= number ? volume::le32(bytes, 0) : 0;
    const auto frames_at = number + blocks_ * (digest_size + 1);
    if (index.size() < frames_at + number) {
        throw wrong();
    }
    const auto frames = volume::le32(bytes, frames_at);
    if (index.size() != frames_at + number + std::size_t{frames} * frame_entry) {
        throw wrong();
    }
    digests_ = index.substr(number, blocks_ * digest_size);
    present_ = index.substr(number + blocks_ * digest_size, blocks_);
    std::uint32_t block = 0;
    for (std::size_t i = 0; i < frames; ++i) {
        const auto at = frames_at + number + i * frame_entry;
        frames_.push_back(
            {volume::le64(bytes, at), volume::le32(bytes, at + 8), volume::le32(bytes, at + 12)});
        while (block < blocks_ && present_[block] == 0) {
            ++block;
        }
        starts_.push_back(block);
        for (std::uint32_t left = frames_.back().blocks; left > 0 && block < blocks_; ++block) {
            left -= present_[block] != 0 ? 1U : 0U;
        }
        if (frames_.back().blocks > pack_frame_blocks || frames_.back().bytes > largest_frame) {
            throw wrong();
        }
    }
}

Digest PackReader::digest(std::uint32_t block) const
{
    Digest digest;
    std::memcpy(
        digest.bytes.data(), digests_.data() + std::size_t{block} * digest_size, digest_size);
    return digest;
}

bool PackReader::has(std::uint32_t block) const
{
    return block < blocks_ && present_[block] != 0;
}

void PackReader::load_frame(std::size_t frame)
{
    const auto& place = frames_[frame];
    loaded_ = no_frame;
    const auto packed = bytes_at(open_file(file_, O_RDONLY).get(), place.offset, place.bytes);
    content_ = zstd::decompress(packed, pack_frame_blocks * pool_block);
    if (content_.size() != place.blocks * pool_block) {
        throw Error(ErrorCode::corrupt, "a frame of another size than the index says");
    }
    loaded_ = frame;
}

BlockView PackReader::read(std::uint32_t block)
{
    const auto damaged = [&](std::string_view why) {
        return Error(ErrorCode::corrupt,
                     fmt::format("block {} of the pool's {} is damaged: {}", block, name_, why));
    };
    if (!has(block)) {
        throw damaged("it is not there");
    }
    const auto after = std::upper_bound(starts_.begin(), starts_.end(), block);
    const auto frame = static_cast<std::size_t>(after - starts_.begin()) - 1;
    if (after == starts_.begin()) {
        throw damaged("no frame holds it");
    }
    if (frame != loaded_) {
        try {
            load_frame(frame);
        } catch (const Error& error) {
            throw damaged(error.message());
        }
    }
    std::size_t slot = 0;
    for (auto other = starts_[frame]; other < block; ++other) {
        slot += present_[other] != 0 ? 1U : 0U;
    }
    const auto content = bytes_of(content_);
    if ((slot + 1) * pool_block > content.size()) {
        throw damaged("its frame is too short");
    }
    const auto bytes = content.subspan(slot * pool_block).first<pool_block>();
    if (Sha256().update(bytes).finish() != digest(block)) {
        throw damaged("its content is another than its digest says");
    }
    return bytes;
}

void PackReader::forget() noexcept
{
    loaded_ = no_frame;
    content_ = {};
}

} // namespace stemma::analyzer
