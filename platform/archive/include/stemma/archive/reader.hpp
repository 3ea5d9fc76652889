#pragma once

#include "stemma/core/clock.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

/// Archives as a stream of entries, through libarchive. Nothing is ever unpacked to this machine's
/// disk here: names and contents are handed to the caller, who decides.
namespace stemma::archive {

enum class EntryKind {
    file,
    hard_link, ///< another name of an earlier entry: `link_target`
    directory,
    symlink,
    fifo,
    socket,
    char_device,
    block_device,
};

/// One entry's header. Every text in it is untrusted: a path may be absolute or hold "..".
struct Entry {
    std::string path; ///< bytes as they stand in the archive, with "./" and a last "/" if there
    EntryKind kind = EntryKind::file;
    std::uint32_t mode = 0; ///< permission bits, with setuid, setgid and sticky: 07777
    std::uint64_t uid = 0;
    std::uint64_t gid = 0;
    std::string user;       ///< may be empty
    std::string group;      ///< may be empty
    std::uint64_t size = 0; ///< bytes of content; 0 for all but files
    Time modified{};
    std::string link_target;        ///< of hard and symbolic links
    std::uint32_t device_major = 0; ///< of devices
    std::uint32_t device_minor = 0;
    std::map<std::string, std::string> xattrs; ///< name with prefix ("security.capability") → bytes
};

/// Bounds of what is believed to an archive; a larger one is refused with `unsupported`.
struct Limits {
    std::uint64_t max_entries = 4'000'000;
    std::uint64_t max_bytes = 64ULL << 30U; ///< after decompression, headers and all
};

enum class Format {
    tar, ///< ustar, pax, GNU; plain or gzip, bzip2, xz, lzma, zstd
    ar,  ///< Debian packages, static libraries
};

/// Reads one archive from its beginning to its end, once. An object belongs to one thread.
class Reader {
public:
    /// throws  not_found, io; corrupt: not of this format
    static Reader open(const std::string& path, Format format, const Limits& limits = {});
    /// bytes  borrowed until the reader goes
    /// name   for messages
    static Reader
    over(std::string_view bytes, std::string name, Format format, const Limits& limits = {});
    /// An archive that is the content of the entry at which `outer` stands ("data.tar.xz").
    static Reader nested(Reader outer, std::string name, Format format, const Limits& limits = {});

    ~Reader();
    Reader(Reader&& other) noexcept;
    Reader& operator=(Reader&& other) noexcept;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    /// The next entry's header; what is left of the last one's content is skipped.
    /// throws  corrupt: torn or damaged; unsupported: a limit is passed; io
    std::optional<Entry> next();

    /// The current entry's content in order, in pieces of at most 1 MiB, holes as zeros; stops
    /// early when `sink` returns false. Callable once per entry. throws  as next()
    void content(const std::function<bool(std::string_view)>& sink);
    /// throws  unsupported: longer than max_bytes
    std::string content_all(std::uint64_t max_bytes);

private:
    struct Impl;
    explicit Reader(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// The tar within a Debian package (deb(5), format 2.x).
enum class DebMember {
    control, ///< control.tar.*: "./control", "./md5sums", "./postinst", …
    data,    ///< data.tar.*: the files
};
/// throws  corrupt: not a Debian package; unsupported: a format newer than 2
Reader open_deb(const std::string& path, DebMember member, const Limits& limits = {});

/// An entry's path without "." and doubled or leading slashes ("./usr//bin/" → "usr/bin"; the root
/// is empty); nullopt where it holds "..", a NUL, or more than 1,024 components.
std::optional<std::string> safe_path(std::string_view path);

} // namespace stemma::archive
