#pragma once

#include "stemma/core/digest.hpp"
#include "stemma/core/fd.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The journal: what observers append while a build runs, one file per build.
///
/// Several writers (the supervisor of `stemma build`, or one launcher per compile) append to the
/// same file with O_APPEND, one write(2) per batch of records; the kernel orders them. A record:
///
///     "StJ1"  u32 length of the body (little-endian)  8 bytes: head of the body's SHA-256  body
///
/// A body is a type byte, the writer's number (varint) and fields: varints are LEB128, texts are a
/// varint length and bytes. Readers look for the next "StJ1" after damage and count what they lost,
/// so that a torn tail, a full disk or a flipped bit costs the records it hit and nothing else.
/// A version of a file is described once per writer and named by its number afterwards; paths that
/// follow each other share prefixes. What was added to a record later stands behind its older
/// fields, and readers take a body that ends before as one without. Measured: a C++ compile that
/// opens 390 files takes 9 KiB when its launcher is alone, 1.2 KiB within `stemma build`.
namespace stemma::hooks {

/// Which state of a file was seen: a hash of device, inode, size, mtime and ctime. Equal stamps of
/// one path mean equal content.
using Stamp = std::uint64_t;

using VersionId = std::uint32_t;

/// A file as it was at one moment.
struct Version {
    VersionId id = 0;
    std::string path; ///< absolute, without links
    Stamp stamp = 0;
    std::uint64_t size = 0;
    bool operator==(const Version&) const = default;
};

/// What one member of an archive is.
struct ArchiveMember {
    std::string name;
    std::uint64_t size = 0; ///< bytes
    Digest sha256;
    bool operator==(const ArchiveMember&) const = default;
};

/// What a version's bytes are. Arrives later than the version, or never.
struct Content {
    VersionId id = 0;
    ContentIds ids;
    char kind = 'd'; ///< ELF: 'o' relocatable, 'x' executable, 's' shared; 'a' archive; 'd' other
    std::string build_id; ///< GNU build-id in hexadecimal, may be empty
    bool raced = false;   ///< it changed before it could be read: `ids` mean nothing
    std::vector<ArchiveMember> members = {}; ///< of an archive, in its order; not of a thin one
};

enum AccessBits : unsigned {
    access_read = 1,
    access_write = 2,
    access_exec = 4,
    access_stdin = 8,   ///< came through an inherited standard input
    access_stdout = 16, ///< went through an inherited standard output
};

struct Access {
    VersionId id = 0;
    unsigned bits = 0;
};

/// What a link took of an archive.
struct Extraction {
    VersionId archive = 0;
    bool thin = false;                  ///< the members are files: they are among the accesses
    std::vector<std::uint32_t> members; ///< numbers in Content::members, ascending
    std::string doubt; ///< not empty: why it is not known; then the archive counts whole
};

/// One program that a process became, in order.
struct Image {
    std::optional<VersionId> program;
    std::vector<std::string> argv;
    std::string cwd;
    std::uint64_t pipe_in = 0;  ///< inode of the pipe on standard input, else 0
    std::uint64_t pipe_out = 0; ///< same for standard output
    bool of_child = false;      ///< run by a process below that belongs to the same tool
};

/// What the build system says that a step is for; from the launcher's own arguments.
struct Tag {
    std::string target;
    std::string type; ///< CMake's target type
    std::string language;
    std::string output;
    std::string role; ///< compile, link, custom
};

/// One process from its start to its end, with what belongs to it.
struct ProcessRecord {
    std::int64_t pid = 0;
    std::int64_t parent = 0;
    std::uint64_t serial = 0;        ///< unique per writer: pids come again
    std::uint64_t parent_serial = 0; ///< 0: not observed
    std::uint64_t started = 0;       ///< CLOCK_MONOTONIC, nanoseconds
    std::uint64_t ended = 0;
    int exit = 0; ///< -1: unknown (ended by a signal)
    std::optional<Tag> tag;
    std::vector<Image> images;
    std::vector<Access> accesses;
    std::vector<Extraction> extractions; ///< an archive that is not here counts whole

    void sort_accesses();
};

struct SessionRecord {
    std::string id;            ///< UUIDv7
    std::uint64_t started = 0; ///< microseconds since 1970
    std::string machine;
    std::string user;
    std::string folder; ///< working directory
    std::vector<std::string> argv;
    std::string backend;   ///< "notify", "preload", "none"
    bool launcher = false; ///< one step only
};

struct HoleRecord {
    std::int64_t pid = 0;
    std::string program;
    std::string reason;
};

struct EndRecord {
    int exit = 0;
    int signal = 0;
    std::uint64_t finished = 0; ///< microseconds since 1970
    std::uint64_t records = 0;  ///< how many this writer wrote before
};

/// Appends records of one writer. Nothing here throws: a journal that cannot be written leaves
/// failed() true, and the build goes on.
class JournalWriter {
public:
    /// An empty path writes nowhere.
    explicit JournalWriter(const std::string& path) noexcept;
    JournalWriter(const JournalWriter&) = delete;
    JournalWriter& operator=(const JournalWriter&) = delete;
    ~JournalWriter();

    void add(const SessionRecord& record);
    void add(const Version& version);
    void add(const Content& content);
    void add(const ProcessRecord& record);
    void add(const HoleRecord& record);
    void add(const EndRecord& record);
    /// One write(2) of all that was added since the last one.
    void flush() noexcept;

    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] std::uint64_t records() const noexcept { return records_; }

private:
    void frame(std::string_view body);
    std::string start(char type) const;
    void close_versions();

    Fd fd_;
    bool failed_ = false;
    std::uint64_t writer_ = 0;
    std::uint64_t records_ = 0;
    std::string pending_;
    std::string versions_;      ///< body of the versions record under construction
    std::string previous_path_; ///< what the next path shares its beginning with
    std::uint64_t version_count_ = 0;
};

/// Receives the records of a journal in file order; `writer` tells writers apart.
class JournalVisitor {
public:
    virtual ~JournalVisitor() = default;
    JournalVisitor() = default;
    JournalVisitor(const JournalVisitor&) = delete;
    JournalVisitor& operator=(const JournalVisitor&) = delete;
    virtual void session(std::uint64_t writer, SessionRecord record) = 0;
    virtual void version(std::uint64_t writer, Version version) = 0;
    virtual void content(std::uint64_t writer, const Content& content) = 0;
    virtual void process(std::uint64_t writer, ProcessRecord record) = 0;
    virtual void hole(std::uint64_t writer, const HoleRecord& record) = 0;
    virtual void end(std::uint64_t writer, const EndRecord& record) = 0;
};

struct JournalLoss {
    std::uint64_t bytes = 0;   ///< that no record covers
    std::uint64_t records = 0; ///< whole by their checksum, and not understood
};

/// Reads all that is readable. Never throws for damage; bounded by the text's own size.
JournalLoss read_journal(std::string_view text, JournalVisitor& visitor);

} // namespace stemma::hooks
