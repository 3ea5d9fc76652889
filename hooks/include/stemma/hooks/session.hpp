#pragma once

#include "stemma/hooks/journal.hpp"
#include "stemma/hooks/tools.hpp"

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace stemma::hooks {

struct LinkedFile;
struct LinkInput;
struct LinkLine;

Stamp stamp_of(const struct stat& info) noexcept;

/// True for files that a build reads and does not make: hashed at the end, once, if their stamp is
/// still the same. Everything else is hashed when it is seen.
bool is_system_path(std::string_view path) noexcept;

/// The event core: what every way of watching reports to. Keeps the processes of a build, groups
/// what they do by tool, hashes what may change or vanish, and writes the journal.
///
/// Calls come from one thread, in the order of the events, and before the system call that they
/// announce takes effect. Only running out of memory throws.
class Session {
public:
    explicit Session(JournalWriter& journal);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// The first process, before it becomes the build's program.
    void root(pid_t pid, std::optional<Tag> tag);

    /// path  as given; relative to `folder`. flags as for open(2).
    void opens(pid_t thread, int folder, std::string_view path, int flags);
    /// The same after the fact: a regular file that was opened for reading, in this state.
    /// path  as given; relative to the working folder
    void opened(pid_t thread, std::string_view path, const struct stat& info);

    /// Who is about to become which program.
    struct Start {
        pid_t process;
        pid_t parent;     ///< 0: not known
        std::string path; ///< of the program, without links
    };
    using Arguments = std::function<std::vector<std::string>()>;
    /// argv     asked only for a program that is there: shells try each folder of PATH
    /// returns  nullopt when there is no such program: the call will fail
    std::optional<Start>
    executes(pid_t thread, int folder, std::string_view path, const Arguments& argv);
    /// A name as a call gives it: relative to an open folder, or AT_FDCWD.
    struct Name {
        int folder;
        std::string_view path;
    };
    /// must_be_new  the call fails when `to` is there
    void renames(pid_t thread, Name from, Name to, bool must_be_new);
    /// Hard and symbolic links alike: `to` will have the content of `from`.
    void links(pid_t thread, Name from, Name to);
    /// target  as the link will hold it: relative to where the link lies
    void symlinks(pid_t thread, std::string_view target, Name link);
    void changes_folder(pid_t thread);
    /// returns  the process
    pid_t exits(pid_t thread, int code);
    /// The process that a thread belongs to.
    pid_t process_id(pid_t thread);
    void hole(pid_t thread, std::string_view reason);

    /// True when a process that did not say it ended is still there.
    [[nodiscard]] bool has_running() const;
    /// Ends all processes that are still there.
    void finish();

    /// Files that standard input and output of the build itself are: not a step's.
    void ignore_stream(const struct stat& info);

    /// What a script's first line asks for.
    struct Interpreter {
        std::string program;  ///< what the kernel starts; empty: no script
        std::string language; ///< behind env(1) too
    };

private:
    struct Process;
    using ProcessPtr = std::shared_ptr<Process>;
    struct Located {
        std::string path; ///< absolute, without links; textual when the file is not there
        struct stat info {};
        bool regular = false; ///< it is there, and content may be read from it
    };
    struct StreamId {
        dev_t device = 0;
        ino_t inode = 0;
        bool operator==(const StreamId&) const = default;
    };

    /// No content of a build: the kernel's files, git's, ccache's and our own book-keeping.
    [[nodiscard]] bool is_ignored(std::string_view path) const noexcept;
    Process& process_of(pid_t thread);
    ProcessPtr begin(pid_t pid, pid_t parent);
    static Process& owner_of(Process& process);
    Located locate(Process& process, int folder, std::string_view path);
    void settle_name(Located& file);
    static std::string text_path(Process& process, int folder, std::string_view path);
    const std::string& canonical(const std::string& text, const struct stat& info);
    std::string canonical_new(const std::string& text);
    VersionId version_of(const Located& file, bool written);
    void read(Process& process, const Located& file, unsigned bits);
    void will_write(Process& process, const Located& file, int flags);
    static bool changed_in_place(const Process& owner, Stamp before, const Located& file);
    void note_written(Process& owner, const Located& file);
    void move_file(Process& process, const Located& from, const Located& to, bool keeps_source);
    void move_folder(Process& process, const std::string& from, const std::string& to);
    void look_at_streams(Process& process, Image& image);
    void become(Process& process, const Located& program, Image image);
    void note_interpreter(Process& process, VersionId id, const std::string& path);
    void end(Process& process, int code);
    void settle_writes(Process& process);
    void settle_link(Process& process, int code);
    std::optional<LinkedFile>
    find_linked(Process& process, const LinkLine& line, const LinkInput& input);
    std::optional<LinkedFile> open_linked(Process& process, const std::string& path);
    void write_records(Process& process);
    bool read_again(Process& process, std::string_view path, int flags);
    void remember(std::string_view path, const Located& file);
    void forget_written(const std::string& path);
    void names_change(const std::string& path);
    static void expand_response_files(const Process& process, Image& image);
    void record_content(VersionId id, const Located& file, bool written);

    struct VersionKey {
        std::string path;
        Stamp stamp;
        bool operator==(const VersionKey&) const = default;
    };
    struct VersionKeyHash {
        std::size_t operator()(const VersionKey& key) const noexcept
        {
            return std::hash<std::string>()(key.path) ^ key.stamp;
        }
    };
    struct Canonical {
        StreamId file;
        std::string path;
    };

    JournalWriter& journal_;
    std::string cache_folder_;                        ///< with a slash at its end
    std::unordered_map<pid_t, ProcessPtr> processes_; ///< by process id
    std::unordered_map<pid_t, pid_t> threads_;        ///< thread → process
    std::unordered_map<VersionKey, VersionId, VersionKeyHash> versions_;
    std::unordered_map<std::string, Canonical> canonical_; ///< path as a process gave it → file
    std::unordered_map<VersionId, Interpreter> interpreters_;
    std::unordered_map<std::string, VersionId> archives_; ///< the newest of each path that was read
    std::unordered_map<std::string, std::weak_ptr<Process>> writing_; ///< who may write on, by path
    /// System files that were opened by these absolute names, and what changed of them meanwhile:
    /// half of what a small compile asks about. One look at a file's state is enough there, as it
    /// must be the same at the build's end.
    std::unordered_map<std::string, std::pair<VersionId, std::string>> system_reads_;
    std::set<std::string> system_writes_;
    bool system_moves_ = false; ///< a folder or link of the system was changed: names mean others
    std::string lookup_;        ///< a buffer
    std::vector<StreamId> ignored_streams_;
    std::uint64_t next_serial_ = 1;
    VersionId next_version_ = 0;
};

} // namespace stemma::hooks
