#include "stemma/archive/reader.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <locale.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <utility>
#include <vector>

namespace stemma::archive {

namespace {

constexpr std::size_t piece = std::size_t{1} << 20U;
constexpr std::size_t most_components = 1024;
constexpr std::size_t largest_xattr = std::size_t{1} << 16U;

struct FreeArchive {
    void operator()(::archive* handle) const noexcept { archive_read_free(handle); }
};
using Handle = std::unique_ptr<::archive, FreeArchive>;

/// libarchive converts names to the thread's locale and loses what does not fit; in UTF-8 nothing
/// is lost. Scoped to our calls, so that the program's own locale stays as it is.
class Utf8Locale {
public:
    Utf8Locale()
        : mine_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)),
          before_(mine_ == nullptr ? nullptr : ::uselocale(mine_))
    {
    }
    ~Utf8Locale()
    {
        if (mine_ != nullptr) {
            ::uselocale(before_);
            ::freelocale(mine_);
        }
    }
    Utf8Locale(const Utf8Locale&) = delete;
    Utf8Locale& operator=(const Utf8Locale&) = delete;

private:
    locale_t mine_;
    locale_t before_;
};

std::string text_or_empty(const char* text)
{
    return text == nullptr ? std::string{} : std::string(text);
}

EntryKind kind_of(::archive_entry* entry, const std::string& name)
{
    if (archive_entry_hardlink(entry) != nullptr) {
        return EntryKind::hard_link;
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return EntryKind::file;
    case AE_IFDIR:
        return EntryKind::directory;
    case AE_IFLNK:
        return EntryKind::symlink;
    case AE_IFIFO:
        return EntryKind::fifo;
    case AE_IFSOCK:
        return EntryKind::socket;
    case AE_IFCHR:
        return EntryKind::char_device;
    case AE_IFBLK:
        return EntryKind::block_device;
    default:
        throw Error(ErrorCode::corrupt, fmt::format("{}: an entry of unknown type", name));
    }
}

std::map<std::string, std::string> xattrs_of(::archive_entry* entry)
{
    std::map<std::string, std::string> result;
    archive_entry_xattr_reset(entry);
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        if (name != nullptr && size <= largest_xattr) {
            result.emplace(name, std::string(static_cast<const char*>(value), size));
        }
    }
    return result;
}

Entry convert(::archive_entry* entry, const std::string& name)
{
    Entry result;
    result.path = text_or_empty(archive_entry_pathname(entry));
    result.kind = kind_of(entry, name);
    result.mode = static_cast<std::uint32_t>(archive_entry_perm(entry)) & 07777U;
    result.uid = static_cast<std::uint64_t>(archive_entry_uid(entry));
    result.gid = static_cast<std::uint64_t>(archive_entry_gid(entry));
    result.user = text_or_empty(archive_entry_uname(entry));
    result.group = text_or_empty(archive_entry_gname(entry));
    if (result.kind == EntryKind::file) {
        const auto size = archive_entry_size(entry);
        result.size = size < 0 ? 0 : static_cast<std::uint64_t>(size);
    }
    constexpr std::int64_t latest = 1LL << 40; // keeps microseconds within 64 bits
    const auto seconds = static_cast<std::int64_t>(archive_entry_mtime(entry));
    result.modified = Time(std::chrono::seconds(std::clamp(seconds, -latest, latest)));
    result.link_target =
        text_or_empty(result.kind == EntryKind::hard_link ? archive_entry_hardlink(entry)
                                                          : archive_entry_symlink(entry));
    result.device_major = static_cast<std::uint32_t>(archive_entry_rdevmajor(entry));
    result.device_minor = static_cast<std::uint32_t>(archive_entry_rdevminor(entry));
    result.xattrs = xattrs_of(entry);
    return result;
}

} // namespace

struct Reader::Impl {
    std::string name;
    Limits limits;
    std::optional<Reader>
        outer; ///< before `handle`: the callbacks use it until the handle is freed
    std::vector<char> buffer;
    std::exception_ptr failure; ///< of a callback; libarchive must not see it
    std::uint64_t entries = 0;
    Handle handle;

    [[noreturn]] void refuse() const
    {
        if (failure) {
            std::rethrow_exception(failure);
        }
        const int code = archive_errno(handle.get());
        const auto text = text_or_empty(archive_error_string(handle.get()));
        const bool system = code == EIO || code == ENOMEM || code == EACCES;
        throw Error(system ? ErrorCode::io : ErrorCode::corrupt,
                    fmt::format("{}: {}", name, text.empty() ? "cannot be read" : printable(text)));
    }

    /// Warnings (a name that cannot be converted, an unknown extension) do not stop a reading.
    void check(int result) const
    {
        if (result == ARCHIVE_FATAL || result == ARCHIVE_FAILED || failure) {
            refuse();
        }
    }

    void check_size() const
    {
        const auto bytes = archive_filter_bytes(handle.get(), 0);
        if (bytes > 0 && static_cast<std::uint64_t>(bytes) > limits.max_bytes) {
            throw Error(
                ErrorCode::unsupported,
                fmt::format("{}: unpacks to more than {}", name, human_size(limits.max_bytes)));
        }
    }

    /// Data of the entry at which libarchive stands, at most buffer.size() bytes.
    std::string_view pull()
    {
        if (buffer.empty()) {
            buffer.resize(piece);
        }
        const auto got = archive_read_data(handle.get(), buffer.data(), buffer.size());
        if (got < 0) {
            refuse();
        }
        check_size();
        return {buffer.data(), static_cast<std::size_t>(got)};
    }

    static la_ssize_t feed(::archive* /*inner*/, void* self, const void** data) noexcept
    {
        auto& impl = *static_cast<Impl*>(self);
        try {
            const auto bytes = impl.outer->impl_->pull();
            *data = bytes.data();
            return static_cast<la_ssize_t>(bytes.size());
        } catch (...) {
            impl.failure = std::current_exception();
            return -1;
        }
    }
};

namespace {

/// The programs that libarchive would start for rarer compressions stay out: a file of somebody
/// else's never chooses what runs here.
Handle make_handle(Format format)
{
    Handle handle(archive_read_new());
    if (!handle) {
        throw Error(ErrorCode::io, "cannot read archives: out of memory");
    }
    if (format == Format::ar) {
        archive_read_support_format_ar(handle.get());
        return handle;
    }
    archive_read_support_format_tar(handle.get());
    archive_read_support_format_empty(handle.get());
    archive_read_support_filter_gzip(handle.get());
    archive_read_support_filter_bzip2(handle.get());
    archive_read_support_filter_xz(handle.get());
    archive_read_support_filter_lzma(handle.get());
    archive_read_support_filter_zstd(handle.get());
    return handle;
}

} // namespace

Reader::Reader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Reader::~Reader() = default;
Reader::Reader(Reader&& other) noexcept = default;
Reader& Reader::operator=(Reader&& other) noexcept = default;

Reader Reader::open(const std::string& path, Format format, const Limits& limits)
{
    auto impl = std::make_unique<Impl>();
    impl->name = path;
    impl->limits = limits;
    impl->handle = make_handle(format);
    if (archive_read_open_filename(impl->handle.get(), path.c_str(), 1U << 17U) != ARCHIVE_OK) {
        const int code = archive_errno(impl->handle.get());
        if (code == ENOENT || code == EACCES || code == EISDIR) {
            throw system_error(code, fmt::format("open {}", path));
        }
        impl->refuse();
    }
    return Reader(std::move(impl));
}

Reader Reader::over(std::string_view bytes, std::string name, Format format, const Limits& limits)
{
    auto impl = std::make_unique<Impl>();
    impl->name = std::move(name);
    impl->limits = limits;
    impl->handle = make_handle(format);
    impl->check(archive_read_open_memory(impl->handle.get(), bytes.data(), bytes.size()));
    return Reader(std::move(impl));
}

Reader Reader::nested(Reader outer, std::string name, Format format, const Limits& limits)
{
    auto impl = std::make_unique<Impl>();
    impl->name = std::move(name);
    impl->limits = limits;
    impl->outer = std::move(outer);
    impl->handle = make_handle(format);
    impl->check(archive_read_open(impl->handle.get(), impl.get(), nullptr, &Impl::feed, nullptr));
    return Reader(std::move(impl));
}

std::optional<Entry> Reader::next()
{
    const Utf8Locale utf8;
    ::archive_entry* entry = nullptr;
    const int result = archive_read_next_header(impl_->handle.get(), &entry);
    if (result == ARCHIVE_EOF && !impl_->failure) {
        return std::nullopt;
    }
    impl_->check(result);
    impl_->check_size();
    if (++impl_->entries > impl_->limits.max_entries) {
        throw Error(
            ErrorCode::unsupported,
            fmt::format("{}: more than {} entries", impl_->name, impl_->limits.max_entries));
    }
    return convert(entry, impl_->name);
}

void Reader::content(const std::function<bool(std::string_view)>& sink)
{
    for (;;) {
        const auto bytes = impl_->pull();
        if (bytes.empty() || !sink(bytes)) {
            return;
        }
    }
}

std::string Reader::content_all(std::uint64_t max_bytes)
{
    std::string result;
    content([&](std::string_view bytes) {
        if (result.size() + bytes.size() > max_bytes) {
            throw Error(
                ErrorCode::unsupported,
                fmt::format("{}: an entry is larger than {}", impl_->name, human_size(max_bytes)));
        }
        result += bytes;
        return true;
    });
    return result;
}

Reader open_deb(const std::string& path, DebMember member, const Limits& limits)
{
    const std::string_view wanted = member == DebMember::control ? "control.tar" : "data.tar";
    auto outer = Reader::open(path, Format::ar, limits);
    const auto first = outer.next();
    if (!first || first->path != "debian-binary") {
        throw Error(ErrorCode::corrupt, fmt::format("{} is not a Debian package", path));
    }
    const auto version = outer.content_all(64);
    if (!version.starts_with("2.")) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{}: Debian package format {} (known: 2.x)",
                                path,
                                printable(trim(version))));
    }
    while (const auto entry = outer.next()) {
        if (entry->path == wanted || entry->path.starts_with(std::string(wanted) + ".")) {
            return Reader::nested(
                std::move(outer), fmt::format("{}({})", path, wanted), Format::tar, limits);
        }
    }
    throw Error(ErrorCode::corrupt, fmt::format("{}: it has no {}", path, wanted));
}

std::optional<std::string> safe_path(std::string_view path)
{
    if (path.find('\0') != std::string_view::npos) {
        return std::nullopt;
    }
    std::string result;
    std::size_t components = 0;
    for (const auto part : split(path, '/')) {
        if (part.empty() || part == ".") {
            continue;
        }
        if (part == ".." || ++components > most_components) {
            return std::nullopt;
        }
        if (!result.empty()) {
            result += '/';
        }
        result += part;
    }
    return result;
}

} // namespace stemma::archive
