#include "stemma/core/error.hpp"
#include "stemma/ntfs/ntfs.hpp"
#include "stemma/volume/node_tree.hpp"
#include "stemma/volume/utf16.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "device.hpp"
#include "library.hpp"

namespace stemma::ntfs {

namespace {

using volume::NodeInfo;
using volume::NodeKind;

constexpr std::size_t most_entries = std::size_t{1} << 20U;
constexpr std::uint64_t first_user_record = 16; ///< below are NTFS's own files, but for the root
constexpr std::uint32_t tag_wof = 0x80000017;

struct Unmounter {
    void operator()(ntfs_volume* mounted) const noexcept { ::ntfs_umount(mounted, FALSE); }
};
struct InodeCloser {
    void operator()(ntfs_inode* inode) const noexcept { ::ntfs_inode_close(inode); }
};
struct AttributeCloser {
    void operator()(ntfs_attr* attribute) const noexcept { ::ntfs_attr_close(attribute); }
};
struct Freer {
    void operator()(void* memory) const noexcept
    {
        std::free(memory);
    } // NOLINT(cppcoreguidelines-no-malloc): the library's own memory
};
using InodeHandle = std::unique_ptr<ntfs_inode, InodeCloser>;
using AttributeHandle = std::unique_ptr<ntfs_attr, AttributeCloser>;

using Step = volume::WalkedTree::Step;

struct EntrySink {
    std::map<std::string, Step> entries;
    std::exception_ptr failure = nullptr;
};

// NOLINTNEXTLINE(readability-function-size): libntfs-3g calls it with eight
int take_entry(void* user,
               const ntfschar* name,
               int length,
               int name_type,
               s64 /*position*/,
               MFT_REF reference,
               unsigned type) noexcept
{
    auto& sink = *static_cast<EntrySink*>(user);
    const std::uint64_t record = MREF(reference);
    if (name_type == FILE_NAME_DOS || record < first_user_record || length < 0) {
        return 0; // a second, short name of the same file; or one of NTFS's own
    }
    try {
        auto text = volume::utf8_of(std::span(name, static_cast<std::size_t>(length)));
        if (volume::is_plain_name(text)) {
            const NodeKind kind = type == NTFS_DT_DIR   ? NodeKind::directory
                                  : type == NTFS_DT_LNK ? NodeKind::symlink
                                                        : NodeKind::file;
            sink.entries.insert_or_assign(std::move(text), Step{.node = record, .kind = kind});
        }
        if (sink.entries.size() > most_entries) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("a folder has more than {} entries", most_entries));
        }
        return 0;
    } catch (...) {
        sink.failure = std::current_exception();
        return -1;
    }
}

Time time_of(ntfs_time time)
{
    constexpr std::int64_t seconds_to_1970 = 11'644'473'600;
    const auto tenths = static_cast<std::int64_t>(sle64_to_cpu(time)); // of a microsecond
    return Time(std::chrono::microseconds(tenths / 10 - seconds_to_1970 * 1'000'000));
}

/// A node is a file's number in the MFT.
class Reader final : public volume::ListedTree {
public:
    explicit Reader(std::unique_ptr<volume::Volume> volume) : volume_(std::move(volume))
    {
        ::ntfs_log_set_handler(::ntfs_log_handler_null); // what it says is in errno, too
        target_.volume = volume_.get();
        expect_whole();
        ntfs_device* device = make_device(target_);
        mounted_.reset(device == nullptr
                           ? nullptr
                           : ::ntfs_device_mount(device, NTFS_MNT_RDONLY | NTFS_MNT_FORENSIC));
        if (mounted_ == nullptr) {
            const int why = errno;
            if (device != nullptr) {
                ::ntfs_device_free(device); // a mounted volume frees its own
            }
            errno = why;
            fail("open the NTFS");
        }
    }
    [[nodiscard]] std::string driver() const override
    {
        if (::ntfs_volume_check_hiberfile(mounted_.get(), 0) != 0) {
            return "ntfs (of a hibernated Windows)";
        }
        return (mounted_->flags & VOLUME_IS_DIRTY) != 0 ? "ntfs (not closed cleanly)" : "ntfs";
    }

protected:
    [[nodiscard]] Node root() override { return FILE_root; }

    [[nodiscard]] Listing read_folder(Node folder) override
    {
        const auto inode = inode_of(folder);
        EntrySink sink;
        s64 position = 0;
        const int result = ::ntfs_readdir(inode.get(), &position, &sink, take_entry);
        if (sink.failure != nullptr) {
            std::rethrow_exception(sink.failure);
        }
        if (result != 0) {
            fail("read a folder");
        }
        return std::move(sink.entries);
    }

    [[nodiscard]] NodeInfo info(Node node) override
    {
        const auto inode = inode_of(node);
        NodeInfo info;
        info.inode = node;
        info.links = le16_to_cpu(inode->mrec->link_count);
        info.mode = (inode->flags & FILE_ATTR_READONLY) != 0 ? 0555 : 0755;
        info.modified = time_of(inode->last_data_change_time);
        if (::ntfs_possible_symlink(inode.get()) != FALSE) {
            info.kind = NodeKind::symlink;
        } else if ((inode->mrec->flags & MFT_RECORD_IS_DIRECTORY) != 0) {
            info.kind = NodeKind::directory;
        } else {
            info.size = static_cast<std::uint64_t>(std::max<s64>(inode->data_size, 0));
        }
        return info;
    }

    void give(Node file, const std::function<bool(std::string_view)>& sink) override
    {
        constexpr s64 piece = s64{1} << 20U;
        const auto inode = inode_of(file);
        expect_plain(*inode);
        const AttributeHandle data(::ntfs_attr_open(inode.get(), AT_DATA, AT_UNNAMED, 0));
        if (data == nullptr) {
            fail("read its content");
        }
        std::string buffer;
        for (s64 done = 0; done < data->data_size;) {
            const s64 now = std::min(piece, data->data_size - done);
            buffer.resize(static_cast<std::size_t>(now));
            if (::ntfs_attr_pread(data.get(), done, now, buffer.data()) != now) {
                fail("read its content");
            }
            if (!sink(buffer)) {
                return;
            }
            done += now;
        }
    }

    [[nodiscard]] std::string target(Node link) override
    {
        const auto inode = inode_of(link);
        const std::unique_ptr<char, Freer> text(::ntfs_make_symlink(inode.get(), ""));
        if (text == nullptr) {
            fail("read a link");
        }
        return text.get();
    }

private:
    [[noreturn]] void fail(std::string_view what)
    {
        const int number = errno;
        if (target_.failure != nullptr) {
            std::rethrow_exception(std::exchange(target_.failure, nullptr));
        }
        throw Error(
            number == EOPNOTSUPP || number == EACCES ? ErrorCode::unsupported : ErrorCode::corrupt,
            fmt::format("{}: cannot {}: {}",
                        volume_->name(),
                        what,
                        std::strerror(number))); // NOLINT(concurrency-mt-unsafe): one thread
    }

    void expect_whole()
    {
        std::array<std::byte, 512> boot{};
        if (volume_->size() < boot.size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} is too small for an NTFS", volume_->name()));
        }
        volume_->read(0, boot);
        const std::uint64_t sector = volume::le16(boot, 11);
        const std::uint64_t sectors = volume::le64(boot, 40);
        if (sector != 0 && sectors > volume_->size() / sector) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: the file system claims {} sectors of {} bytes, which is "
                                    "more than its disk holds ({} bytes)",
                                    volume_->name(),
                                    sectors,
                                    sector,
                                    volume_->size()),
                        "the image was cut off, or its partition is smaller than the file system");
        }
    }

    InodeHandle inode_of(Node node)
    {
        InodeHandle inode(::ntfs_inode_open(mounted_.get(), node));
        if (inode == nullptr) {
            fail(fmt::format("open file number {}", node));
        }
        return inode;
    }

    static void expect_plain(ntfs_inode& inode)
    {
        if ((inode.flags & FILE_ATTR_ENCRYPTED) != 0) {
            throw Error(ErrorCode::unsupported, "it is encrypted by Windows");
        }
        if ((inode.flags & FILE_ATTR_REPARSE_POINT) == 0) {
            return;
        }
        const std::unique_ptr<REPARSE_POINT, Freer> point(::ntfs_get_reparse_point(&inode));
        if (point != nullptr && le32_to_cpu(point->reparse_tag) == tag_wof) {
            throw Error(ErrorCode::unsupported,
                        "it is compressed by Windows (WOF), which is not read here");
        }
    }

    std::unique_ptr<volume::Volume> volume_;
    DeviceTarget target_;
    std::unique_ptr<ntfs_volume, Unmounter> mounted_;
};

} // namespace

std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume)
{
    return std::make_unique<Reader>(std::move(volume));
}

} // namespace stemma::ntfs
