#include "stemma/core/error.hpp"
#include "stemma/volume/volume.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <unordered_map>

namespace stemma::volume {

namespace {

constexpr std::size_t line_size = std::size_t{64} << 10U;

struct Line {
    std::uint64_t number = 0;
    bool dirty = false;
    std::vector<std::byte> bytes;
};

/// Gathers neighbours so that they go out in one access.
class RunWriter {
public:
    explicit RunWriter(Volume& volume) : volume_(volume) {}

    void add(std::uint64_t offset, std::span<const std::byte> bytes)
    {
        constexpr std::size_t most = std::size_t{2} << 20U;
        if (start_ + run_.size() != offset || run_.size() >= most) {
            finish();
            start_ = offset;
        }
        run_.insert(run_.end(), bytes.begin(), bytes.end());
    }

    void finish()
    {
        if (!run_.empty()) {
            volume_.write(start_, run_);
            run_.clear();
        }
    }

private:
    Volume& volume_;
    std::uint64_t start_ = 0;
    std::vector<std::byte> run_;
};

} // namespace

struct CachedVolume::State {
    Volume& inner;
    std::uint64_t size;
    std::size_t capacity;    ///< lines
    std::size_t dirty = 0;   ///< lines that the volume lacks
    std::list<Line> lines{}; ///< most recently used first
    std::unordered_map<std::uint64_t, std::list<Line>::iterator> by_number{};

    Line* find(std::uint64_t number)
    {
        const auto found = by_number.find(number);
        if (found == by_number.end()) {
            return nullptr;
        }
        lines.splice(lines.begin(), lines, found->second);
        return &lines.front();
    }

    /// The line, made when it is not here; its old content is read unless it will be overwritten.
    Line& fetch(std::uint64_t number, bool overwritten)
    {
        if (Line* line = find(number)) {
            return *line;
        }
        const std::uint64_t rest = size - number * line_size;
        Line fresh;
        fresh.number = number;
        fresh.bytes.resize(static_cast<std::size_t>(std::min<std::uint64_t>(line_size, rest)));
        if (!overwritten) {
            inner.read(number * line_size, fresh.bytes);
        }
        if (lines.size() >= capacity) {
            if (lines.back().dirty) {
                write_out();
            }
            by_number.erase(lines.back().number);
            lines.pop_back();
        }
        lines.push_front(std::move(fresh));
        by_number[number] = lines.begin();
        return lines.front();
    }

    void mark_dirty(Line& line)
    {
        dirty += line.dirty ? 0 : 1;
        line.dirty = true;
    }

    void write_out()
    {
        if (dirty == 0) {
            return;
        }
        std::map<std::uint64_t, Line*> in_order;
        for (Line& line : lines) {
            if (line.dirty) {
                in_order.emplace(line.number, &line);
            }
        }
        RunWriter writer(inner);
        for (const auto& [number, line] : in_order) {
            writer.add(number * line_size, line->bytes);
        }
        writer.finish();
        for (const auto& [number, line] : in_order) {
            line->dirty = false;
        }
        dirty = 0;
    }

    /// How many whole lines from `number` on, at most `most`, are not here.
    [[nodiscard]] std::size_t missing_run(std::uint64_t number, std::size_t most) const
    {
        std::size_t count = 0;
        while (count < most && !by_number.contains(number + count)) {
            ++count;
        }
        return count;
    }
};

CachedVolume::CachedVolume(std::unique_ptr<Volume> inner, std::size_t memory)
    : inner_(std::move(inner)), size_(inner_->size())
{
    const std::size_t capacity = std::max(memory, std::size_t{1} << 20U) / line_size;
    state_ = std::make_unique<State>(State{.inner = *inner_, .size = size_, .capacity = capacity});
}

CachedVolume::~CachedVolume() = default;

std::string CachedVolume::name() const
{
    return inner_->name();
}

bool CachedVolume::writable() const
{
    return inner_->writable();
}

void CachedVolume::read(std::uint64_t offset, std::span<std::byte> into)
{
    if (into.size() > size_ || offset > size_ - into.size()) {
        inner_->read(offset, into); // words the complaint
        return;
    }
    while (!into.empty()) {
        const std::uint64_t number = offset / line_size;
        const std::size_t within = offset % line_size;
        std::size_t count = 0;
        // A long read goes past the cache, which would gain nothing from it.
        const std::size_t whole = within == 0 ? into.size() / line_size : 0;
        if (const std::size_t run = state_->missing_run(number, whole); run > 0) {
            count = run * line_size;
            inner_->read(offset, into.first(count));
        } else {
            const Line& line = state_->fetch(number, false);
            count = std::min(into.size(), line.bytes.size() - within);
            std::copy_n(
                line.bytes.begin() + static_cast<std::ptrdiff_t>(within), count, into.begin());
        }
        into = into.subspan(count);
        offset += count;
    }
}

void CachedVolume::write(std::uint64_t offset, std::span<const std::byte> data)
{
    if (!writable() || data.size() > size_ || offset > size_ - data.size()) {
        inner_->write(offset, data); // words the complaint
        return;
    }
    while (!data.empty()) {
        const std::uint64_t number = offset / line_size;
        const std::size_t within = offset % line_size;
        const std::size_t whole = static_cast<std::size_t>(
            std::min<std::uint64_t>(line_size, size_ - number * line_size));
        const std::size_t count = std::min(data.size(), whole - within);
        Line& line = state_->fetch(number, count == whole);
        std::copy_n(data.begin(), count, line.bytes.begin() + static_cast<std::ptrdiff_t>(within));
        state_->mark_dirty(line);
        data = data.subspan(count);
        offset += count;
    }
}

void CachedVolume::flush()
{
    state_->write_out();
    inner_->flush();
}

std::vector<Extent> CachedVolume::extents(std::uint64_t offset, std::uint64_t length)
{
    state_->write_out();
    return inner_->extents(offset, length);
}

} // namespace stemma::volume
