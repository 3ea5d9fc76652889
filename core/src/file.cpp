#include "stemma/core/file.hpp"

#include "stemma/core/error.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace stemma {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path, std::uint64_t max_bytes)
{
    const Fd fd = open_file(path.string(), O_RDONLY);
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) {
        throw system_error(errno, fmt::format("look at {}", path.string()));
    }
    if (S_ISDIR(info.st_mode)) {
        throw Error(ErrorCode::io, fmt::format("{} is a folder, not a file", path.string()));
    }
    std::string text;
    constexpr std::size_t chunk = std::size_t{1} << 16U;
    std::size_t room = S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) + 1 : chunk;
    for (;;) {
        const auto filled = text.size();
        if (filled > max_bytes) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} is larger than {} bytes", path.string(), max_bytes));
        }
        text.resize(filled + room);
        const auto got = ::read(fd.get(), text.data() + filled, room);
        if (got < 0 && errno != EINTR) {
            throw system_error(errno, fmt::format("read {}", path.string()));
        }
        text.resize(filled + static_cast<std::size_t>(got < 0 ? 0 : got));
        if (got == 0) {
            return text;
        }
        room = chunk;
    }
}

void write_all(int fd, std::string_view data, std::string_view name)
{
    while (!data.empty()) {
        const auto done = ::write(fd, data.data(), data.size());
        if (done < 0) {
            if (errno == EINTR) {
                continue;
            }
            throw system_error(errno, fmt::format("write {}", name));
        }
        data.remove_prefix(static_cast<std::size_t>(done));
    }
}

namespace {

/// A rename would put a file in the place of a device or a pipe, as of /dev/null or /dev/stdout.
void expect_no_device(const fs::path& path)
{
    std::error_code ignored;
    const auto kind = fs::status(path, ignored).type();
    const bool nothing_or_file = kind == fs::file_type::not_found || kind == fs::file_type::none ||
                                 kind == fs::file_type::regular ||
                                 kind == fs::file_type::directory; // rename says it
    if (!nothing_or_file || (path.parent_path() == "/dev" && fs::is_symlink(path, ignored))) {
        throw Error(ErrorCode::usage,
                    fmt::format("cannot write {}: it is no regular file", path.string()),
                    "name a file, which may be there or not");
    }
}

} // namespace

NewFile::NewFile(fs::path path, mode_t mode) : path_(std::move(path))
{
    expect_no_device(path_);
    std::string pattern =
        (path_.parent_path() / ("." + path_.filename().string() + ".XXXXXX")).string();
    const int fd = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (fd < 0) {
        throw system_error(errno, fmt::format("write {}", path_.string()));
    }
    fd_ = Fd(fd);
    temporary_ = pattern;
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd, mode & ~mask) != 0) {
        throw system_error(errno, fmt::format("set the mode of {}", path_.string()));
    }
}

NewFile::~NewFile()
{
    if (!temporary_.empty()) {
        ::unlink(temporary_.c_str());
    }
}

void NewFile::write(std::string_view data)
{
    write_all(fd_.get(), data, path_.string());
}

void NewFile::commit()
{
    if (::fsync(fd_.get()) != 0) {
        throw system_error(errno, fmt::format("flush {}", path_.string()));
    }
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
        throw system_error(errno, fmt::format("put {} in place", path_.string()));
    }
    temporary_.clear();
    fd_.reset();
    sync_folder(path_.parent_path());
}

void write_file(const fs::path& path, std::string_view data, mode_t mode)
{
    NewFile file(path, mode);
    file.write(data);
    file.commit();
}

TemporaryFolder::TemporaryFolder(std::string_view name, const fs::path& parent)
{
    const auto base = parent.empty() ? fs::temp_directory_path() : parent;
    std::string pattern = (base / fmt::format("stemma-{}-XXXXXX", name)).string();
    if (::mkdtemp(pattern.data()) == nullptr) {
        throw system_error(errno, fmt::format("make a folder in {}", base.string()));
    }
    path_ = pattern;
}

TemporaryFolder::~TemporaryFolder()
{
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

FileLock::FileLock(const fs::path& path, Wait wait)
    : fd_(open_file(path.string(), O_RDWR | O_CREAT, 0666))
{
    const int operation = LOCK_EX | (wait == Wait::no ? LOCK_NB : 0);
    while (::flock(fd_.get(), operation) != 0) {
        if (errno == EWOULDBLOCK) {
            throw Error(ErrorCode::conflict,
                        fmt::format("another process holds the lock {}", path.string()),
                        "wait for it to end, then run the same command again");
        }
        if (errno != EINTR) {
            throw system_error(errno, fmt::format("lock {}", path.string()));
        }
    }
}

fs::path normal_path(const fs::path& path, const fs::path& base)
{
    auto result = (path.is_absolute() ? path : base / path).lexically_normal();
    if (!result.has_filename() && result.has_parent_path() && result != result.root_path()) {
        result = result.parent_path(); // "a/b/" is "a/b"
    }
    return result;
}

void sync_folder(const fs::path& folder)
{
    const Fd fd = open_file(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
    if (::fsync(fd.get()) != 0 && errno != EINVAL) {
        throw system_error(errno, fmt::format("flush folder {}", folder.string()));
    }
}

} // namespace stemma
