#include "stemma/hooks/journal.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stemma::hooks {

namespace {

constexpr std::size_t batch = std::size_t{1} << 16U;

void put(std::string& out, std::uint64_t value)
{
    while (value >= 0x80U) {
        out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

void put_signed(std::string& out, std::int64_t value)
{
    const auto bits = static_cast<std::uint64_t>(value);
    put(out, (bits << 1U) ^ (value < 0 ? ~std::uint64_t{0} : 0)); // zigzag
}

void put_fixed(std::string& out, std::uint64_t value)
{
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof bytes);
}

void put_text(std::string& out, std::string_view text)
{
    put(out, text.size());
    out += text;
}

void put_digest(std::string& out, const Digest& digest)
{
    out.append(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
}

void put_texts(std::string& out, const std::vector<std::string>& texts)
{
    put(out, texts.size());
    for (const auto& text : texts) {
        put_text(out, text);
    }
}

void put_image(std::string& out, const Image& image)
{
    put(out, image.program ? std::uint64_t{*image.program} + 1 : 0);
    put_texts(out, image.argv);
    put_text(out, image.cwd);
    put(out, image.pipe_in);
    put(out, image.pipe_out);
    put(out, image.of_child ? 1 : 0);
}

void put_extraction(std::string& out, const Extraction& extraction)
{
    put(out, extraction.archive);
    put(out, extraction.thin ? 1 : 0);
    put(out, extraction.members.size());
    std::uint32_t before = 0;
    for (const auto member : extraction.members) {
        put(out, member - before);
        before = member;
    }
    put_text(out, extraction.doubt);
}

} // namespace

void ProcessRecord::sort_accesses()
{
    std::sort(accesses.begin(), accesses.end(), [](const Access& a, const Access& b) {
        return a.id < b.id;
    });
}

JournalWriter::JournalWriter(const std::string& path) noexcept
{
    if (path.empty()) {
        return;
    }
    fd_ = Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
    failed_ = !fd_;
    if (::getrandom(&writer_, sizeof writer_, 0) != static_cast<ssize_t>(sizeof writer_)) {
        writer_ = static_cast<std::uint64_t>(::getpid());
    }
    writer_ >>= 8U; // seven varint bytes are enough
}

JournalWriter::~JournalWriter()
{
    flush();
}

std::string JournalWriter::start(char type) const
{
    std::string body(1, type);
    put(body, writer_);
    return body;
}

void JournalWriter::frame(std::string_view body)
{
    const Digest digest = sha256(body);
    const auto length = static_cast<std::uint32_t>(body.size());
    char head[16] = {'S', 't', 'J', '1'};
    std::memcpy(head + 4, &length, sizeof length);
    std::memcpy(head + 8, digest.bytes.data(), 8);
    pending_.append(head, sizeof head);
    pending_ += body;
    ++records_;
    if (pending_.size() > batch) {
        flush();
    }
}

void JournalWriter::add(const SessionRecord& record)
{
    auto body = start('S');
    put_text(body, record.id);
    put(body, record.started);
    put_text(body, record.machine);
    put_text(body, record.user);
    put_text(body, record.folder);
    put_texts(body, record.argv);
    put_text(body, record.backend);
    put(body, record.launcher ? 1 : 0);
    frame(body);
}

void JournalWriter::add(const Version& version)
{
    if (version_count_ == 0) {
        versions_ = start('V');
        previous_path_.clear();
    }
    ++version_count_;
    const auto limit = std::min(previous_path_.size(), version.path.size());
    const auto shared = static_cast<std::size_t>(
        std::mismatch(previous_path_.begin(),
                      previous_path_.begin() + static_cast<std::ptrdiff_t>(limit),
                      version.path.begin())
            .first -
        previous_path_.begin());
    put(versions_, std::uint64_t{version.id} + 1); // 0 ends nothing: the body's length does
    put(versions_, shared);
    put_text(versions_, std::string_view(version.path).substr(shared));
    put_fixed(versions_, version.stamp);
    put(versions_, version.size);
    previous_path_ = version.path;
    if (versions_.size() > batch) {
        close_versions();
    }
}

void JournalWriter::close_versions()
{
    if (version_count_ != 0) {
        version_count_ = 0;
        frame(versions_);
    }
}

void JournalWriter::add(const Content& content)
{
    close_versions();
    auto body = start('C');
    put(body, content.id);
    put(body, content.raced ? 1 : 0);
    put_digest(body, content.ids.sha256);
    put_text(body, content.ids.blob);
    put(body, content.ids.size);
    body.push_back(content.kind);
    put_text(body, content.build_id);
    put(body, content.members.size());
    for (const auto& member : content.members) {
        put_text(body, member.name);
        put(body, member.size);
        put_digest(body, member.sha256);
    }
    frame(body);
}

void JournalWriter::add(const ProcessRecord& record)
{
    close_versions();
    auto body = start('P');
    put_signed(body, record.pid);
    put_signed(body, record.parent);
    put(body, record.serial);
    put(body, record.parent_serial);
    put(body, record.started);
    put(body, record.ended);
    put_signed(body, record.exit);
    put(body, record.tag ? 1 : 0);
    if (record.tag) {
        put_text(body, record.tag->target);
        put_text(body, record.tag->type);
        put_text(body, record.tag->language);
        put_text(body, record.tag->output);
        put_text(body, record.tag->role);
    }
    put(body, record.images.size());
    for (const auto& image : record.images) {
        put_image(body, image);
    }
    put(body, record.accesses.size());
    for (const auto& access : record.accesses) {
        put(body, access.id);
        put(body, access.bits);
    }
    put(body, record.extractions.size());
    for (const auto& extraction : record.extractions) {
        put_extraction(body, extraction);
    }
    frame(body);
}

void JournalWriter::add(const HoleRecord& record)
{
    close_versions();
    auto body = start('H');
    put_signed(body, record.pid);
    put_text(body, record.program);
    put_text(body, record.reason);
    frame(body);
}

void JournalWriter::add(const EndRecord& record)
{
    close_versions();
    auto body = start('E');
    put_signed(body, record.exit);
    put_signed(body, record.signal);
    put(body, record.finished);
    put(body, records_);
    frame(body);
}

void JournalWriter::flush() noexcept
{
    try {
        close_versions();
    } catch (...) {
        failed_ = true;
    }
    if (pending_.empty()) {
        return;
    }
    if (fd_ && !failed_) {
        ssize_t done = 0;
        do {
            done = ::write(fd_.get(), pending_.data(), pending_.size());
        } while (done < 0 && errno == EINTR);
        // A short write is a torn record. What follows would still be readable, but the writer's
        // own count then says that something is missing.
        failed_ = done != static_cast<ssize_t>(pending_.size());
    }
    pending_.clear();
}

} // namespace stemma::hooks
