#pragma once

#include "stemma/core/error.hpp"
#include "stemma/volume/filesystem.hpp"
#include "stemma/volume/volume.hpp"

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

/// What the fuzz targets of file system drivers share.
namespace stemma::fuzz {

using Opener = std::unique_ptr<volume::Filesystem> (*)(std::unique_ptr<volume::Volume>);

/// Looks at everything that a tree holds, up to a bound of content. Refusing is right; a name that
/// leads astray is not.
inline void visit_all(volume::Filesystem& tree)
{
    std::uint64_t budget = std::uint64_t{16} << 20U;
    std::size_t nodes = 20'000;
    const auto ignore = [](const std::string&, const std::string&) {};
    volume::walk(
        tree,
        "/",
        [&](const std::string& path, const volume::NodeInfo& info) {
            if (path.find("//") != std::string::npos || path.find("/../") != std::string::npos) {
                std::abort();
            }
            if (nodes == 0) {
                return false;
            }
            --nodes;
            (void)tree.extended_attributes(path);
            if (info.kind == volume::NodeKind::symlink) {
                (void)tree.read_link(path);
                (void)tree.look_through(path);
            }
            if (info.kind == volume::NodeKind::file) {
                tree.read(path, [&](std::string_view piece) {
                    budget -= std::min<std::uint64_t>(budget, piece.size());
                    return budget > 0;
                });
            }
            return true;
        },
        ignore);
}

inline int run_driver(const std::uint8_t* data, std::size_t size, Opener open)
{
    try {
        const auto* bytes = reinterpret_cast<const std::byte*>(data);
        const auto tree = open(
            std::make_unique<volume::MemoryVolume>(std::vector<std::byte>(bytes, bytes + size)));
        visit_all(*tree);
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): refusing is right
    }
    return 0;
}

} // namespace stemma::fuzz
