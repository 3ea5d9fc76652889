#include "delta_file.hpp"

#include "stemma/core/bytes.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace stemma::image {

namespace {

constexpr std::string_view magic = "STEMMADL";
constexpr std::uint32_t version = 1;
constexpr std::size_t digest_bytes = 32;
constexpr std::size_t head_bytes = 8 + 4 + 4 + 8 + 8 + 2 * digest_bytes;
constexpr std::size_t foot_bytes = 4 + 8 + digest_bytes;
constexpr std::size_t run_bytes = 16;

void put(std::string& text, std::uint64_t value, std::size_t bytes)
{
    for (std::size_t i = 0; i < bytes; ++i) {
        text += static_cast<char>((value >> (8 * i)) & 0xFFU);
    }
}

void put(std::string& text, const Digest& digest)
{
    text.append(digest.bytes.begin(), digest.bytes.end());
}

std::uint64_t number(std::string_view text, std::size_t at, std::size_t bytes)
{
    std::uint64_t value = 0;
    for (std::size_t i = bytes; i > 0; --i) {
        value = (value << 8U) | static_cast<unsigned char>(text[at + i - 1]);
    }
    return value;
}

Digest digest_at(std::string_view text, std::size_t at)
{
    Digest digest;
    std::copy_n(text.begin() + static_cast<std::ptrdiff_t>(at), digest_bytes, digest.bytes.begin());
    return digest;
}

std::string piece_of(int file, std::uint64_t at, std::size_t count, const std::string& name)
{
    std::string bytes(count, '\0');
    if (read_at(file, at, std::as_writable_bytes(std::span(bytes)), name) < count) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: the delta is cut off", name));
    }
    return bytes;
}

/// The digest of the first `count` bytes.
Digest digest_of_beginning(int file, std::uint64_t count, const std::string& name)
{
    constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
    Sha256 hash;
    for (std::uint64_t at = 0; at < count; at += piece) {
        hash.update(piece_of(file, at, std::min(piece, count - at), name));
    }
    return hash.finish();
}

} // namespace

// ---- writing ------------------------------------------------------------------------------------

DeltaWriter::DeltaWriter(const std::filesystem::path& path,
                         std::uint64_t from_size,
                         std::uint64_t to_size)
    : name_(path.string()), file_(path)
{
    info_.from_size = from_size;
    info_.to_size = to_size;
    write(std::string(head_bytes, '\0')); // its room
}

void DeltaWriter::write(std::string_view bytes)
{
    file_.write(bytes);
    info_.file_bytes += bytes.size();
}

void DeltaWriter::write_head()
{
    std::string head(magic);
    put(head, version, 4);
    put(head, delta_block, 4);
    put(head, info_.from_size, 8);
    put(head, info_.to_size, 8);
    put(head, info_.from);
    put(head, info_.to);
    if (::pwrite(file_.fd(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) {
        throw system_error(errno, fmt::format("write {}", name_));
    }
}

void DeltaWriter::add(const DeltaChunk& chunk)
{
    std::string head;
    put(head, chunk.runs.size(), 4);
    put(head, chunk.frame.size(), 4);
    for (const DeltaRun& run : chunk.runs) {
        put(head, run.block, 8);
        put(head, run.count, 4);
        put(head, run.zeros ? 1 : 0, 4);
        info_.changed_bytes += run.count * delta_block;
    }
    write(head);
    write(chunk.frame);
}

DeltaInfo DeltaWriter::finish(const Digest& from, const Digest& to)
{
    info_.from = from;
    info_.to = to;
    write_head();
    std::string foot;
    put(foot, 0, 4);
    put(foot, info_.changed_bytes, 8);
    write(foot);
    std::string digest;
    put(digest, digest_of_beginning(file_.fd(), info_.file_bytes, name_));
    write(digest);
    file_.commit();
    return info_;
}

// ---- reading ------------------------------------------------------------------------------------

DeltaReader::DeltaReader(const std::filesystem::path& path)
    : path_(path), file_(open_file(path.string(), O_RDONLY))
{
    struct stat state {};
    if (::fstat(file_.get(), &state) != 0) {
        throw system_error(errno, fmt::format("read {}", path.string()));
    }
    info_.file_bytes = static_cast<std::uint64_t>(state.st_size);
    if (!S_ISREG(state.st_mode) || info_.file_bytes < head_bytes + foot_bytes) {
        refuse("it is too short");
    }
    end_ = info_.file_bytes - foot_bytes;
    const auto head = take(head_bytes);
    if (!head.starts_with(magic)) {
        refuse("it does not begin like one");
    }
    if (number(head, 8, 4) != version || number(head, 12, 4) != delta_block) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: a delta of version {}, only {} is known here",
                                path.string(),
                                number(head, 8, 4),
                                version),
                    "a newer stemma wrote it");
    }
    info_.from_size = number(head, 16, 8);
    info_.to_size = number(head, 24, 8);
    info_.from = digest_at(head, 32);
    info_.to = digest_at(head, 32 + digest_bytes);
    verify();
}

void DeltaReader::refuse(std::string_view why) const
{
    throw Error(ErrorCode::corrupt,
                fmt::format("{}: not a sound delta: {}", path_.string(), why),
                "get it again, or make it again: stemma image delta");
}

void DeltaReader::verify()
{
    const auto digest =
        digest_of_beginning(file_.get(), info_.file_bytes - digest_bytes, path_.string());
    const auto foot = piece_of(file_.get(), end_, foot_bytes, path_.string());
    if (number(foot, 0, 4) != 0 || digest_at(foot, 12) != digest) {
        refuse("its digest does not match, it is cut off or damaged");
    }
    info_.changed_bytes = number(foot, 4, 8);
}

std::string DeltaReader::take(std::size_t count)
{
    if (count > end_ - at_) {
        refuse("a chunk is cut off");
    }
    auto bytes = piece_of(file_.get(), at_, count, path_.string());
    at_ += count;
    return bytes;
}

void DeltaReader::expect_in_order(const DeltaRun& run)
{
    const std::uint64_t blocks = (info_.to_size + delta_block - 1) / delta_block;
    if (run.block < next_block_ || run.block >= blocks || run.count == 0 ||
        run.count > blocks - run.block) {
        refuse("a run of blocks is out of order or beyond the disk");
    }
    next_block_ = run.block + run.count;
}

std::optional<DeltaChunk> DeltaReader::next()
{
    if (at_ == end_) {
        return std::nullopt;
    }
    const auto head = take(8);
    const auto count = number(head, 0, 4);
    const auto frame = number(head, 4, 4);
    if (count == 0 || count > most_chunk_runs || frame > 2 * most_chunk_data) {
        refuse("a chunk is larger than any");
    }
    const auto table = take(count * run_bytes);
    DeltaChunk chunk;
    std::uint64_t data_blocks = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const DeltaRun run{.block = number(table, i * run_bytes, 8),
                           .count = static_cast<std::uint32_t>(number(table, i * run_bytes + 8, 4)),
                           .zeros = number(table, i * run_bytes + 12, 4) != 0};
        expect_in_order(run);
        data_blocks += run.zeros ? 0 : run.count;
        chunk.runs.push_back(run);
    }
    if (data_blocks * delta_block > most_chunk_data || (data_blocks == 0) != (frame == 0)) {
        refuse("a chunk contradicts itself");
    }
    chunk.frame = take(frame);
    return chunk;
}

} // namespace stemma::image
