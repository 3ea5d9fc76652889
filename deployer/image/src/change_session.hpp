#pragma once

#include "stemma/ext/editor.hpp"
#include "stemma/volume/partition.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "appliance.hpp"
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

    /// Runs a script in a VM that has the image as its root, on top of what was changed so far; the
    /// editor is another one afterwards.
    /// throws  as run_in_appliance(); corrupt: e2fsck finds something afterwards
    ApplianceResult run_in_vm(const std::string& script,
                              const std::map<std::string, std::filesystem::path>& files);
    /// The same by the image's programs on this machine, on a copy (chroot.hpp).
    ApplianceResult run_in_copy(const std::string& script,
                                const std::map<std::string, std::filesystem::path>& files);
    /// By the mode: appliance or chroot.
    ApplianceResult run_by(Mode mode,
                           const std::string& script,
                           const std::map<std::string, std::filesystem::path>& files);
    [[nodiscard]] Time now() const noexcept { return now_; }

    /// Writes, checks the file system, publishes, records. Callable once.
    Change finish(NewVersion& version);

private:
    void open_editor();

    World& world_;
    std::string name_; ///< of the base, for messages
    Transaction transaction_;
    volume::Partition root_;
    std::optional<volume::Mapped> region_;
    Time now_{};
    std::optional<ext::Editor> editor_;
};

} // namespace stemma::image
