#include "reader.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/path_walk.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

namespace stemma::guestfs {

namespace {

using volume::FolderEntry;
using volume::NodeInfo;
using volume::NodeKind;

constexpr std::size_t most_entries = std::size_t{1} << 20U; ///< of a folder, as every driver has it
constexpr std::size_t most_known = std::size_t{1} << 16U;   ///< nodes kept from lists
constexpr int piece = 1 << 20;                              ///< bytes of one read

template <typename Thing>
using Owned = std::unique_ptr<Thing, void (*)(Thing*)>;

struct Freer {
    void operator()(char* text) const noexcept { std::free(text); } // NOLINT: malloc's, by contract
};
using Text = std::unique_ptr<char, Freer>;

NodeKind kind_of(std::int64_t mode)
{
    switch (static_cast<std::uint64_t>(mode) & S_IFMT) {
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

NodeInfo node_of(const GuestfsStat& stat)
{
    return {.kind = kind_of(stat.mode),
            .mode = static_cast<std::uint32_t>(stat.mode) & 07777U,
            .uid = static_cast<std::uint32_t>(stat.uid),
            .gid = static_cast<std::uint32_t>(stat.gid),
            .size = static_cast<std::uint64_t>(stat.size),
            .inode = static_cast<std::uint64_t>(stat.ino),
            .links = static_cast<std::uint32_t>(stat.nlink),
            .modified = Time(std::chrono::seconds(stat.mtime_sec) +
                             std::chrono::microseconds(stat.mtime_nsec / 1000))};
}

/// Nothing has that name; as a kernel says it.
bool is_nothing(int number)
{
    return number == ENOENT || number == ENOTDIR || number == ELOOP || number == ENAMETOOLONG;
}

/// A path as the library's daemon wants it: absolute, and not to be mistaken for anything else.
std::string absolute(const std::string& path)
{
    return path.starts_with('/') ? path : "/" + path;
}

using Attributes = std::map<std::string, std::string>;

class MountedTree final : public volume::Filesystem {
public:
    MountedTree(const Functions& library,
                guestfs_h* handle,
                std::string driver,
                std::map<std::string, std::string> missing)
        : library_(library),
          handle_(handle),
          driver_(std::move(driver)),
          missing_(std::move(missing))
    {
    }

    [[nodiscard]] std::string driver() const override { return driver_; }

    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) override
    {
        expect_mounted(path, Part::inside);
        const auto known = known_.find(path);
        return known != known_.end() ? known->second : stat_by(library_.lstatns, path);
    }

    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) override
    {
        expect_mounted(path, Part::inside);
        return stat_by(library_.statns, path);
    }

    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) override
    {
        expect_mounted(path, Part::all);
        expect_kind(path, NodeKind::directory, "a folder");
        const Owned<GuestfsDirentList> found(library_.readdir(handle_, absolute(path).c_str()),
                                             library_.free_dirent_list);
        if (found == nullptr) {
            throw failure(path);
        }
        if (found->len > most_entries) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} has more than {} entries", printable(path), most_entries));
        }
        std::vector<std::string> names;
        for (std::uint32_t i = 0; i < found->len; ++i) {
            if (volume::is_plain_name(found->val[i].name)) {
                names.emplace_back(found->val[i].name);
            }
        }
        std::sort(names.begin(), names.end());
        listed_ = path;
        names_ = names;
        attributes_.reset();
        return look_at_all(path, names);
    }

    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override
    {
        const auto info = expect_kind(path, NodeKind::file, "a regular file");
        std::uint64_t at = 0;
        while (at < info.size) {
            std::size_t got = 0;
            const Text content(library_.pread(
                handle_, absolute(path).c_str(), piece, static_cast<std::int64_t>(at), &got));
            if (content == nullptr) {
                throw failure(path);
            }
            if (got == 0) {
                throw Error(
                    ErrorCode::corrupt,
                    fmt::format("{}: ends at byte {} of {}", printable(path), at, info.size));
            }
            at += got;
            if (!sink(std::string_view(content.get(), got))) {
                return;
            }
        }
    }

    [[nodiscard]] std::string read_link(const std::string& path) override
    {
        const Text target(library_.readlink(handle_, absolute(path).c_str()));
        if (target == nullptr) {
            const int number = library_.last_errno(handle_);
            throw number == EINVAL
                ? Error(ErrorCode::usage, printable(path) + " is not a symbolic link")
                : failure(path);
        }
        return target.get();
    }

    [[nodiscard]] Attributes extended_attributes(const std::string& path) override
    {
        if (const auto* known = known_attributes(path)) {
            return *known;
        }
        const Owned<GuestfsXattrList> found(library_.lgetxattrs(handle_, absolute(path).c_str()),
                                            library_.free_xattr_list);
        if (found == nullptr) {
            throw failure(path);
        }
        Attributes all;
        for (std::uint32_t i = 0; i < found->len; ++i) {
            all.emplace(found->val[i].name, value_of(found->val[i]));
        }
        return all;
    }

private:
    enum class Part { inside, all }; ///< of a folder that lacks its file system

    void expect_mounted(const std::string& path, Part part) const
    {
        for (const auto& [folder, reason] : missing_) {
            if ((part == Part::all && path == folder) || path.starts_with(folder + "/")) {
                throw Error(ErrorCode::corrupt,
                            fmt::format("{} is another file system, which cannot be mounted: {}",
                                        printable(folder),
                                        reason));
            }
        }
    }

    using StatFunction = GuestfsStat* (*)(guestfs_h*, const char*);

    [[nodiscard]] Error failure(const std::string& path) const
    {
        return failure_of(library_, handle_, printable(path));
    }

    [[nodiscard]] std::optional<NodeInfo> stat_by(StatFunction function, const std::string& path)
    {
        const Owned<GuestfsStat> found(function(handle_, absolute(path).c_str()),
                                       library_.free_statns);
        if (found != nullptr) {
            return node_of(*found);
        }
        if (is_nothing(library_.last_errno(handle_))) {
            return std::nullopt;
        }
        throw failure(path);
    }

    NodeInfo expect_kind(const std::string& path, NodeKind kind, std::string_view words)
    {
        const auto known = known_.find(path); // a link is followed
        const auto info = known != known_.end() && known->second.kind == kind
                              ? std::optional(known->second)
                              : look_through(path);
        if (!info) {
            throw Error(ErrorCode::not_found, fmt::format("there is no {}", printable(path)));
        }
        if (info->kind != kind) {
            throw Error(ErrorCode::usage, fmt::format("{} is not {}", printable(path), words));
        }
        return *info;
    }

    /// One question about all entries of a folder, since each question costs milliseconds.
    std::vector<FolderEntry> look_at_all(const std::string& folder,
                                         const std::vector<std::string>& names)
    {
        if (names.empty()) {
            return {};
        }
        auto words = c_words(names);
        const Owned<GuestfsStatList> found(
            library_.lstatnslist(handle_, absolute(folder).c_str(), words.data()),
            library_.free_statns_list);
        if (found == nullptr || found->len != names.size()) {
            throw failure(folder);
        }
        if (known_.size() + names.size() > most_known) {
            known_.clear();
        }
        std::vector<FolderEntry> entries;
        entries.reserve(names.size());
        for (std::size_t i = 0; i < names.size(); ++i) {
            const GuestfsStat& stat = found->val[i];
            if (stat.ino < 0) { // what cannot be looked at; whoever asks for it gets the error
                entries.push_back({.name = names[i], .kind = NodeKind::file});
                continue;
            }
            entries.push_back({.name = names[i], .kind = kind_of(stat.mode)});
            if (known_.size() < most_known) {
                known_.insert_or_assign(volume::join_path(folder, names[i]), node_of(stat));
            }
        }
        return entries;
    }

    /// Attributes of all entries of the folder that was listed last, asked for with one question
    /// when the first of them is wanted.
    const Attributes* known_attributes(const std::string& path)
    {
        const auto slash = path.rfind('/');
        if (slash == std::string::npos || names_.empty() ||
            path.substr(0, std::max<std::size_t>(slash, 1)) != listed_) {
            return nullptr;
        }
        if (!attributes_) {
            attributes_ = attributes_of_all();
        }
        const auto found = attributes_->find(path.substr(slash + 1));
        return found == attributes_->end() ? nullptr : &found->second;
    }

    /// The library's answer is a list of groups: a nameless entry whose value is the number of
    /// attributes that follow, for each file (guestfs(3), lxattrlist).
    std::unordered_map<std::string, Attributes> attributes_of_all()
    {
        std::unordered_map<std::string, Attributes> all;
        auto words = c_words(names_);
        const Owned<GuestfsXattrList> found(
            library_.lxattrlist(handle_, absolute(listed_).c_str(), words.data()),
            library_.free_xattr_list);
        if (found == nullptr) {
            return all; // asked one by one, each with its own error
        }
        std::uint32_t at = 0;
        for (const std::string& name : names_) {
            if (at >= found->len || found->val[at].length == 0) {
                ++at; // this file has none that can be read
                continue;
            }
            const auto count = parse_unsigned(value_of(found->val[at])).value_or(0);
            Attributes& mine = all[name];
            const std::uint64_t end = std::min<std::uint64_t>(at + 1 + count, found->len);
            for (++at; at < end; ++at) {
                mine.emplace(found->val[at].name, value_of(found->val[at]));
            }
        }
        return all;
    }

    static std::string value_of(const GuestfsXattr& attribute)
    {
        return {attribute.value, attribute.length};
    }

    /// Ends with a null, and lives as long as `names`.
    static std::vector<char*> c_words(const std::vector<std::string>& names)
    {
        std::vector<char*> words;
        words.reserve(names.size() + 1);
        for (const std::string& name : names) {
            words.push_back(
                const_cast<char*>(name.c_str())); // NOLINT(cppcoreguidelines-pro-type-const-cast):
                                                  // the library only reads
        }
        words.push_back(nullptr);
        return words;
    }

    const Functions& library_;
    guestfs_h* handle_;
    std::string driver_;
    std::map<std::string, std::string> missing_;
    std::unordered_map<std::string, NodeInfo> known_; ///< from lists; what is read does not change
    std::string listed_;
    std::vector<std::string> names_;
    std::optional<std::unordered_map<std::string, Attributes>> attributes_;
};

} // namespace

Error failure_of(const Functions& library, guestfs_h* handle, const std::string& what)
{
    constexpr std::size_t most_words = 600;
    const char* words = library.last_error(handle);
    const int number = library.last_errno(handle);
    auto shown = printable(words == nullptr ? "unknown error" : words);
    if (shown.size() > most_words) {
        shown.resize(most_words);
    }
    const auto code = number == ENOENT                     ? ErrorCode::not_found
                      : number == EIO || number == EUCLEAN ? ErrorCode::corrupt
                                                           : ErrorCode::io;
    return {code, fmt::format("{}: libguestfs: {}", what, shown)};
}

std::unique_ptr<volume::Filesystem> read_mounted(const Functions& library,
                                                 guestfs_h* handle,
                                                 std::string driver,
                                                 std::map<std::string, std::string> missing)
{
    return std::make_unique<MountedTree>(library, handle, std::move(driver), std::move(missing));
}

} // namespace stemma::guestfs
