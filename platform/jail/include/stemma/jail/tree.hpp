#pragma once

#include "stemma/jail/process.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace stemma::jail {

/// Gets sentences about what was chosen and why.
using Explain = std::function<void(const std::string&)>;

/// Opens the file tree on a volume. Runs in the jail.
using TreeOpener = std::function<std::unique_ptr<volume::Filesystem>(
    std::unique_ptr<volume::Volume> volume, const Explain& explain)>;

/// A file tree whose driver runs in a process of its own.
class Tree : public volume::Filesystem {
public:
    /// What another confined process must keep to ask it in our place.
    [[nodiscard]] virtual std::vector<int> descriptors() const = 0;
};

/// Lets `open` and the driver that it chooses run in a jail that can read `volume` and nothing
/// else; the answer asks it. Errors come through as they are; a crash or a broken limit is an error
/// of its own, after which gone() is true.
///
/// volume  owned by the answer; must not be used elsewhere meanwhile
/// cost    about a millisecond to start; 30 µs for a question; content goes through a socket. What
///         a folder's entries are comes with the folder's list, so that a walk asks once per folder
std::unique_ptr<Tree> open_tree(std::unique_ptr<volume::Volume> volume,
                                const TreeOpener& open,
                                const Explain& explain = {},
                                const Limits& limits = {});

/// The same for a driver that finds its bytes by itself, with the freedom that `limits` give it.
///
/// name   what messages call that which is read
/// needs  what `open` uses outside of its process: kept as long as the answer
std::unique_ptr<Tree>
open_tree_apart(std::string name,
                const std::function<std::unique_ptr<volume::Filesystem>(const Explain&)>& open,
                std::shared_ptr<void> needs,
                const Explain& explain,
                const Limits& limits);

} // namespace stemma::jail
