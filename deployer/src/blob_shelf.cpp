#include "blob_shelf.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace stemma::deployer {

namespace {

constexpr std::size_t mark_size = 512;
constexpr std::size_t piece_size = std::size_t{1} << 20U;
constexpr auto mark_interval = std::chrono::seconds(2);
/// Blocks of a changed copy that are read back.
constexpr std::size_t sample_blocks = 32;
constexpr std::size_t sample_block = 16384;

constexpr std::array<std::pair<Mark::State, std::string_view>, 3> state_words{
    {{Mark::State::making, "making"},
     {Mark::State::sending, "sending"},
     {Mark::State::proven, "proven"}}};

std::string mark_name(const std::string& blob)
{
    const auto stem = blob.ends_with(".raw") ? blob.substr(0, blob.size() - 4) : blob;
    return stem + ".mark";
}

/// What stays equal while nobody writes to the file or replaces it.
std::string identity_of(const virt::StorageVolume& volume)
{
    const auto facts = volume.facts();
    return fmt::format("{}/{}", facts.written, facts.capacity);
}

std::span<const std::byte> bytes_of(const std::string& text) noexcept
{
    return std::as_bytes(std::span(text));
}

/// facts() of a volume that may have been removed behind libvirt's back.
bool is_there(const std::optional<virt::StorageVolume>& volume)
{
    if (!volume) {
        return false;
    }
    try {
        (void)volume->facts();
        return true;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::not_found) {
            return false;
        }
        throw;
    }
}

} // namespace

std::string to_text(const Mark& mark)
{
    std::string_view word = "none";
    for (const auto& [state, text] : state_words) {
        word = state == mark.state ? text : word;
    }
    auto text = canonical_json(
        {{"from", mark.from}, {"sent", mark.sent}, {"state", word}, {"written", mark.written}});
    text.resize(std::max(mark_size, text.size()), ' ');
    return text;
}

Mark mark_from(const std::string& text)
{
    Mark mark;
    try {
        const auto json = parse_json(text, "a mark");
        const auto word = string_member(json, "state");
        mark.from = string_member(json, "from");
        mark.sent = static_cast<std::uint64_t>(integer_member(json, "sent"));
        mark.written = string_member(json, "written");
        for (const auto& [state, name] : state_words) {
            mark.state = name == word ? state : mark.state;
        }
    } catch (const Error&) {
        return {}; // a torn or foreign mark proves nothing
    }
    return mark;
}

/// One blob on its way.
struct BlobShelf::Job {
    const Blob& blob;
    Mark mark;
    std::unique_ptr<volume::Volume> source;
    std::unique_ptr<volume::Volume> had; ///< what the host's copy began as; null: zeros
    Scan scan{};
    std::optional<virt::StorageVolume> volume{};
};

BlobShelf::BlobShelf(const virt::StoragePool& pool, Settings settings)
    : pool_(pool), settings_(std::move(settings))
{
}

void BlobShelf::moved(std::uint64_t sent, std::uint64_t received) const
{
    if (settings_.moved) {
        settings_.moved(sent, received);
    }
}

void BlobShelf::check_cancel() const
{
    if (settings_.cancel != nullptr) {
        settings_.cancel->check();
    }
}

Mark BlobShelf::read_mark(const std::string& name) const
{
    const auto volume = pool_.volume(mark_name(name));
    if (!is_there(volume)) {
        return {};
    }
    std::string text;
    volume->download(0, 0, [&](std::span<const std::byte> bytes, std::uint64_t length) {
        text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        moved(0, bytes.empty() ? 0 : length);
    });
    return mark_from(text);
}

void BlobShelf::write_mark(const std::string& name, const Mark& mark) const
{
    const auto text = to_text(mark);
    auto volume = pool_.volume(mark_name(name));
    if (!is_there(volume)) {
        if (volume) {
            pool_.refresh();
        }
        volume = pool_.create({.name = mark_name(name), .capacity = text.size()});
    }
    bool given = false;
    volume->upload(0, text.size(), [&]() -> std::span<const std::byte> {
        return std::exchange(given, true) ? std::span<const std::byte>{} : bytes_of(text);
    });
    moved(text.size(), 0);
}

bool BlobShelf::is_proven(const std::string& name) const
{
    const auto mark = read_mark(name);
    const auto volume = pool_.volume(name);
    return mark.state == Mark::State::proven && is_there(volume) &&
           identity_of(*volume) == mark.written;
}

std::string BlobShelf::digest_of(const virt::StorageVolume& volume) const
{
    static constexpr std::array<std::byte, 65536> zeros{};
    Sha256 hash;
    volume.download(0, 0, [&](std::span<const std::byte> bytes, std::uint64_t length) {
        check_cancel();
        if (!bytes.empty()) {
            hash.update(bytes);
            moved(0, bytes.size());
            return;
        }
        for (std::uint64_t left = length; left > 0;) {
            const auto now = std::min<std::uint64_t>(left, zeros.size());
            hash.update(std::span(zeros).first(static_cast<std::size_t>(now)));
            left -= now;
        }
    });
    return hash.finish().hex();
}

void BlobShelf::prove_what_is_there(const Blob& blob, const virt::StorageVolume& volume) const
{
    const auto before = identity_of(volume);
    const auto digest = digest_of(volume);
    expect_digest(fmt::format("{} of {}", volume.path(), blob.what), digest, blob.digest);
    write_mark(blob.name, {.state = Mark::State::proven, .from = {}, .sent = 0, .written = before});
}

void BlobShelf::provide(const Blob& blob) const
{
    const auto mark = read_mark(blob.name);
    const auto volume = pool_.volume(blob.name);
    const bool there = is_there(volume);
    if (volume && !there) {
        pool_.refresh();
    }
    const bool unfinished = mark.state == Mark::State::making || mark.state == Mark::State::sending;
    if (!there || unfinished) {
        doing([&] { ship(blob); }, "bringing {} to the host", blob.what);
    } else if (mark.state != Mark::State::proven || identity_of(*volume) != mark.written) {
        prove_what_is_there(blob, *volume);
    }
}

void BlobShelf::remove(const std::string& name) const
{
    // The blob first: a mark without a blob is nothing, a blob without a mark would be read whole.
    for (const auto& each : {name, mark_name(name)}) {
        if (const auto volume = pool_.volume(each)) {
            volume->remove();
        }
    }
}

const Blob::Kin* BlobShelf::kin_on_host(const Blob& blob) const
{
    for (const auto& kin : blob.kin) {
        if (is_proven(kin.name)) {
            return &kin;
        }
    }
    return nullptr;
}

/// Decides what to send, and makes the volume unless an earlier run did.
void BlobShelf::prepare(Job& job) const
{
    const auto& blob = job.blob;
    const auto volume = pool_.volume(blob.name);
    const bool goes_on = job.mark.state == Mark::State::sending && is_there(volume);
    const Blob::Kin* kin = nullptr;
    if (!goes_on) {
        kin = kin_on_host(blob);
        job.mark = {.state = Mark::State::making,
                    .from = kin == nullptr ? "" : kin->name,
                    .sent = 0,
                    .written = {}};
    } else if (!job.mark.from.empty()) {
        const auto same = std::ranges::find(blob.kin, job.mark.from, &Blob::Kin::name);
        if (same == blob.kin.end()) {
            throw Error(ErrorCode::conflict, "the host has an unfinished copy of " + job.mark.from);
        }
        kin = &*same;
    }
    job.had = kin == nullptr ? nullptr : kin->open();
    job.scan = scan_for_shipping(*job.source, job.had.get(), settings_.cancel);
    if (job.scan.digest != blob.digest) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} reads as {} here and should as {}",
                                blob.what,
                                job.scan.digest.substr(0, 12),
                                blob.digest.substr(0, 12)),
                    "nothing was sent; import the image again");
    }
    if (goes_on) {
        job.volume = volume;
        return;
    }
    if (volume) {
        volume->remove();
    }
    pool_.require_space(kin == nullptr ? job.scan.bytes : job.source->size());
    write_mark(blob.name, job.mark);
    const virt::NewVolume wanted{.name = blob.name, .capacity = job.source->size()};
    job.volume = kin == nullptr ? pool_.create(wanted)
                                : pool_.clone(wanted, pool_.volume(kin->name).value());
    job.mark.state = Mark::State::sending;
    write_mark(blob.name, job.mark);
}

void BlobShelf::send_range(const Job& job, const Range& range) const
{
    std::vector<std::byte> piece(std::min<std::uint64_t>(range.length, piece_size));
    std::uint64_t done = 0;
    job.volume->upload(range.offset, range.length, [&]() -> std::span<const std::byte> {
        check_cancel();
        const auto now = std::min<std::uint64_t>(range.length - done, piece.size());
        const auto part = std::span(piece).first(static_cast<std::size_t>(now));
        if (!part.empty()) {
            job.source->read(range.offset + done, part);
        }
        done += now;
        return part;
    });
    moved(range.length, 0);
}

void BlobShelf::send(Job& job) const
{
    auto marked = std::chrono::steady_clock::now();
    for (const auto& range : job.scan.ranges) {
        const auto end = range.offset + range.length;
        if (end <= job.mark.sent) {
            continue;
        }
        send_range(job, range);
        job.mark.sent = end;
        if (std::chrono::steady_clock::now() - marked >= mark_interval) {
            write_mark(job.blob.name, job.mark);
            marked = std::chrono::steady_clock::now();
        }
    }
}

/// Blocks all over the volume, and one of each of the first changed ranges, as the source has them.
bool BlobShelf::sample_agrees(const Job& job) const
{
    const auto size = job.source->size();
    std::vector<std::uint64_t> offsets;
    for (std::size_t i = 0; i < sample_blocks / 2; ++i) {
        offsets.push_back(size / (sample_blocks / 2) * i);
    }
    const auto step = std::max<std::size_t>(1, job.scan.ranges.size() / (sample_blocks / 2));
    for (std::size_t i = 0; i < job.scan.ranges.size(); i += step) {
        offsets.push_back(job.scan.ranges[i].offset);
    }
    for (const auto offset : offsets) {
        std::vector<std::byte> here(std::min<std::uint64_t>(sample_block, size - offset));
        job.source->read(offset, here);
        std::vector<std::byte> there;
        job.volume->download(
            offset, here.size(), [&](std::span<const std::byte> bytes, std::uint64_t length) {
                moved(0, bytes.size());
                there.insert(there.end(), bytes.begin(), bytes.end());
                there.resize(there.size() + (bytes.empty() ? length : 0));
            });
        if (here != there) {
            return false;
        }
    }
    return true;
}

void BlobShelf::finish(Job& job) const
{
    const auto identity = identity_of(*job.volume);
    const bool right = job.had ? sample_agrees(job) : digest_of(*job.volume) == job.blob.digest;
    // What it was copied from must have been the proven file all the while.
    if (!right || (job.had && !is_proven(job.mark.from))) {
        job.volume->remove();
        throw Error(ErrorCode::corrupt,
                    job.blob.what + " did not arrive on the host as it was sent; it was removed",
                    "run the same command again; if it fails again, look at the host's disk");
    }
    job.mark = {
        .state = Mark::State::proven, .from = job.mark.from, .sent = 0, .written = identity};
    write_mark(job.blob.name, job.mark);
}

void BlobShelf::ship(const Blob& blob) const
{
    Job job{.blob = blob, .mark = read_mark(blob.name), .source = blob.open(), .had = nullptr};
    prepare(job);
    send(job);
    finish(job);
}

} // namespace stemma::deployer
