#include "stemma/core/error.hpp"
#include "stemma/fat/fat.hpp"
#include "stemma/volume/node_tree.hpp"

#include <algorithm>

#include "folder.hpp"

namespace stemma::fat {

namespace {

using volume::FolderEntry;
using volume::NodeInfo;
using volume::NodeKind;

/// A node is the place of its short entry; the root, which has none, is 0 (the boot sector).
class Reader final : public volume::NodeTree {
public:
    explicit Reader(std::unique_ptr<volume::Volume> volume)
        : volume_(std::move(volume)), table_(*volume_)
    {
    }
    [[nodiscard]] std::string driver() const override
    {
        return fmt::format("fat{}", table_.bits());
    }

protected:
    [[nodiscard]] Node root() override { return 0; }

    [[nodiscard]] std::optional<Node> find(Node folder, const std::string& name) override
    {
        const auto& all = folder_of(folder);
        const auto found = std::find_if(
            all.begin(), all.end(), [&](const Entry& each) { return same_name(each.name, name); });
        return found == all.end() ? std::nullopt : std::optional(found->place);
    }

    [[nodiscard]] NodeInfo info(Node node) override
    {
        NodeInfo info;
        info.inode = node;
        if (node == 0) {
            info.kind = NodeKind::directory;
            info.mode = 0755;
            return info;
        }
        const Entry entry = read_entry(*volume_, node);
        info.kind = entry.is_folder() ? NodeKind::directory : NodeKind::file;
        info.mode = (entry.attributes & attribute_read_only) != 0 ? 0555 : 0755;
        info.size = entry.size;
        info.modified = entry.modified;
        return info;
    }

    [[nodiscard]] std::vector<FolderEntry> entries(Node folder) override
    {
        std::vector<FolderEntry> all;
        for (const Entry& entry : folder_of(folder)) {
            all.push_back({.name = entry.name,
                           .kind = entry.is_folder() ? NodeKind::directory : NodeKind::file});
        }
        return all;
    }

    void give(Node file, const std::function<bool(std::string_view)>& sink) override
    {
        constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
        const Entry entry = read_entry(*volume_, file);
        std::uint64_t left = entry.size;
        const std::uint64_t clusters = (left + table_.cluster_size() - 1) / table_.cluster_size();
        std::string buffer;
        for (const Run& run : table_.runs(entry.cluster, clusters)) {
            for (std::uint64_t done = 0; done < run.length && left > 0;) {
                const std::uint64_t now = std::min({piece, run.length - done, left});
                buffer.resize(static_cast<std::size_t>(now));
                volume_->read(run.offset + done,
                              std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
                if (!sink(buffer)) {
                    return;
                }
                done += now;
                left -= now;
            }
        }
        if (left > 0) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("its chain of clusters is {} bytes too short", left));
        }
    }

private:
    /// Read anew only when another folder is asked for: a walk asks for its entries one by one.
    const std::vector<Entry>& folder_of(Node node)
    {
        if (!known_ || known_folder_ != node) {
            const std::uint32_t cluster = node == 0 ? 0 : read_entry(*volume_, node).cluster;
            known_ = read_folder(table_, cluster);
            known_folder_ = node;
        }
        return *known_;
    }

    std::unique_ptr<volume::Volume> volume_;
    Table table_;
    Node known_folder_ = 0;
    std::optional<std::vector<Entry>> known_;
};

} // namespace

std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume)
{
    return std::make_unique<Reader>(std::move(volume));
}

} // namespace stemma::fat
