#pragma once

#include "stemma/core/cancel.hpp"
#include "stemma/virt/storage.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "shipping.hpp"

namespace stemma::deployer {

/// Content that is to be on a host, under a name that says what it is.
struct Blob {
    std::string name;   ///< of the volume; its mark has ".mark" in place of ".raw"
    std::string what;   ///< for messages: "image web-1"
    std::string digest; ///< sha256 of all bytes; 64 digits
    /// Opens the content on this machine. throws  not_found: it is gone
    std::function<std::unique_ptr<volume::Volume>()> open;
    /// What may be on the host already and is much like it, likest first.
    struct Kin {
        std::string name;
        std::function<std::unique_ptr<volume::Volume>()> open;
    };
    std::vector<Kin> kin{};
};

/// How far a blob was sent, or that it was proven: one small volume beside it.
struct Mark {
    enum class State {
        none,    ///< no mark, or none that can be read
        making,  ///< the volume is being made: nothing of it is worth keeping
        sending, ///< the volume is there; `sent` bytes of its range are right
        proven,  ///< its digest was found right, when it was `written`
    };
    State state = State::none;
    std::string from;       ///< name of the volume that it was copied from; may be empty
    std::uint64_t sent = 0; ///< every range that ends here or before was received
    std::string written;    ///< virt::VolumeFacts::written, and the size, when it was proven
};
std::string to_text(const Mark& mark);
/// Nonsense is State::none.
Mark mark_from(const std::string& text);

/// Files by content in a host's storage pool: sent once, as few bytes as possible, continued after
/// an interruption, proven before they count.
class BlobShelf {
public:
    struct Settings {
        const Cancel* cancel = nullptr; ///< borrowed; may be null
        std::function<void(std::uint64_t sent, std::uint64_t received)> moved{}; ///< may be empty
    };
    BlobShelf(const virt::StoragePool& pool, Settings settings);

    /// It is there and is the very file that was proven. Asks the host; moves a mark's 512 bytes.
    [[nodiscard]] bool is_proven(const std::string& name) const;
    /// After this it is there and proven.
    /// throws  corrupt: the content here or on the host is not what the digest says
    void provide(const Blob& blob) const;
    /// The blob and its mark are gone.
    void remove(const std::string& name) const;

private:
    struct Job;
    void prove_what_is_there(const Blob& blob, const virt::StorageVolume& volume) const;
    void ship(const Blob& blob) const;
    void prepare(Job& job) const;
    void send(Job& job) const;
    void finish(Job& job) const;
    [[nodiscard]] const Blob::Kin* kin_on_host(const Blob& blob) const;
    void send_range(const Job& job, const Range& range) const;
    [[nodiscard]] bool sample_agrees(const Job& job) const;
    [[nodiscard]] std::string digest_of(const virt::StorageVolume& volume) const;
    [[nodiscard]] Mark read_mark(const std::string& name) const;
    void write_mark(const std::string& name, const Mark& mark) const;
    void moved(std::uint64_t sent, std::uint64_t received) const;
    void check_cancel() const;

    const virt::StoragePool& pool_;
    Settings settings_;
};

} // namespace stemma::deployer
