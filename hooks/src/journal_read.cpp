#include "stemma/hooks/journal.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>

namespace stemma::hooks {

namespace {

constexpr std::string_view magic = "StJ1";
constexpr std::size_t head_size = 16;

/// Thrown and caught within this file: a body that does not hold what its type says.
struct Unreadable : std::exception {};

class Reader {
public:
    explicit Reader(std::string_view body) : left_(body) {}

    [[nodiscard]] bool empty() const noexcept { return left_.empty(); }

    char byte()
    {
        need(1);
        const char value = left_.front();
        left_.remove_prefix(1);
        return value;
    }

    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const auto next = static_cast<unsigned char>(byte());
            value |= std::uint64_t{next & 0x7fU} << shift;
            if ((next & 0x80U) == 0) {
                return value;
            }
        }
        throw Unreadable{};
    }

    std::int64_t signed_number()
    {
        const auto bits = number();
        return static_cast<std::int64_t>((bits >> 1U) ^ (~(bits & 1U) + 1));
    }

    std::uint64_t fixed()
    {
        std::uint64_t value = 0;
        std::memcpy(&value, take(sizeof value).data(), sizeof value);
        return value;
    }

    std::string_view take(std::uint64_t size)
    {
        need(size);
        const auto taken = left_.substr(0, size);
        left_.remove_prefix(size);
        return taken;
    }

    std::string text() { return std::string(take(number())); }

    /// A number of things that take at least one byte each.
    std::size_t count()
    {
        const auto value = number();
        need(value);
        return value;
    }

    std::vector<std::string> texts()
    {
        std::vector<std::string> list(count());
        for (auto& entry : list) {
            entry = text();
        }
        return list;
    }

    Digest digest()
    {
        Digest digest;
        const auto bytes = take(digest.bytes.size());
        std::memcpy(digest.bytes.data(), bytes.data(), bytes.size());
        return digest;
    }

    VersionId id()
    {
        const auto value = number();
        if (value > 0xfffffffeU) {
            throw Unreadable{};
        }
        return static_cast<VersionId>(value);
    }

private:
    void need(std::uint64_t size) const
    {
        if (size > left_.size()) {
            throw Unreadable{};
        }
    }

    std::string_view left_;
};

SessionRecord read_session(Reader& in)
{
    SessionRecord record;
    record.id = in.text();
    record.started = in.number();
    record.machine = in.text();
    record.user = in.text();
    record.folder = in.text();
    record.argv = in.texts();
    record.backend = in.text();
    record.launcher = in.number() != 0;
    return record;
}

Image read_image(Reader& in)
{
    Image image;
    if (const auto program = in.id(); program != 0) {
        image.program = program - 1;
    }
    image.argv = in.texts();
    image.cwd = in.text();
    image.pipe_in = in.number();
    image.pipe_out = in.number();
    image.of_child = in.number() != 0;
    return image;
}

Extraction read_extraction(Reader& in)
{
    Extraction extraction;
    extraction.archive = in.id();
    extraction.thin = in.number() != 0;
    extraction.members.resize(in.count());
    std::uint64_t number = 0;
    for (auto& member : extraction.members) {
        number += in.number();
        if (number > 0xffffffffU) {
            throw Unreadable{};
        }
        member = static_cast<std::uint32_t>(number);
    }
    extraction.doubt = in.text();
    return extraction;
}

ProcessRecord read_process(Reader& in)
{
    ProcessRecord record;
    record.pid = in.signed_number();
    record.parent = in.signed_number();
    record.serial = in.number();
    record.parent_serial = in.number();
    record.started = in.number();
    record.ended = in.number();
    record.exit = static_cast<int>(in.signed_number());
    if (in.number() != 0) {
        Tag tag;
        tag.target = in.text();
        tag.type = in.text();
        tag.language = in.text();
        tag.output = in.text();
        tag.role = in.text();
        record.tag = std::move(tag);
    }
    const auto images = in.count();
    for (std::size_t i = 0; i < images; ++i) {
        record.images.push_back(read_image(in));
    }
    record.accesses.resize(in.count());
    for (auto& access : record.accesses) {
        access.id = in.id();
        access.bits = static_cast<unsigned>(in.number());
    }
    if (!in.empty()) {
        const auto extractions = in.count();
        for (std::size_t i = 0; i < extractions; ++i) {
            record.extractions.push_back(read_extraction(in));
        }
    }
    return record;
}

Content read_content(Reader& in)
{
    Content content;
    content.id = in.id();
    content.raced = in.number() != 0;
    content.ids.sha256 = in.digest();
    content.ids.blob = in.text();
    content.ids.size = in.number();
    content.kind = in.byte();
    content.build_id = in.text();
    if (!in.empty()) {
        content.members.resize(in.count());
        for (auto& member : content.members) {
            member.name = in.text();
            member.size = in.number();
            member.sha256 = in.digest();
        }
    }
    return content;
}

void read_versions(Reader& in, std::uint64_t writer, JournalVisitor& visitor)
{
    std::string path;
    while (!in.empty()) {
        Version version;
        const auto id = in.id();
        if (id == 0) {
            throw Unreadable{};
        }
        version.id = id - 1;
        const auto shared = in.number();
        if (shared > path.size()) {
            throw Unreadable{};
        }
        path.resize(shared);
        path += in.text();
        if (path.size() > 65536) { // a chain of shared prefixes must not grow without end
            throw Unreadable{};
        }
        version.path = path;
        version.stamp = in.fixed();
        version.size = in.number();
        visitor.version(writer, std::move(version));
    }
}

void read_body(std::string_view body, JournalVisitor& visitor)
{
    Reader in(body);
    const char type = in.byte();
    const auto writer = in.number();
    switch (type) {
    case 'S':
        visitor.session(writer, read_session(in));
        break;
    case 'V':
        read_versions(in, writer, visitor);
        break;
    case 'C':
        visitor.content(writer, read_content(in));
        break;
    case 'P':
        visitor.process(writer, read_process(in));
        break;
    case 'H': {
        HoleRecord hole;
        hole.pid = in.signed_number();
        hole.program = in.text();
        hole.reason = in.text();
        visitor.hole(writer, hole);
        break;
    }
    case 'E': {
        EndRecord end;
        end.exit = static_cast<int>(in.signed_number());
        end.signal = static_cast<int>(in.signed_number());
        end.finished = in.number();
        end.records = in.number();
        visitor.end(writer, end);
        break;
    }
    default:
        throw Unreadable{};
    }
}

/// The body of the record that starts `text`, or nullopt when none does.
std::optional<std::string_view> body_at(std::string_view text)
{
    if (text.size() < head_size || text.substr(0, magic.size()) != magic) {
        return std::nullopt;
    }
    std::uint32_t length = 0;
    std::memcpy(&length, text.data() + 4, sizeof length);
    if (length > text.size() - head_size) {
        return std::nullopt;
    }
    const auto body = text.substr(head_size, length);
    const Digest digest = sha256(body);
    if (std::memcmp(digest.bytes.data(), text.data() + 8, 8) != 0) {
        return std::nullopt;
    }
    return body;
}

} // namespace

JournalLoss read_journal(std::string_view text, JournalVisitor& visitor)
{
    JournalLoss loss;
    // Damage that looks like many heads could cost a hash of the rest for each: bounded.
    std::uint64_t budget = 4 * static_cast<std::uint64_t>(text.size()) + (1U << 20U);
    while (!text.empty()) {
        if (const auto body = body_at(text)) {
            try {
                read_body(*body, visitor);
            } catch (const Unreadable&) {
                ++loss.records;
            }
            text.remove_prefix(head_size + body->size());
            continue;
        }
        budget -= std::min<std::uint64_t>(budget, text.size() / 16 + 1);
        const auto next = budget == 0 ? std::string_view::npos : text.find(magic, 1);
        const auto skipped = next == std::string_view::npos ? text.size() : next;
        loss.bytes += skipped;
        text.remove_prefix(skipped);
    }
    return loss;
}

} // namespace stemma::hooks
