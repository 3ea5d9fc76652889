#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/filesystem.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace stemma::volume {

namespace {

constexpr std::size_t piece = std::size_t{1} << 20U;
constexpr std::size_t most_entries = 1'000'000;

struct CloseFolder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};
using FolderHandle = std::unique_ptr<DIR, CloseFolder>;

NodeKind kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return NodeKind::directory;
    case S_IFLNK:
        return NodeKind::symlink;
    case S_IFIFO:
        return NodeKind::fifo;
    case S_IFSOCK:
        return NodeKind::socket;
    case S_IFCHR:
        return NodeKind::char_device;
    case S_IFBLK:
        return NodeKind::block_device;
    default:
        return NodeKind::file;
    }
}

/// Nothing has that name: also where a leading component is no folder or links go round.
bool is_absence(int error_number)
{
    return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP ||
           error_number == ENAMETOOLONG;
}

/// A file descriptor under the one name by which calls that want a path can use it; also how an
/// O_PATH descriptor is opened for reading.
std::string by_descriptor(const Fd& fd)
{
    return fmt::format("/proc/self/fd/{}", fd.get());
}

/// The kernel resolves every path below the root's descriptor (RESOLVE_IN_ROOT): neither links nor
/// ".." lead out, whatever somebody changes meanwhile.
class FolderTree final : public Filesystem {
public:
    explicit FolderTree(const std::string& path)
        : name_(path), root_(open_file(path, O_RDONLY | O_DIRECTORY))
    {
        struct stat info {};
        if (::fstat(root_.get(), &info) != 0) {
            throw system_error(errno, fmt::format("look at {}", path));
        }
        device_ = info.st_dev;
    }

    [[nodiscard]] std::string driver() const override { return "folder"; }

    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) override
    {
        return look_at(open_below(path, O_PATH | O_NOFOLLOW), path);
    }

    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) override
    {
        return look_at(open_below(path, O_PATH), path);
    }

    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) override;
    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override;
    [[nodiscard]] std::string read_link(const std::string& path) override;
    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) override;

private:
    /// An empty Fd when nothing has that name.
    [[nodiscard]] Fd open_below(const std::string& path, int flags) const
    {
        if (path.find('\0') != std::string::npos) {
            return {};
        }
        ::open_how how{};
        how.flags = static_cast<__u64>(flags | O_CLOEXEC);
        how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        for (;;) {
            const auto fd = ::syscall(
                SYS_openat2, root_.get(), path.empty() ? "/" : path.c_str(), &how, sizeof how);
            if (fd >= 0) {
                return Fd(static_cast<int>(fd));
            }
            if (is_absence(errno)) {
                return {};
            }
            if (errno != EINTR && errno != EAGAIN) {
                throw system_error(errno, fmt::format("open {} in {}", printable(path), name_));
            }
        }
    }

    [[nodiscard]] Fd open_existing(const std::string& path, int flags) const
    {
        auto fd = open_below(path, flags);
        if (!fd) {
            throw Error(ErrorCode::not_found,
                        fmt::format("there is no {} in {}", printable(path), name_));
        }
        return fd;
    }

    [[nodiscard]] std::optional<NodeInfo> look_at(const Fd& fd, const std::string& path) const
    {
        if (!fd) {
            return std::nullopt;
        }
        struct stat info {};
        if (::fstat(fd.get(), &info) != 0) {
            throw system_error(errno, fmt::format("look at {} in {}", printable(path), name_));
        }
        NodeInfo result;
        result.kind = kind_of(info.st_mode);
        result.mode = info.st_mode & 07777U;
        result.uid = info.st_uid;
        result.gid = info.st_gid;
        result.size = static_cast<std::uint64_t>(info.st_size);
        // Inodes of another mounted filesystem must not look like those of this one.
        constexpr std::uint64_t spread = 0x9e3779b97f4a7c15ULL;
        result.inode = info.st_ino ^ (info.st_dev == device_ ? 0 : info.st_dev * spread);
        result.links = static_cast<std::uint32_t>(info.st_nlink);
        result.modified = Time(
            std::chrono::seconds(info.st_mtim.tv_sec) +
            std::chrono::microseconds(info.st_mtim.tv_nsec / 1000)); // NOLINT: below the second
        return result;
    }

    std::string name_;
    Fd root_;
    dev_t device_ = 0;
};

NodeKind kind_of_entry(const dirent& entry, int folder)
{
    if (entry.d_type != DT_UNKNOWN) {
        return kind_of(static_cast<mode_t>(DTTOIF(entry.d_type)));
    }
    struct stat info {};
    if (::fstatat(folder, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
        return NodeKind::file;
    }
    return kind_of(info.st_mode);
}

std::vector<FolderEntry> FolderTree::list(const std::string& path)
{
    auto fd = open_existing(path, O_PATH);
    const auto info = look_at(fd, path);
    if (info->kind != NodeKind::directory) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a folder", printable(path)));
    }
    const FolderHandle folder(::opendir(by_descriptor(fd).c_str()));
    if (!folder) {
        throw system_error(errno, fmt::format("list {} in {}", printable(path), name_));
    }
    std::vector<FolderEntry> entries;
    for (;;) {
        errno = 0;
        const auto* entry = ::readdir(folder.get()); // NOLINT(concurrency-mt-unsafe): own stream
        if (entry == nullptr) {
            break;
        }
        const std::string_view entry_name(entry->d_name);
        if (entry_name == "." || entry_name == "..") {
            continue;
        }
        if (entries.size() == most_entries) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} has more than {} entries", printable(path), most_entries));
        }
        entries.push_back({std::string(entry_name), kind_of_entry(*entry, ::dirfd(folder.get()))});
    }
    if (errno != 0) {
        throw system_error(errno, fmt::format("list {} in {}", printable(path), name_));
    }
    std::sort(entries.begin(), entries.end(), [](const FolderEntry& a, const FolderEntry& b) {
        return a.name < b.name;
    });
    return entries;
}

void FolderTree::read(const std::string& path, const std::function<bool(std::string_view)>& sink)
{
    // Looked at first, opened then: opening a FIFO would wait, opening a device may do things.
    const auto node = open_existing(path, O_PATH);
    if (look_at(node, path)->kind != NodeKind::file) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a regular file", printable(path)));
    }
    const Fd fd(::open(by_descriptor(node).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd) {
        throw system_error(errno, fmt::format("read {} in {}", printable(path), name_));
    }
    std::string buffer(piece, '\0');
    for (;;) {
        const auto got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            throw system_error(errno, fmt::format("read {} in {}", printable(path), name_));
        }
        if (got == 0 || !sink({buffer.data(), static_cast<std::size_t>(got)})) {
            return;
        }
    }
}

std::string FolderTree::read_link(const std::string& path)
{
    const auto fd = open_existing(path, O_PATH | O_NOFOLLOW);
    if (look_at(fd, path)->kind != NodeKind::symlink) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a symbolic link", printable(path)));
    }
    std::string target(PATH_MAX, '\0');
    const auto size = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (size < 0) {
        throw system_error(errno, fmt::format("read the link {} in {}", printable(path), name_));
    }
    target.resize(static_cast<std::size_t>(size));
    return target;
}

std::map<std::string, std::string> FolderTree::extended_attributes(const std::string& path)
{
    const auto node = open_existing(path, O_PATH | O_NOFOLLOW);
    if (look_at(node, path)->kind == NodeKind::symlink) {
        return {}; // its descriptor's name would lead to the target
    }
    const auto name = by_descriptor(node);
    std::string names(XATTR_LIST_MAX, '\0');
    const auto size = ::listxattr(name.c_str(), names.data(), names.size());
    if (size < 0) {
        if (errno == ENOTSUP || errno == EPERM) {
            return {};
        }
        throw system_error(errno, fmt::format("list the attributes of {}", printable(path)));
    }
    names.resize(static_cast<std::size_t>(size));
    std::map<std::string, std::string> result;
    std::string value(XATTR_SIZE_MAX, '\0');
    for (const auto attribute : split(names, '\0')) {
        const std::string key(attribute);
        const auto length =
            key.empty() ? -1 : ::getxattr(name.c_str(), key.c_str(), value.data(), value.size());
        if (length >= 0) {
            result.emplace(key, value.substr(0, static_cast<std::size_t>(length)));
        }
    }
    return result;
}

} // namespace

std::unique_ptr<Filesystem> open_folder(const std::string& path)
{
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
        throw system_error(errno, fmt::format("open {}", path));
    }
    if (!S_ISDIR(info.st_mode)) {
        throw Error(ErrorCode::usage, fmt::format("{} is not a folder", path));
    }
    return std::make_unique<FolderTree>(path);
}

} // namespace stemma::volume
