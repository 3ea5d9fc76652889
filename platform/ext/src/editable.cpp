#include "editable.hpp"

#include <array>

namespace stemma::ext {

namespace {

struct Forbidden {
    std::uint32_t bit;
    std::string_view name;
};
constexpr std::array forbidden_incompatible = {Forbidden{0x400, "ea_inode"},
                                               Forbidden{0x8000, "inline_data"},
                                               Forbidden{0x10000, "encrypt"},
                                               Forbidden{0x20000, "casefold"},
                                               Forbidden{0x100, "mmp"},
                                               Forbidden{0x8, "journal_dev"}};
constexpr std::array forbidden_ro = {Forbidden{0x100, "quota"},
                                     Forbidden{0x200, "bigalloc"},
                                     Forbidden{0x2000, "project"},
                                     Forbidden{0x8000, "verity"},
                                     Forbidden{0x80, "snapshot"}};
constexpr std::uint32_t stable_inodes = 0x800;
constexpr std::uint32_t orphan_present = 0x10000;

[[noreturn]] void refuse_write(const Session& session, std::string_view why, std::string hint)
{
    throw Error(ErrorCode::unsupported,
                fmt::format("{} cannot be changed: {}", session.volume().name(), why),
                std::move(hint));
}

} // namespace

void expect_writable_features(const Session& session)
{
    const auto& super = *session.fs()->super;
    std::string names;
    const auto add = [&](bool set, std::string_view name) {
        if (set) {
            names += (names.empty() ? "" : ", ") + std::string(name);
        }
    };
    for (const Forbidden& each : forbidden_incompatible) {
        add((super.s_feature_incompat & each.bit) != 0, each.name);
    }
    for (const Forbidden& each : forbidden_ro) {
        add((super.s_feature_ro_compat & each.bit) != 0, each.name);
    }
    add((super.s_feature_compat & stable_inodes) != 0, "stable_inodes");
    if (!names.empty()) {
        refuse_write(session,
                     fmt::format("its file system uses {}", names),
                     "change it in a running VM, or use --mode appliance");
    }
    if ((super.s_state & EXT2_ERROR_FS) != 0) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} cannot be changed: its file system is marked as having errors",
                                session.volume().name()),
                    "repair it first: export it as raw, e2fsck -f, import it again");
    }
    if (super.s_last_orphan != 0 || (super.s_feature_ro_compat & orphan_present) != 0) {
        refuse_write(session,
                     "files that were deleted while open still wait for their end",
                     "boot the machine once and shut it down, or run e2fsck on it");
    }
}

} // namespace stemma::ext
