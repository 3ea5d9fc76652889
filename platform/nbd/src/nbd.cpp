#include "stemma/nbd/nbd.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/stderr_catcher.hpp"
#include "stemma/core/text.hpp"

#include <libnbd.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace stemma::nbd {

namespace {

constexpr const char* allocation_context = "base:allocation";
constexpr std::size_t most_request = std::size_t{2} << 20U;

struct HandleCloser {
    void operator()(nbd_handle* handle) const noexcept { ::nbd_close(handle); }
};
using Handle = std::unique_ptr<nbd_handle, HandleCloser>;

Error last_error(std::string_view what)
{
    const int number = ::nbd_get_errno();
    const char* text = ::nbd_get_error();
    return {ErrorCode::remote,
            fmt::format("{}: {}", what, text != nullptr ? text : "unknown NBD error"),
            number == ENOSPC ? "the file system that holds the image is full" : ""};
}

Handle make_handle()
{
    Handle handle(::nbd_create());
    if (handle == nullptr) {
        throw last_error("cannot make an NBD handle");
    }
    ::nbd_add_meta_context(handle.get(), allocation_context);
    ::nbd_set_pread_initialize(handle.get(), false); // a failed read throws; nobody sees the buffer
    return handle;
}

/// An open export.
class NbdVolume final : public volume::Volume {
public:
    NbdVolume(Handle handle, std::string name, std::shared_ptr<void> needs = {})
        : needs_(std::move(needs)), handle_(std::move(handle)), name_(std::move(name))
    {
        const std::int64_t size = ::nbd_get_size(handle_.get());
        if (size < 0) {
            throw last_error(fmt::format("cannot ask for the size of {}", name_));
        }
        size_ = static_cast<std::uint64_t>(size);
        writable_ = ::nbd_is_read_only(handle_.get()) == 0;
        knows_extents_ = ::nbd_can_meta_context(handle_.get(), allocation_context) == 1;
        const std::int64_t least = ::nbd_get_block_size(handle_.get(), LIBNBD_SIZE_MINIMUM);
        block_ = least > 0 ? static_cast<std::uint64_t>(least) : 1;
    }
    ~NbdVolume() override { ::nbd_shutdown(handle_.get(), 0); }
    NbdVolume(const NbdVolume&) = delete;
    NbdVolume& operator=(const NbdVolume&) = delete;

    [[nodiscard]] std::string name() const override { return name_; }
    [[nodiscard]] std::uint64_t size() const override { return size_; }
    [[nodiscard]] bool writable() const override { return writable_; }

    void read(std::uint64_t offset, std::span<std::byte> into) override
    {
        expect_within(offset, into.size());
        if (is_aligned(offset, into.size())) {
            read_aligned(offset, into);
            return;
        }
        const std::uint64_t from = offset / block_ * block_;
        std::vector<std::byte> whole(padded(offset + into.size()) - from);
        read_aligned(from, whole);
        std::copy_n(
            whole.begin() + static_cast<std::ptrdiff_t>(offset - from), into.size(), into.begin());
    }

    void write(std::uint64_t offset, std::span<const std::byte> data) override
    {
        expect_within(offset, data.size());
        if (!writable_) {
            throw Error(ErrorCode::usage, fmt::format("{} is open for reading only", name_));
        }
        if (is_aligned(offset, data.size())) {
            write_aligned(offset, data);
            return;
        }
        const std::uint64_t from = offset / block_ * block_;
        std::vector<std::byte> whole(padded(offset + data.size()) - from);
        read_aligned(from, whole);
        std::copy(
            data.begin(), data.end(), whole.begin() + static_cast<std::ptrdiff_t>(offset - from));
        write_aligned(from, whole);
    }

    void flush() override
    {
        if (writable_ && ::nbd_can_flush(handle_.get()) == 1 &&
            ::nbd_flush(handle_.get(), 0) != 0) {
            throw last_error(fmt::format("cannot flush {}", name_));
        }
    }

    [[nodiscard]] std::vector<volume::Extent> extents(std::uint64_t offset,
                                                      std::uint64_t length) override;
    [[nodiscard]] std::vector<int> descriptors() const override
    {
        return {::nbd_aio_get_fd(handle_.get())};
    }

private:
    [[nodiscard]] bool is_aligned(std::uint64_t offset, std::uint64_t length) const
    {
        return offset % block_ == 0 && length % block_ == 0;
    }
    [[nodiscard]] std::uint64_t padded(std::uint64_t end) const
    {
        return std::min((end + block_ - 1) / block_ * block_, size_);
    }
    void read_aligned(std::uint64_t offset, std::span<std::byte> into)
    {
        for (std::size_t done = 0; done < into.size(); done += most_request) {
            const std::size_t now = std::min(most_request, into.size() - done);
            if (::nbd_pread(handle_.get(), into.data() + done, now, offset + done, 0) != 0) {
                throw last_error(fmt::format("cannot read {} at byte {}", name_, offset + done));
            }
        }
    }
    void write_aligned(std::uint64_t offset, std::span<const std::byte> data)
    {
        for (std::size_t done = 0; done < data.size(); done += most_request) {
            const std::size_t now = std::min(most_request, data.size() - done);
            if (::nbd_pwrite(handle_.get(), data.data() + done, now, offset + done, 0) != 0) {
                throw last_error(fmt::format("cannot write {} at byte {}", name_, offset + done));
            }
        }
    }

    std::shared_ptr<void> needs_; ///< outlives the connection
    Handle handle_;
    std::string name_;
    std::uint64_t size_ = 0;
    std::uint64_t block_ = 1;
    bool writable_ = false;
    bool knows_extents_ = false;
};

struct ExtentSink {
    std::vector<volume::Extent> extents;
    std::uint64_t next = 0;
    std::uint64_t end = 0;
};

// NOLINTNEXTLINE(readability-function-size): libnbd calls it with six
int take_extents(void* user,
                 const char* /*context*/,
                 std::uint64_t /*offset*/,
                 std::uint32_t* entries,
                 std::size_t count,
                 int* /*error*/) noexcept
{
    auto& sink = *static_cast<ExtentSink*>(user);
    for (std::size_t i = 0; i + 1 < count && sink.next < sink.end; i += 2) {
        const std::uint64_t length = std::min<std::uint64_t>(entries[i], sink.end - sink.next);
        const bool zero = (entries[i + 1] & LIBNBD_STATE_ZERO) != 0;
        try {
            if (!sink.extents.empty() && sink.extents.back().zero == zero) {
                sink.extents.back().length += length;
            } else {
                sink.extents.push_back({.offset = sink.next, .length = length, .zero = zero});
            }
        } catch (...) {
            return -1;
        }
        sink.next += length;
    }
    return 0;
}

std::vector<volume::Extent> NbdVolume::extents(std::uint64_t offset, std::uint64_t length)
{
    expect_within(offset, length);
    if (!knows_extents_) {
        return Volume::extents(offset, length);
    }
    constexpr std::uint64_t most_question = std::uint64_t{1} << 31U;
    ExtentSink sink{
        .extents = {}, .next = offset / block_ * block_, .end = padded(offset + length)};
    while (sink.next < sink.end) {
        const std::uint64_t before = sink.next;
        const nbd_extent_callback callback{
            .callback = take_extents, .user_data = &sink, .free = nullptr};
        const std::uint64_t ask = std::min(most_question, sink.end - sink.next);
        if (::nbd_block_status(handle_.get(), ask, before, callback, 0) != 0 ||
            sink.next == before) {
            throw last_error(fmt::format("cannot ask which parts of {} are used", name_));
        }
    }
    if (!sink.extents.empty()) { // cut back to what was asked for
        volume::Extent& first = sink.extents.front();
        first.length -= offset - first.offset;
        first.offset = offset;
        volume::Extent& last = sink.extents.back();
        last.length = offset + length - last.offset;
    }
    return sink.extents;
}

/// Turns qemu-nbd's last words into an error. The lock conflict has no code of its own: qemu only
/// says it in words, so a second question (can the file be opened with force-share?) is left out
/// and the words are shown as they are.
Error server_error(const std::string& name, const std::string& words)
{
    std::string shown;
    for (const std::string_view line : split_lines(words)) {
        if (!trim(line).empty()) {
            shown += (shown.empty() ? "" : "; ") + printable(trim(line));
        }
    }
    const bool locked = words.find("lock") != std::string::npos;
    return {locked ? ErrorCode::conflict : ErrorCode::remote,
            fmt::format("cannot open {}: {}",
                        name,
                        shown.empty() ? "qemu-nbd ended without a word" : shown),
            locked ? "a running VM or another change uses this image; stop it, or read a snapshot "
                     "of the VM instead (stemma snapshot take)"
                   : ""};
}

} // namespace

std::optional<Address> parse_uri(std::string_view text)
{
    constexpr std::string_view scheme = "nbd+unix:///";
    constexpr std::string_view key = "?socket=";
    const auto at = text.find(key);
    if (!text.starts_with(scheme) || at == std::string_view::npos) {
        return std::nullopt;
    }
    return Address{.socket = std::string(text.substr(at + key.size())),
                   .export_name = std::string(text.substr(scheme.size(), at - scheme.size()))};
}

std::unique_ptr<volume::Volume> connect(const Address& address, std::string name)
{
    Handle handle = make_handle();
    if (::nbd_set_export_name(handle.get(), address.export_name.c_str()) != 0 ||
        ::nbd_connect_unix(handle.get(), address.socket.c_str()) != 0) {
        throw last_error(fmt::format("cannot connect to {}", address.socket.string()));
    }
    return std::make_unique<NbdVolume>(std::move(handle), std::move(name));
}

std::unique_ptr<volume::Volume>
serve(const std::string& node, const std::string& name, const ServeOptions& options)
{
    if (!find_program("qemu-nbd")) {
        throw Error(
            ErrorCode::not_found, "cannot run qemu-nbd: not found", "apt-get install qemu-utils");
    }
    // A session of its own, so that ^C reaches us first and the transaction ends in order. The
    // server dies with this thread: a client that is killed before the handshake would leave it
    // waiting for ever. The test closes the gap between fork and setpriv, where our death sends no
    // signal.
    std::vector<std::string> words = {"setsid",
                                      "setpriv",
                                      "--pdeathsig",
                                      "KILL",
                                      "sh",
                                      "-c",
                                      R"(test "$PPID" = "$0" && exec "$@" >/dev/null)",
                                      std::to_string(::getpid()),
                                      "qemu-nbd",
                                      options.durable ? "--cache=writeback" : "--cache=unsafe",
                                      "--discard=unmap"};
    if (!options.writable) {
        words.emplace_back("--read-only");
    }
    if (!options.format.empty()) {
        words.insert(words.end(), {"--format", options.format});
    }
    if (!options.snapshot.empty()) {
        words.insert(words.end(), {"--load-snapshot", "snapshot.name=" + options.snapshot});
    }
    words.push_back(node);
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    Handle handle = make_handle();
    StderrCatcher words_of_server;
    const int result = ::nbd_connect_systemd_socket_activation(handle.get(), argv.data());
    words_of_server.restore();
    if (result != 0) {
        handle.reset(); // waits for the child, so that its words are complete
        throw server_error(name, words_of_server.text());
    }
    return std::make_unique<NbdVolume>(std::move(handle), name, options.needs);
}

} // namespace stemma::nbd
