#include "stemma/core/error.hpp"
#include "stemma/squashfs/squashfs.hpp"
#include "stemma/volume/node_tree.hpp"

#include <sqfs/compressor.h>
#include <sqfs/data_reader.h>
#include <sqfs/dir.h>
#include <sqfs/error.h>
#include <sqfs/id_table.h>
#include <sqfs/inode.h>
#include <sqfs/io.h>
#include <sqfs/meta_reader.h>
#include <sqfs/super.h>
#include <sqfs/xattr.h>
#include <sqfs/xattr_reader.h>

#include <algorithm>
#include <utility>

namespace stemma::squashfs {

namespace {

using volume::NodeInfo;
using volume::NodeKind;

constexpr std::size_t most_entries = std::size_t{1} << 20U;

struct Destroyer {
    void operator()(void* object) const noexcept { ::sqfs_destroy(object); }
};
template <typename T>
using Object = std::unique_ptr<T, Destroyer>;

struct Freer {
    void operator()(void* memory) const noexcept { ::sqfs_free(memory); }
};
template <typename T>
using Memory = std::unique_ptr<T, Freer>;

/// libsquashfs reading through a Volume. What that throws cannot cross the library: it is kept.
struct VolumeFile {
    sqfs_file_t base{}; ///< first, so that the library's pointer is ours
    volume::Volume* volume = nullptr;
    std::exception_ptr failure = nullptr;

    explicit VolumeFile(volume::Volume& on) : volume(&on)
    {
        base.base.destroy = [](sqfs_object_t*) {};
        base.base.copy = [](const sqfs_object_t*) -> sqfs_object_t* { return nullptr; };
        base.read_at = read_at;
        base.write_at = [](sqfs_file_t*, sqfs_u64, const void*, size_t) -> int {
            return SQFS_ERROR_UNSUPPORTED;
        };
        base.get_size = [](const sqfs_file_t* file) -> sqfs_u64 {
            return reinterpret_cast<const VolumeFile*>(file)->volume->size();
        };
        base.truncate = [](sqfs_file_t*, sqfs_u64) -> int { return SQFS_ERROR_UNSUPPORTED; };
    }

    static int read_at(sqfs_file_t* file, sqfs_u64 offset, void* buffer, size_t size) noexcept
    {
        auto& self = *reinterpret_cast<VolumeFile*>(file);
        const std::uint64_t end = self.volume->size();
        if (size > end || offset > end - size) {
            return SQFS_ERROR_OUT_OF_BOUNDS;
        }
        try {
            self.volume->read(offset, std::span(static_cast<std::byte*>(buffer), size));
            return 0;
        } catch (...) {
            self.failure = std::current_exception();
            return SQFS_ERROR_IO;
        }
    }
};

std::string_view words_of(int code)
{
    switch (code) {
    case SQFS_ERROR_ALLOC:
        return "no memory is left for it";
    case SQFS_ERROR_COMPRESSOR:
        return "a block cannot be unpacked";
    case SQFS_ERROR_UNSUPPORTED:
        return "it uses something that libsquashfs does not know";
    case SQFS_ERROR_OUT_OF_BOUNDS:
        return "something lies beyond its end: the image was cut off";
    default:
        return "it contradicts itself";
    }
}

NodeKind kind_of(std::uint16_t type) noexcept
{
    switch (type) {
    case SQFS_INODE_DIR:
    case SQFS_INODE_EXT_DIR:
        return NodeKind::directory;
    case SQFS_INODE_SLINK:
    case SQFS_INODE_EXT_SLINK:
        return NodeKind::symlink;
    case SQFS_INODE_BDEV:
    case SQFS_INODE_EXT_BDEV:
        return NodeKind::block_device;
    case SQFS_INODE_CDEV:
    case SQFS_INODE_EXT_CDEV:
        return NodeKind::char_device;
    case SQFS_INODE_FIFO:
    case SQFS_INODE_EXT_FIFO:
        return NodeKind::fifo;
    case SQFS_INODE_SOCKET:
    case SQFS_INODE_EXT_SOCKET:
        return NodeKind::socket;
    default:
        return NodeKind::file;
    }
}

std::uint32_t links_of(const sqfs_inode_generic_t& inode) noexcept
{
    switch (inode.base.type) {
    case SQFS_INODE_DIR:
        return inode.data.dir.nlink;
    case SQFS_INODE_EXT_DIR:
        return inode.data.dir_ext.nlink;
    case SQFS_INODE_EXT_FILE:
        return inode.data.file_ext.nlink;
    case SQFS_INODE_SLINK:
        return inode.data.slink.nlink;
    case SQFS_INODE_EXT_SLINK:
        return inode.data.slink_ext.nlink;
    default:
        return 1;
    }
}

/// A node is the inode's reference: the place of its block, shifted, and its offset in there.
class Reader final : public volume::ListedTree {
public:
    explicit Reader(std::unique_ptr<volume::Volume> volume)
        : volume_(std::move(volume)), file_(*volume_)
    {
        check(::sqfs_super_read(&super_, &file_.base), "read its superblock");
        if (super_.bytes_used > volume_->size()) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: the file system claims {} bytes, which is more than its "
                                    "disk holds ({} bytes)",
                                    volume_->name(),
                                    super_.bytes_used,
                                    volume_->size()),
                        "the image was cut off");
        }
        expect_fragments();
        open_compressor();
        open_tables();
    }
    [[nodiscard]] std::string driver() const override { return "squashfs"; }

protected:
    [[nodiscard]] Node root() override { return super_.root_inode_ref; }

    [[nodiscard]] Listing read_folder(Node folder) override
    {
        const auto inode = inode_of(folder);
        sqfs_readdir_state_t state{};
        check(::sqfs_readdir_state_init(&state, &super_, inode.get()), "read a folder");
        Listing all;
        for (;;) {
            sqfs_dir_entry_t* raw = nullptr;
            sqfs_u32 number = 0;
            sqfs_u64 reference = 0;
            const int result =
                ::sqfs_meta_reader_readdir(folders_.get(), &state, &raw, &number, &reference);
            check(result, "read a folder");
            const Memory<sqfs_dir_entry_t> entry(raw);
            if (result > 0) {
                break;
            }
            std::string name(reinterpret_cast<const char*>(entry->name),
                             entry->size + std::size_t{1});
            if (volume::is_plain_name(name)) {
                all.insert_or_assign(std::move(name),
                                     Step{.node = reference, .kind = kind_of(entry->type)});
            }
            if (all.size() > most_entries) {
                throw Error(ErrorCode::unsupported,
                            fmt::format("a folder has more than {} entries", most_entries));
            }
        }
        return all;
    }

    [[nodiscard]] NodeInfo info(Node node) override
    {
        const auto inode = inode_of(node);
        NodeInfo info;
        info.kind = kind_of(inode->base.type);
        info.mode = inode->base.mode & 07777U;
        info.uid = id_of(inode->base.uid_idx);
        info.gid = id_of(inode->base.gid_idx);
        info.inode = inode->base.inode_number;
        info.links = links_of(*inode);
        info.modified = Time(std::chrono::seconds(inode->base.mod_time));
        if (info.kind == NodeKind::file) {
            info.size = size_of(*inode);
        } else if (info.kind == NodeKind::symlink) {
            info.size = target(node).size();
        }
        return info;
    }

    void give(Node file, const std::function<bool(std::string_view)>& sink) override
    {
        constexpr std::uint64_t piece = std::uint64_t{1} << 20U;
        const auto inode = inode_of(file);
        const std::uint64_t size = size_of(*inode);
        std::string buffer;
        for (std::uint64_t done = 0; done < size;) {
            buffer.resize(static_cast<std::size_t>(std::min(piece, size - done)));
            const sqfs_s32 got = ::sqfs_data_reader_read(data_.get(),
                                                         inode.get(),
                                                         done,
                                                         buffer.data(),
                                                         static_cast<sqfs_u32>(buffer.size()));
            check(got < 0 ? got : 0, "read its content");
            if (got == 0) {
                throw Error(ErrorCode::corrupt, "its content ends early");
            }
            buffer.resize(static_cast<std::size_t>(got));
            if (!sink(buffer)) {
                return;
            }
            done += buffer.size();
        }
    }

    [[nodiscard]] std::string target(Node link) override
    {
        const auto inode = inode_of(link);
        const std::size_t size = inode->base.type == SQFS_INODE_EXT_SLINK
                                     ? inode->data.slink_ext.target_size
                                     : inode->data.slink.target_size;
        return {reinterpret_cast<const char*>(inode->extra), std::min<std::size_t>(size, 65536)};
    }

    [[nodiscard]] std::map<std::string, std::string> attributes(Node node) override
    {
        constexpr sqfs_u32 none = 0xFFFFFFFF;
        const auto inode = inode_of(node);
        sqfs_u32 index = none;
        check(::sqfs_inode_get_xattr_index(inode.get(), &index), "read extended attributes");
        std::map<std::string, std::string> all;
        if (index == none || xattrs_ == nullptr) {
            return all;
        }
        sqfs_xattr_id_t place{};
        check(::sqfs_xattr_reader_get_desc(xattrs_.get(), index, &place),
              "read extended attributes");
        check(::sqfs_xattr_reader_seek_kv(xattrs_.get(), &place), "read extended attributes");
        for (sqfs_u32 i = 0; i < place.count && i < 4096; ++i) {
            sqfs_xattr_entry_t* raw_key = nullptr;
            check(::sqfs_xattr_reader_read_key(xattrs_.get(), &raw_key),
                  "read extended attributes");
            const Memory<sqfs_xattr_entry_t> key(raw_key);
            sqfs_xattr_value_t* raw_value = nullptr;
            check(::sqfs_xattr_reader_read_value(xattrs_.get(), key.get(), &raw_value),
                  "read extended attributes");
            const Memory<sqfs_xattr_value_t> value(raw_value);
            all.insert_or_assign(
                reinterpret_cast<const char*>(key->key),
                std::string(reinterpret_cast<const char*>(value->value), value->size));
        }
        return all;
    }

private:
    /// The library unpacks the table of fragments as a whole, into memory. 8 KiB of it take ten
    /// bytes of the volume at least: where they lie, how long they are, and themselves.
    void expect_fragments() const
    {
        constexpr std::uint64_t unpacked = 8192;
        constexpr std::uint64_t least_packed = 10;
        const std::uint64_t bytes = super_.fragment_entry_count * std::uint64_t{16};
        if (bytes > (super_.bytes_used / least_packed + 1) * unpacked) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: the file system claims {} fragments, more than its {} "
                                    "bytes can hold",
                                    volume_->name(),
                                    super_.fragment_entry_count,
                                    super_.bytes_used),
                        "the image is damaged, or made to exhaust its reader");
        }
    }

    void check(int code, std::string_view what)
    {
        if (file_.failure != nullptr) {
            std::rethrow_exception(std::exchange(file_.failure, nullptr));
        }
        if (code < 0) {
            throw Error(
                code == SQFS_ERROR_UNSUPPORTED ? ErrorCode::unsupported : ErrorCode::corrupt,
                fmt::format("{}: cannot {} (squashfs): {}", volume_->name(), what, words_of(code)));
        }
    }

    template <typename T>
    static Object<T> made(T* object)
    {
        if (object == nullptr) {
            throw Error(ErrorCode::io, "no memory is left to read a squashfs");
        }
        return Object<T>(object);
    }

    void open_compressor()
    {
        sqfs_compressor_config_t config{};
        check(::sqfs_compressor_config_init(&config,
                                            static_cast<SQFS_COMPRESSOR>(super_.compression_id),
                                            super_.block_size,
                                            SQFS_COMP_FLAG_UNCOMPRESS),
              "choose its compressor");
        sqfs_compressor_t* raw = nullptr;
        check(::sqfs_compressor_create(&config, &raw), "choose its compressor");
        compressor_.reset(raw);
    }

    void open_tables()
    {
        ids_ = made(::sqfs_id_table_create(0));
        check(::sqfs_id_table_read(ids_.get(), &file_.base, &super_, compressor_.get()),
              "read its owners");
        inodes_ = made(::sqfs_meta_reader_create(&file_.base,
                                                 compressor_.get(),
                                                 super_.inode_table_start,
                                                 super_.directory_table_start));
        const sqfs_u64 limit = std::min(
            {super_.id_table_start, super_.fragment_table_start, super_.export_table_start});
        folders_ = made(::sqfs_meta_reader_create(
            &file_.base, compressor_.get(), super_.directory_table_start, limit));
        data_ =
            made(::sqfs_data_reader_create(&file_.base, super_.block_size, compressor_.get(), 0));
        check(::sqfs_data_reader_load_fragment_table(data_.get(), &super_), "read its fragments");
        if ((super_.flags & SQFS_FLAG_NO_XATTRS) == 0) {
            xattrs_ = made(::sqfs_xattr_reader_create(0));
            check(::sqfs_xattr_reader_load(xattrs_.get(), &super_, &file_.base, compressor_.get()),
                  "read its extended attributes");
        }
    }

    Memory<sqfs_inode_generic_t> inode_of(Node node)
    {
        sqfs_inode_generic_t* raw = nullptr;
        check(::sqfs_meta_reader_read_inode(
                  inodes_.get(), &super_, node >> 16U, node & 0xFFFFU, &raw),
              "read an inode");
        return Memory<sqfs_inode_generic_t>(raw);
    }

    std::uint64_t size_of(const sqfs_inode_generic_t& inode)
    {
        sqfs_u64 size = 0;
        check(::sqfs_inode_get_file_size(&inode, &size), "read a file's size");
        return size;
    }

    std::uint32_t id_of(std::uint16_t index)
    {
        sqfs_u32 id = 0;
        check(::sqfs_id_table_index_to_id(ids_.get(), index, &id), "find a file's owner");
        return id;
    }

    std::unique_ptr<volume::Volume> volume_;
    VolumeFile file_;
    sqfs_super_t super_{};
    Object<sqfs_compressor_t> compressor_;
    Object<sqfs_id_table_t> ids_;
    Object<sqfs_meta_reader_t> inodes_;
    Object<sqfs_meta_reader_t> folders_;
    Object<sqfs_data_reader_t> data_;
    Object<sqfs_xattr_reader_t> xattrs_;
};

} // namespace

std::unique_ptr<volume::Filesystem> open_reader(std::unique_ptr<volume::Volume> volume)
{
    return std::make_unique<Reader>(std::move(volume));
}

} // namespace stemma::squashfs
