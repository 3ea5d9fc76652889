#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>

namespace stemma::lineage::test {

/// How many times a fault is tried: so often in every run, a thousand times at night.
inline std::uint64_t rounds(std::uint64_t usually)
{
    const char* wanted = std::getenv("STEMMA_FAULTS"); // NOLINT(concurrency-mt-unsafe)
    return wanted == nullptr ? usually : std::stoull(wanted);
}

/// A disk that loses power: while it lives, every file that SQLite opens goes through it, and at a
/// chosen write it leaves behind, in another folder, what a disk could hold if the power went at
/// that moment. Whatever was not synced is there, gone, or torn at a sector, as the seed decides.
class TornDisk {
public:
    struct Loss {
        std::uint64_t write = 0; ///< the power goes at this write
        std::uint64_t seed = 0;
        std::filesystem::path folder; ///< takes what is left of the files
        std::function<void()> lost;   ///< called then
    };
    explicit TornDisk(Loss loss);
    ~TornDisk();
    TornDisk(const TornDisk&) = delete;
    TornDisk& operator=(const TornDisk&) = delete;

    [[nodiscard]] std::uint64_t writes() const;
    /// Takes so many more bytes; then it is full.
    void set_room(std::uint64_t bytes);

    struct State;

private:
    std::unique_ptr<State> state_;
};

} // namespace stemma::lineage::test
