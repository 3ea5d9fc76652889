#pragma once

#include "stemma/ext/editor.hpp"
#include "stemma/volume/partition.hpp"

#include <optional>

#include "record.hpp"

namespace stemma::image {

/// The image that a change starts from, as a recorded one in our folder: a plain file is imported
/// first, under its own name.
lineage::ImageInfo recorded_base(World& world, const Selected& base);

/// One change of an image: the overlay, its root file system, and the editor on it.
class ChangeSession {
public:
    /// newest_input  the newest date of what goes in; without SOURCE_DATE_EPOCH all dates come from
    ///               the inputs: same inputs, same bytes
    ChangeSession(World& world, const lineage::ImageInfo& base, std::optional<Time> newest_input);

    [[nodiscard]] ext::Editor& editor() { return *editor_; }
    [[nodiscard]] Time now() const noexcept { return now_; }

    /// Writes, checks the file system, publishes, records. Callable once.
    Change finish(NewVersion& version);

private:
    World& world_;
    Transaction transaction_;
    volume::Partition root_;
    volume::Mapped region_;
    Time now_{};
    std::optional<ext::Editor> editor_;
};

} // namespace stemma::image
