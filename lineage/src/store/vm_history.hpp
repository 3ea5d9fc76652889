#pragma once

#include <optional>
#include <string>
#include <vector>

#include "impl.hpp"

namespace stemma::lineage {

/// A time in which a VM was on one host, with one image, in one state.
struct VmSpan {
    std::int64_t since = 0;
    std::int64_t until = forever;
    std::string host;            ///< empty: not known
    std::optional<Digest> image; ///< nullopt: not known
    std::string state;
    std::string release;
    std::uint64_t seq = 0;    ///< the event that began it
    std::uint64_t placed = 0; ///< the event that put this image on this host
    bool operator==(const VmSpan&) const = default;
};

/// What two events about one VM cannot both be right about.
struct VmConflict {
    std::uint64_t seq = 0;
    std::string reason;
};

/// Folds the events of one VM, in their order, into spans without gaps or overlaps in between.
/// Pure: the same events give the same spans.
class VmHistory {
public:
    /// Starts with what is known already: the last span, or nothing.
    explicit VmHistory(std::optional<VmSpan> last = std::nullopt);

    /// at  never before the event applied last: a clock that went back is held
    void apply(const model::Event& event, std::uint64_t seq, std::int64_t at);

    [[nodiscard]] const std::vector<VmSpan>& spans() const noexcept { return spans_; }
    [[nodiscard]] const std::vector<VmConflict>& conflicts() const noexcept { return conflicts_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    void deploy(const Json& body, std::uint64_t seq, std::int64_t at);
    void see(const Json& body, std::uint64_t seq, std::int64_t at);
    void migrate(const Json& body, std::uint64_t seq, std::int64_t at);
    void retire(std::int64_t at);
    /// Closes the span at `at` and opens one that begins as `wanted`; none when nothing differs.
    void turn(VmSpan wanted, std::uint64_t seq, std::int64_t at);
    [[nodiscard]] VmSpan present() const;
    [[nodiscard]] bool alive() const noexcept;

    std::vector<VmSpan> spans_;
    std::vector<VmConflict> conflicts_;
    std::string name_;
};

/// An event of a VM with what its order depends on.
struct VmFact {
    std::uint64_t seq = 0;
    std::int64_t at = 0;
    std::string origin;
    std::uint64_t oseq = 0;
};

/// Brings facts into the order in which they are applied: by time, but never against the order of
/// their own origin: `at` of an event becomes at least that of the origin's events before it.
void order(std::vector<VmFact>& facts);

} // namespace stemma::lineage
