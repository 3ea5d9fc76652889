#include "chroot.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/diff.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

using volume::NodeInfo;
using volume::NodeKind;

/// Runs in a mount namespace of its own; $1 is the copy.
constexpr std::string_view outer_script = R"END(set -e
root=$1
mount --make-rprivate /
for d in dev proc sys run tmp; do [ -d "$root/$d" ] || { mkdir -m 755 "$root/$d"; made="$made $d"; }; done
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for n in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    mknod -m 666 "$root/dev/${n%%:*}" c $(echo "${n#*:}" | tr : ' ')
done
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/run/lock" "$root/run/stemma"
mount --bind "$2" "$root/run/stemma"
set +e
env -i PATH="$PATH" HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    DEBCONF_NONINTERACTIVE_SEEN=true SYSTEMD_OFFLINE=1 SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
    chroot "$root" /bin/sh /run/stemma/script
code=$?
for d in run/stemma run tmp proc dev; do umount -l "$root/$d"; done
for d in $made; do rmdir "$root/$d"; done
exit $code
)END";

void expect_root()
{
    if (::geteuid() != 0) {
        throw Error(
            ErrorCode::usage,
            "the mode \"chroot\" needs root, and gives the image's scripts root's rights here",
            "--mode appliance runs them in a VM, as any user");
    }
}

void check(int result, std::string_view what, const std::string& path)
{
    if (result != 0) {
        throw system_error(errno, fmt::format("{} {}", what, printable(path)));
    }
}

/// Copies a file tree out of an image, as root.
class Unpacker {
public:
    Unpacker(volume::Filesystem& tree, fs::path target, const Cancel& cancel)
        : tree_(tree), target_(std::move(target)), cancel_(cancel)
    {
    }

    void unpack()
    {
        volume::walk(
            tree_,
            "/",
            [&](const std::string& path, const NodeInfo& info) {
                cancel_.check();
                put(path, info);
                return true;
            },
            [](const std::string& path, const std::string& why) {
                throw Error(ErrorCode::corrupt, fmt::format("{}: {}", printable(path), why));
            });
        // Folders last: what goes into them changes their times.
        for (auto folder = folders_.rbegin(); folder != folders_.rend(); ++folder) {
            set_time(folder->first, folder->second);
        }
    }

private:
    void put(const std::string& path, const NodeInfo& info)
    {
        const std::string place = target_.string() + (path == "/" ? "" : path);
        if (info.links > 1 && info.kind != NodeKind::directory) {
            const auto [known, fresh] = names_.emplace(info.inode, place);
            if (!fresh) {
                check(::link(known->second.c_str(), place.c_str()), "link", place);
                return;
            }
        }
        make(path, place, info);
        check(::lchown(place.c_str(), info.uid, info.gid), "give away", place);
        for (const auto& [name, value] : tree_.extended_attributes(path)) {
            check(::lsetxattr(place.c_str(), name.c_str(), value.data(), value.size(), 0),
                  fmt::format("set {} of", name),
                  place);
        }
        if (info.kind != NodeKind::symlink) {
            check(::chmod(place.c_str(), info.mode), "set the mode of", place);
        }
        if (info.kind == NodeKind::directory) {
            folders_.emplace_back(place, info.modified);
        } else {
            set_time(place, info.modified);
        }
    }

    void make(const std::string& path, const std::string& place, const NodeInfo& info)
    {
        switch (info.kind) {
        case NodeKind::directory:
            check(path == "/" ? 0 : ::mkdir(place.c_str(), 0700), "make", place);
            return;
        case NodeKind::symlink:
            check(::symlink(tree_.read_link(path).c_str(), place.c_str()), "make", place);
            return;
        case NodeKind::fifo:
            check(::mkfifo(place.c_str(), 0600), "make", place);
            return;
        case NodeKind::file: {
            const Fd file = open_file(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
            tree_.read(path, [&](std::string_view part) {
                write_all(file.get(), part, place);
                return true;
            });
            return;
        }
        default:
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} is a {}, which the mode \"chroot\" does not copy",
                                    printable(path),
                                    to_string(info.kind)),
                        "--mode appliance works on the image itself");
        }
    }

    static void set_time(const std::string& place, Time time)
    {
        using std::chrono::nanoseconds;
        const auto whole = std::chrono::floor<std::chrono::seconds>(time.time_since_epoch());
        const auto rest = std::chrono::duration_cast<nanoseconds>(time.time_since_epoch() - whole);
        timespec stamp{};
        stamp.tv_sec = whole.count();
        stamp.tv_nsec = rest.count();
        const std::array<timespec, 2> stamps = {stamp, stamp};
        check(::utimensat(AT_FDCWD, place.c_str(), stamps.data(), AT_SYMLINK_NOFOLLOW),
              "set the time of",
              place);
    }

    volume::Filesystem& tree_;
    fs::path target_;
    const Cancel& cancel_;
    std::map<std::uint64_t, std::string> names_; ///< inode → the first name
    std::vector<std::pair<std::string, Time>> folders_;
};

/// Brings differences of a folder back into the image.
class Packer {
public:
    Packer(ext::Editor& editor, volume::Filesystem& from) : editor_(editor), from_(from) {}

    void pack(const std::vector<Difference>& differences)
    {
        for (auto each = differences.rbegin(); each != differences.rend(); ++each) {
            if (each->kind == DifferenceKind::file && from_.look(each->name) == std::nullopt) {
                remove(each->name);
            }
        }
        for (const Difference& each : differences) {
            if (each.kind == DifferenceKind::file && from_.look(each.name)) {
                put(each.name);
            }
        }
    }

private:
    void remove(const std::string& path)
    {
        const auto info = editor_.tree().look(path);
        if (info && info->kind == NodeKind::directory) {
            editor_.remove_folder(path);
        } else if (info) {
            editor_.remove(path);
        }
    }

    void put(const std::string& path)
    {
        const auto info = *from_.look(path);
        const ext::Attributes attributes{.mode = info.mode,
                                         .uid = info.uid,
                                         .gid = info.gid,
                                         .modified = info.modified,
                                         .xattrs = from_.extended_attributes(path)};
        const auto there = editor_.tree().look(path);
        const bool was_folder = there && there->kind == NodeKind::directory;
        if (there && was_folder != (info.kind == NodeKind::directory)) {
            remove(path);
        }
        if (info.links > 1 && info.kind != NodeKind::directory) {
            const auto [known, fresh] = names_.emplace(info.inode, path);
            if (!fresh) {
                editor_.put_hard_link(known->second, path);
                return;
            }
        }
        switch (info.kind) {
        case NodeKind::directory:
            if (!editor_.put_folder(path, attributes)) {
                editor_.set_attributes(path, attributes);
            }
            return;
        case NodeKind::symlink:
            editor_.put_symlink(path, attributes, from_.read_link(path));
            return;
        case NodeKind::fifo:
            editor_.put_fifo(path, attributes);
            return;
        case NodeKind::file:
            editor_.put_file(path, attributes, info.size, [&](const auto& sink) {
                from_.read(path, [&](std::string_view part) {
                    sink(part);
                    return true;
                });
            });
            return;
        default:
            throw Error(
                ErrorCode::unsupported,
                fmt::format("the script made {}, a {}", printable(path), to_string(info.kind)),
                "--mode appliance works on the image itself");
        }
    }

    ext::Editor& editor_;
    volume::Filesystem& from_;
    std::map<std::uint64_t, std::string> names_;
};

/// A link of the image must not lead what is written or mounted here to this machine's own files.
void expect_within(const fs::path& root)
{
    const auto inside = fs::canonical(root);
    for (const std::string_view name : {"dev", "proc", "sys", "run", "tmp", "etc", "usr/sbin"}) {
        const auto place = fs::weakly_canonical(root / name);
        const auto [end, unused] =
            std::mismatch(inside.begin(), inside.end(), place.begin(), place.end());
        if (end != inside.end() ||
            (fs::is_symlink(fs::symlink_status(root / name)) && !fs::exists(root / name))) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("/{} of the image is a link that leads out of it", name),
                        "--mode appliance works on the image itself");
        }
    }
}

/// Forbids services while it is there, and keeps the machine's id as it was.
class Guarded {
public:
    explicit Guarded(const fs::path& root)
        : policy_(root / "usr/sbin/policy-rc.d"), id_(root / "etc/machine-id")
    {
        std::error_code ignored;
        if (!fs::exists(fs::symlink_status(policy_, ignored)) &&
            fs::exists(policy_.parent_path())) {
            write_file(policy_, "#!/bin/sh\nexit 101\n", 0755);
            made_ = true;
        }
        if (fs::is_regular_file(fs::symlink_status(id_, ignored))) {
            before_ = read_file(id_, 1 << 16);
            check(::lstat(id_.c_str(), &as_), "look at", id_.string());
        }
    }

    void end()
    {
        if (made_) {
            fs::remove(policy_);
        }
        std::error_code ignored;
        const bool there = fs::is_regular_file(fs::symlink_status(id_, ignored));
        if (there && !before_) {
            fs::remove(id_);
        } else if (before_ && there && read_file(id_, 1 << 16) != *before_) {
            put_back();
        }
    }

private:
    /// The same file with the same mode, owner and time, as if nobody had touched it.
    void put_back()
    {
        const Fd file = open_file(id_.string(), O_WRONLY | O_TRUNC | O_NOFOLLOW);
        write_all(file.get(), *before_, id_.string());
        check(::fchown(file.get(), as_.st_uid, as_.st_gid), "give away", id_.string());
        check(::fchmod(file.get(), as_.st_mode & 07777U), "set the mode of", id_.string());
        const std::array<timespec, 2> times = {as_.st_atim, as_.st_mtim};
        check(::futimens(file.get(), times.data()), "set the time of", id_.string());
    }

    fs::path policy_;
    fs::path id_;
    bool made_ = false;
    std::optional<std::string> before_;
    struct stat as_ {};
};

ApplianceResult run_script(const fs::path& root, const ChrootJob& job, const Cancel& cancel)
{
    const TemporaryFolder payload("chroot-payload", job.folder);
    write_file(payload.path() / "script", job.script, 0755);
    for (const auto& [name, file] : job.files) {
        fs::copy_file(file, payload.path() / name);
    }
    Command command{.argv = {"unshare",
                             "--mount",
                             "--pid",
                             "--net",
                             "--ipc",
                             "--fork",
                             "--kill-child",
                             "/bin/sh",
                             "-c",
                             std::string(outer_script),
                             "stemma",
                             root.string(),
                             payload.path().string()}};
    const auto seconds =
        std::chrono::duration_cast<std::chrono::seconds>(job.now.time_since_epoch()).count();
    command.environment = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                           {"SOURCE_DATE_EPOCH", std::to_string(seconds)}};
    command.timeout = std::chrono::minutes(20);
    command.cancel = &cancel;
    const auto result = run(command);
    return {.exit = result.exit.signal != 0 ? 128 + result.exit.signal : result.exit.code,
            .output = result.out + result.err};
}

} // namespace

ApplianceResult
run_in_chroot(ext::Editor& editor, const ChrootJob& job, const Cancel& cancel, Log& log)
{
    expect_root();
    const TemporaryFolder work("chroot", job.folder);
    const fs::path root = work.path() / "root";
    fs::create_directory(root);
    Unpacker(editor.tree(), root, cancel).unpack();
    expect_within(root);
    Guarded guarded(root);
    auto result = run_script(root, job, cancel);
    cancel.check();
    expect_within(root); // the script may have made links
    guarded.end();
    if (result.exit != 0) {
        return result;
    }
    const auto after = volume::open_folder(root.string());
    const auto found = compare_trees(editor.tree(), *after, {.modified_times = true}, cancel);
    if (!found.damage.empty()) {
        throw Error(ErrorCode::io, "cannot bring the changes back: " + found.damage.front());
    }
    log.debug("chroot: {} differences", found.differences.size());
    Packer(editor, *after).pack(found.differences);
    return result;
}

} // namespace stemma::image
