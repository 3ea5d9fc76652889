#include "stemma/image/delta.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/transaction.hpp"
#include "stemma/zstd/zstd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "delta_file.hpp"
#include "disk_stream.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

struct Range {
    std::uint64_t begin = 0; ///< bytes, a multiple of the block size
    std::uint64_t end = 0;
};

/// Bytes of a disk, zeros beyond its end, holes without reading them.
class Side {
public:
    explicit Side(volume::Volume& disk) : disk_(disk) {}

    /// Fills `into` from `offset`; false when it is known to be all zeros (it is filled then too).
    bool read(std::uint64_t offset, std::span<std::byte> into)
    {
        const std::uint64_t size = disk_.size();
        const std::size_t there =
            offset >= size
                ? 0
                : static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), size - offset));
        std::fill(into.begin(), into.end(), std::byte{0});
        if (there == 0) {
            return false;
        }
        const auto extents = disk_.extents(offset, there);
        if (std::all_of(extents.begin(), extents.end(), [](const auto& e) { return e.zero; })) {
            return false;
        }
        disk_.read(offset, into.first(there));
        return true;
    }

private:
    volume::Volume& disk_;
};

std::string_view as_text(std::span<const std::byte> bytes)
{
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; // NOLINT: bytes are chars
}

bool is_zero(std::string_view block)
{
    return block.front() == '\0' && block.substr(1) == block.substr(0, block.size() - 1);
}

/// Collects blocks that are different into chunks.
class ChunkMaker {
public:
    explicit ChunkMaker(DeltaWriter& writer) : writer_(writer) {}

    void add(std::uint64_t block, std::string_view was, std::string_view is)
    {
        const bool zeros = is_zero(is);
        if (!zeros && fresh_.size() + is.size() > most_chunk_data) {
            flush();
        }
        if (extends_last(block, zeros)) {
            ++chunk_.runs.back().count;
        } else {
            if (chunk_.runs.size() == most_chunk_runs) {
                flush();
            }
            chunk_.runs.push_back({.block = block, .count = 1, .zeros = zeros});
        }
        if (!zeros) {
            fresh_ += is;
            old_ += was;
        }
    }

    void flush()
    {
        if (chunk_.runs.empty()) {
            return;
        }
        if (!fresh_.empty()) {
            chunk_.frame = zstd::compress_against(fresh_, old_);
        }
        writer_.add(chunk_);
        chunk_ = {};
        fresh_.clear();
        old_.clear();
    }

private:
    [[nodiscard]] bool extends_last(std::uint64_t block, bool zeros) const
    {
        return !chunk_.runs.empty() && chunk_.runs.back().zeros == zeros &&
               chunk_.runs.back().block + chunk_.runs.back().count == block;
    }

    DeltaWriter& writer_;
    DeltaChunk chunk_;
    std::string fresh_;
    std::string old_;
};

/// Compares pieces of the same place and length, of which `at` is the offset.
void compare_piece(std::uint64_t at,
                   std::span<const std::byte> was,
                   std::span<const std::byte> is,
                   ChunkMaker& maker)
{
    if (std::memcmp(was.data(), is.data(), is.size()) == 0) {
        return;
    }
    for (std::size_t done = 0; done < is.size(); done += delta_block) {
        const auto length = std::min<std::size_t>(delta_block, is.size() - done);
        const auto from = as_text(was.subspan(done, length));
        const auto to = as_text(is.subspan(done, length));
        if (from != to) {
            maker.add((at + done) / delta_block, from, to);
        }
    }
}

void compare_range(
    Side& before, Side& after, const Range& range, ChunkMaker& maker, const Cancel& cancel)
{
    constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
    std::vector<std::byte> was(piece);
    std::vector<std::byte> is(piece);
    for (std::uint64_t at = range.begin; at < range.end; at += piece) {
        cancel.check();
        const auto count = static_cast<std::size_t>(std::min(piece, range.end - at));
        const auto left = std::span(was).first(count);
        const auto right = std::span(is).first(count);
        const bool was_data = before.read(at, left);
        const bool is_data = after.read(at, right);
        if (was_data || is_data) {
            compare_piece(at, left, right, maker);
        }
    }
}

/// The next piece as long as that of the other disk, with zeros where this one has ended.
std::span<const std::byte> padded(const std::optional<DiskStream::Piece>& piece,
                                  std::size_t length,
                                  std::vector<std::byte>& buffer)
{
    const auto bytes = piece ? piece->bytes : std::span<const std::byte>();
    if (bytes.size() >= length) {
        return bytes.first(length);
    }
    buffer.assign(bytes.begin(), bytes.end());
    buffer.resize(length);
    return buffer;
}

/// Compares two disks of which nothing is known from the first byte to the last.
void compare_streams(DiskStream& before, DiskStream& after, ChunkMaker& maker, const Cancel& cancel)
{
    std::vector<std::byte> buffer;
    std::uint64_t at = 0;
    for (auto is = after.next(); is; is = after.next()) {
        cancel.check();
        const auto was = before.next();
        if (!(is->hole && (!was || was->hole))) {
            compare_piece(at, padded(was, is->bytes.size(), buffer), is->bytes, maker);
        }
        at += is->bytes.size();
    }
    while (before.next()) { // the rest of a larger disk counts for its digest
        cancel.check();
    }
}

/// How many layers of `to` lie above the file of `from`; nullopt when it does not build on it.
std::optional<std::size_t> layers_above(const Selected& from, const Selected& to)
{
    if (!from.open.snapshot.empty() || !to.open.snapshot.empty()) {
        return std::nullopt;
    }
    const auto wanted = fs::weakly_canonical(from.path);
    const auto chain = disk::chain_of(to.path, to.open);
    for (std::size_t i = 0; i < chain.size(); ++i) {
        if (fs::weakly_canonical(chain[i].path) == wanted) {
            return i;
        }
    }
    return std::nullopt;
}

/// Where the layers of a disk above its base hold anything at all, as qemu-img sees it.
class AllocationMap {
public:
    AllocationMap(const Selected& to, std::size_t layers) : layers_(layers)
    {
        const auto chain = disk::chain_of(to.path, to.open);
        argv_ = {"qemu-img", "map", "--output=json"};
        if (to.open.force_share) {
            argv_.emplace_back("-U");
        }
        argv_.push_back("json:" + volume::blockdev_json(chain, false, to.open.force_share));
    }

    std::vector<Range> ranges(std::uint64_t size)
    {
        ranges_.clear();
        look_at({.begin = 0, .end = size});
        return std::move(ranges_);
    }

private:
    /// A scattered overlay has more to say than fits into memory: it is then asked by halves.
    void look_at(const Range& part)
    {
        constexpr std::size_t most_words = std::size_t{4} << 20U;
        Command command{.argv = argv_, .max_output = most_words};
        command.argv.insert(command.argv.end() - 1,
                            {fmt::format("--start-offset={}", part.begin),
                             fmt::format("--max-length={}", part.end - part.begin)});
        const auto words = run_checked(command).out;
        if (words.size() < most_words) {
            add(parse_json(words, "qemu-img map"));
            return;
        }
        const auto middle = (part.begin + part.end) / 2 / delta_block * delta_block;
        look_at({.begin = part.begin, .end = middle});
        look_at({.begin = middle, .end = part.end});
    }

    void add(const Json& map)
    {
        for (const auto& extent : map) {
            if (static_cast<std::uint64_t>(integer_member(extent, "depth")) >= layers_) {
                continue;
            }
            const auto start = static_cast<std::uint64_t>(integer_member(extent, "start"));
            const auto end = start + static_cast<std::uint64_t>(integer_member(extent, "length"));
            const Range aligned{.begin = start / delta_block * delta_block, .end = end};
            if (!ranges_.empty() && ranges_.back().end >= aligned.begin) {
                ranges_.back().end = end;
            } else {
                ranges_.push_back(aligned);
            }
        }
    }

    std::size_t layers_;
    std::vector<std::string> argv_;
    std::vector<Range> ranges_;
};

/// What the record says; nullopt for a file that nobody recorded.
std::optional<Digest> recorded_digest(const Selected& selected)
{
    return selected.recorded ? Digest::from_hex(selected.recorded->digest) : std::nullopt;
}

/// Calls `work` with offset and length of each run's bytes; the disk may end within a block.
template <typename Work>
void for_each_run(const DeltaChunk& chunk, std::uint64_t size, Work&& work)
{
    for (const DeltaRun& run : chunk.runs) {
        const std::uint64_t offset = run.block * delta_block;
        work(run, offset, std::min(run.count * delta_block, size - offset));
    }
}

void write_zeros(volume::Volume& disk, std::uint64_t offset, std::uint64_t length)
{
    const std::vector<std::byte> zeros(std::min<std::uint64_t>(length, most_chunk_data));
    for (std::uint64_t done = 0; done < length; done += zeros.size()) {
        disk.write(offset + done,
                   std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), length - done)));
    }
}

void write_chunk(const DeltaChunk& chunk, volume::Volume& disk, Side& side)
{
    std::string old;
    for_each_run(chunk, disk.size(), [&](const auto& run, auto offset, auto length) {
        if (!run.zeros) {
            std::vector<std::byte> bytes(length);
            side.read(offset, bytes);
            old += as_text(bytes);
        }
    });
    const auto fresh =
        old.empty() ? std::string() : zstd::decompress_against(chunk.frame, old, most_chunk_data);
    if (fresh.size() != old.size()) {
        throw Error(ErrorCode::corrupt, "a chunk of the delta has another size than its blocks");
    }
    std::size_t used = 0;
    for_each_run(chunk, disk.size(), [&](const auto& run, auto offset, auto length) {
        if (run.zeros) {
            write_zeros(disk, offset, length);
            return;
        }
        disk.write(offset, std::as_bytes(std::span(fresh).subspan(used, length)));
        used += length;
    });
}

[[noreturn]] void refuse_other_base(const Selected& base, const DeltaInfo& info)
{
    throw Error(
        ErrorCode::corrupt,
        fmt::format("{} and the delta do not give what the delta promises", base.shown),
        fmt::format("the delta was made from the disk with the digest {}", info.from.hex()));
}

void resize(const fs::path& file, std::uint64_t size)
{
    run_checked({.argv = {"qemu-img",
                          "resize",
                          "-q",
                          "-f",
                          "qcow2",
                          "--shrink",
                          file.string(),
                          std::to_string(size)}});
}

} // namespace

DeltaInfo
make_delta(const Selected& from, const Selected& to, const fs::path& out, const Cancel& cancel)
{
    const auto before = disk::open_disk_bytes(from.path, from.open);
    const auto after = disk::open_disk_bytes(to.path, to.open);
    const auto known_from = recorded_digest(from);
    const auto known_to = recorded_digest(to);
    DeltaWriter writer(out, before->size(), after->size());
    ChunkMaker maker(writer);
    const auto layers = layers_above(from, to);
    if (layers && known_from && known_to && before->size() == after->size()) {
        Side left(*before);
        Side right(*after);
        for (const Range& range : AllocationMap(to, *layers).ranges(after->size())) {
            compare_range(left, right, range, maker, cancel);
        }
        maker.flush();
        return writer.finish(*known_from, *known_to);
    }
    DiskStream left(*before, known_from ? DiskStream::Digesting::no : DiskStream::Digesting::yes);
    DiskStream right(*after, known_to ? DiskStream::Digesting::no : DiskStream::Digesting::yes);
    compare_streams(left, right, maker, cancel);
    maker.flush();
    return writer.finish(known_from.value_or(left.digest()), known_to.value_or(right.digest()));
}

DeltaInfo inspect_delta(const fs::path& delta)
{
    DeltaReader reader(delta);
    while (reader.next()) {
        // Every chunk's runs are judged on the way.
    }
    return reader.info();
}

bool is_delta(const fs::path& file)
{
    constexpr std::string_view magic = "STEMMADL";
    std::array<char, magic.size()> head{};
    const Fd fd = open_file(file.string(), O_RDONLY);
    return ::pread(fd.get(), head.data(), head.size(), 0) == static_cast<ssize_t>(head.size()) &&
           std::string_view(head.data(), head.size()) == magic;
}

void write_delta(const fs::path& delta, volume::Volume& disk, const Cancel& cancel)
{
    DeltaReader reader(delta);
    if (disk.size() != reader.info().to_size) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: the delta is for a disk of {} bytes, {} has {}",
                                delta.string(),
                                reader.info().to_size,
                                disk.name(),
                                disk.size()));
    }
    Side side(disk);
    doing(
        [&] {
            while (const auto chunk = reader.next()) {
                cancel.check();
                write_chunk(*chunk, disk, side);
            }
        },
        "applying {} to {}",
        delta.string(),
        disk.name());
}

DeltaInfo
apply_delta(const Selected& base, const fs::path& delta, const fs::path& out, const Cancel& cancel)
{
    const DeltaInfo info = inspect_delta(delta);
    const auto chain = disk::chain_of(base.path, base.open);
    if (disk::open_disk(base.path, base.open)->size() != info.from_size) {
        refuse_other_base(base, info);
    }
    const fs::path folder = fs::absolute(out).parent_path();
    const TemporaryFolder work(".delta", folder);
    const fs::path file = work.path() / "disk.qcow2";
    const auto node = "json:" + volume::blockdev_json(chain, false, false);
    run_checked(
        {.argv = {"qemu-img", "convert", "-O", "qcow2", node, file.string()}, .cancel = &cancel});
    resize(file, info.to_size);
    {
        auto disk = disk::open_disk(
            file, {.format = volume::ContainerFormat::qcow2, .writable = true, .check = false});
        write_delta(delta, *disk, cancel);
        disk->flush();
        if (digest_of(*disk) != info.to) {
            refuse_other_base(base, info);
        }
    }
    std::error_code problem;
    fs::rename(file, out, problem);
    if (problem) {
        throw system_error(problem.value(), fmt::format("write {}", out.string()));
    }
    sync_folder(folder);
    return info;
}

} // namespace stemma::image
