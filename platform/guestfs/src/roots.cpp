#include "roots.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "reader.hpp"

namespace stemma::guestfs {

namespace {

constexpr std::string_view subvolume_prefix = "btrfsvol:";
constexpr std::uint64_t most_fstab = 1U << 20U;

/// Words that the library gave: freed with each of them.
class Words {
public:
    explicit Words(char** words) : words_(words) {}
    ~Words()
    {
        for (char** each = words_; each != nullptr && *each != nullptr; ++each) {
            std::free(*each); // NOLINT(cppcoreguidelines-no-malloc): malloc's, by contract
        }
        std::free(words_); // NOLINT(cppcoreguidelines-no-malloc): malloc's, by contract
    }
    Words(const Words&) = delete;
    Words& operator=(const Words&) = delete;
    [[nodiscard]] std::vector<std::string> all() const
    {
        std::vector<std::string> words;
        for (char** each = words_; each != nullptr && *each != nullptr; ++each) {
            words.emplace_back(*each);
        }
        return words;
    }

private:
    char** words_;
};

/// "btrfsvol:/dev/sda/@/var" lies on "/dev/sda".
std::string device_of(const std::string& place)
{
    if (!place.starts_with(subvolume_prefix)) {
        return place;
    }
    const auto path = place.substr(subvolume_prefix.size());
    return path.substr(0, path.find('/', std::string_view("/dev/").size()));
}

/// The path of a btrfs subvolume; empty for anything else.
std::string subvolume_of(const std::string& place)
{
    return place.starts_with(subvolume_prefix)
               ? place.substr(subvolume_prefix.size() + device_of(place).size() + 1)
               : "";
}

/// Names that distributions give to the subvolume of their root: Fedora, Ubuntu and Arch, Debian.
bool is_root_name(const std::string& subvolume)
{
    return subvolume == "root" || subvolume == "@" || subvolume == "@rootfs";
}

class Mounter {
public:
    Mounter(const Functions& library,
            guestfs_h* handle,
            std::string name,
            const jail::Explain& explain)
        : library_(library), handle_(handle), name_(std::move(name)), explain_(explain)
    {
        const Words found(library_.list_filesystems(handle_));
        const auto words = found.all();
        for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
            if (words[i + 1] != "swap" && words[i + 1] != "unknown") {
                places_.emplace_back(words[i], words[i + 1]);
            }
        }
        explain_(fmt::format("{}: libguestfs finds {}", name_, printable(summary())));
    }

    Mounted root(const std::string& wanted)
    {
        if (!wanted.empty()) {
            places_.erase(
                std::remove_if(places_.begin(),
                               places_.end(),
                               [&](const auto& place) { return device_of(place.first) != wanted; }),
                places_.end());
        }
        if (places_.empty()) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{}: libguestfs finds no file system{} in it",
                                    name_,
                                    wanted.empty() ? "" : " " + printable(wanted)));
        }
        const auto place = choose();
        mount(place.first, "/", "ro");
        add_subvolumes(place);
        return {.place = place.first, .content = place.second, .missing = std::move(missing_)};
    }

private:
    using Place = std::pair<std::string, std::string>; ///< where, and what is there

    [[nodiscard]] std::string summary() const
    {
        constexpr std::size_t most_shown = 12;
        std::string text;
        for (std::size_t i = 0; i < places_.size() && i < most_shown; ++i) {
            text += (i == 0 ? "" : ", ") + places_[i].first + " (" + places_[i].second + ")";
        }
        return text.empty() ? "no file system" : text;
    }

    void mount(const std::string& place, const std::string& at, const std::string& options)
    {
        if (library_.mount_options(handle_, options.c_str(), place.c_str(), at.c_str()) != 0) {
            auto failure = failure_of(library_, handle_, name_);
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} cannot be mounted by the VM's kernel: {}",
                                    printable(place),
                                    failure.message()),
                        "it is damaged, or newer than the kernel in /boot that libguestfs takes");
        }
    }

    [[nodiscard]] bool exists(const char* path) const
    {
        const std::unique_ptr<GuestfsStat, void (*)(GuestfsStat*)> found(
            library_.statns(handle_, path), library_.free_statns);
        return found != nullptr;
    }

    bool looks_like_root(const Place& place)
    {
        if (library_.mount_options(handle_, "ro", place.first.c_str(), "/") != 0) {
            first_refusal_ = first_refusal_.value_or(
                fmt::format("{}: {}",
                            printable(place.first),
                            failure_of(library_, handle_, place.second).message()));
            return false;
        }
        const bool is = exists("/etc/os-release") || exists("/etc/fstab") ||
                        exists("/Windows/System32/config/SYSTEM");
        (void)library_.umount_all(handle_);
        return is;
    }

    /// Of one device: what it mounts by itself, before its subvolumes, among which old copies of
    /// the root may be.
    std::vector<Place> roots_of(const std::string& device)
    {
        std::vector<Place> roots;
        for (const bool subvolumes : {false, true}) {
            for (const Place& place : places_) {
                if (device_of(place.first) == device &&
                    place.first.starts_with(subvolume_prefix) == subvolumes &&
                    looks_like_root(place)) {
                    roots.push_back(place);
                }
            }
            if (!roots.empty()) {
                break;
            }
        }
        const auto named = std::find_if(roots.begin(), roots.end(), [](const Place& place) {
            return is_root_name(subvolume_of(place.first));
        });
        return named == roots.end() ? roots : std::vector<Place>{*named};
    }

    Place choose()
    {
        std::set<std::string> devices;
        for (const Place& place : places_) {
            devices.insert(device_of(place.first));
        }
        std::vector<Place> roots;
        for (const std::string& device : devices) {
            const auto found = roots_of(device);
            roots.insert(roots.end(), found.begin(), found.end());
        }
        if (roots.size() == 1) {
            return roots.front();
        }
        if (roots.empty() && devices.size() == 1) {
            return places_.front(); // the only one, whatever it holds
        }
        throw Error(first_refusal_ ? ErrorCode::corrupt : ErrorCode::usage,
                    fmt::format("{}: {} file systems look like a root ({}){}",
                                name_,
                                roots.empty() ? "none of several" : "several",
                                printable(summary()),
                                first_refusal_ ? "; " + *first_refusal_ : ""),
                    "say which partition: --partition N");
    }

    std::string fstab()
    {
        std::string text;
        try {
            read_mounted(library_, handle_, {})->read("/etc/fstab", [&](std::string_view part) {
                text += part;
                return text.size() < most_fstab;
            });
        } catch (const Error&) {
            return {}; // there is none
        }
        return text;
    }

    /// openSUSE and others keep /var, /home, … in subvolumes of the root's own btrfs.
    void add_subvolumes(const Place& root)
    {
        if (root.second != "btrfs") {
            return;
        }
        std::map<std::string, std::string> wanted; // where → subvolume; a parent before its inside
        std::string root_device;
        std::vector<std::vector<std::string>> lines;
        const auto text = fstab();
        for (const std::string_view line : split_lines(text)) {
            const auto views = split_words(line);
            std::vector<std::string> words(views.begin(), views.end());
            if (words.size() < 4 || words[0].starts_with('#') || words[2] != "btrfs") {
                continue;
            }
            root_device = words[1] == "/" ? words[0] : root_device;
            lines.push_back(std::move(words));
        }
        for (const auto& words : lines) {
            const auto subvolume = subvolume_option(words[3]);
            if (words[0] == root_device && words[1].starts_with("/") && words[1] != "/" &&
                !subvolume.empty()) {
                wanted.emplace(words[1], subvolume);
            }
        }
        for (const auto& [at, subvolume] : wanted) {
            mount_inside(device_of(root.first), at, subvolume);
        }
    }

    static std::string subvolume_option(const std::string& options)
    {
        constexpr std::string_view key = "subvol=";
        for (const std::string_view option : split(options, ',')) {
            if (option.starts_with(key)) {
                return std::string(option.substr(key.size()));
            }
        }
        return {};
    }

    void
    mount_inside(const std::string& device, const std::string& at, const std::string& subvolume)
    {
        const auto options = "ro,subvol=" + subvolume;
        if (library_.mount_options(handle_, options.c_str(), device.c_str(), at.c_str()) != 0) {
            missing_.emplace(at, failure_of(library_, handle_, printable(subvolume)).message());
        } else {
            explain_(fmt::format(
                "{}: {} is the subvolume {}", name_, printable(at), printable(subvolume)));
        }
    }

    const Functions& library_;
    guestfs_h* handle_;
    std::string name_;
    const jail::Explain& explain_;
    std::vector<Place> places_;
    std::map<std::string, std::string> missing_; ///< what could not be mounted inside the root
    std::optional<std::string> first_refusal_;   ///< a file system that cannot be mounted, and why
};

} // namespace

Mounted mount_root(const Functions& library,
                   guestfs_h* handle,
                   const std::string& name,
                   const std::string& wanted,
                   const jail::Explain& explain)
{
    return Mounter(library, handle, name, explain).root(wanted);
}

} // namespace stemma::guestfs
