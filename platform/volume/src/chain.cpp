#include "stemma/core/error.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/container.hpp"

#include <algorithm>
#include <set>

namespace stemma::volume {

namespace fs = std::filesystem;

namespace {

/// True for "json:…", "nbd://…", "ssh:…": qemu would not take these for a file's name.
bool is_protocol(std::string_view name)
{
    const auto colon = name.find(':');
    return colon != std::string_view::npos && colon < name.find('/');
}

bool lies_in(const fs::path& path, const fs::path& folder)
{
    const auto [rest, unused] =
        std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return rest == folder.end() || rest->empty();
}

/// Where a name in the header of `owner` leads; refused unless it stays in an allowed folder.
fs::path resolve(const Container& owner,
                 const std::string& name,
                 std::string_view role,
                 const std::vector<fs::path>& allowed)
{
    const std::string shown = printable(name);
    if (name.empty() || name.find('\0') != std::string::npos || is_protocol(name)) {
        throw Error(
            ErrorCode::usage,
            fmt::format(
                "{}: its {} \"{}\" is not a plain file name", owner.path.string(), role, shown));
    }
    std::error_code problem;
    fs::path target =
        fs::weakly_canonical((owner.path.parent_path() / name).lexically_normal(), problem);
    const bool inside = !problem && std::any_of(allowed.begin(), allowed.end(), [&](const auto& f) {
        return lies_in(target, f);
    });
    if (!inside) {
        throw Error(ErrorCode::usage,
                    fmt::format("{}: its {} \"{}\" lies outside of the folders that images may use",
                                owner.path.string(),
                                role,
                                shown),
                    "if that is wanted, add its folder to images.allow in stemma.yaml");
    }
    if (!fs::exists(target, problem)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("{}: its {} {} does not exist",
                                owner.path.string(),
                                role,
                                printable(target.string())),
                    "the file was moved or deleted; an overlay is worth nothing without it");
    }
    return target;
}

/// What lies behind the end of an extent would read as zeros.
void expect_whole(const Container& owner, const VmdkExtent& extent, const fs::path& file)
{
    std::error_code problem;
    const auto size = fs::file_size(file, problem);
    if (!problem && size < extent.least) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: its extent {} is cut off ({} of {} bytes)",
                                owner.path.string(),
                                printable(file.string()),
                                size,
                                extent.least),
                    "get a sound copy");
    }
}

void check_usable(const Container& container)
{
    if (container.encrypted) {
        throw Error(ErrorCode::unsupported,
                    fmt::format("{} is encrypted", container.path.string()),
                    "decrypt it first: qemu-img convert with --object secret,…");
    }
    if (container.corrupt) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} is marked corrupt by qemu", container.path.string()),
                    fmt::format("look at it: qemu-img check {}", container.path.string()));
    }
    if (container.data_file && container.data_file->empty()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} has an external data file and does not name it",
                                container.path.string()));
    }
}

Json file_node(const fs::path& path)
{
    return Json{{"driver", "file"}, {"filename", path.string()}};
}

Json node_of(const std::vector<Container>& chain, std::size_t index, bool writable)
{
    const Container& here = chain[index];
    Json node{{"driver", to_string(here.format)},
              {"file", file_node(here.path)},
              {"read-only", !writable || index != 0}};
    if (here.format == ContainerFormat::qcow2) {
        node["backing"] =
            index + 1 < chain.size() ? node_of(chain, index + 1, writable) : Json(nullptr);
        if (here.data_file) {
            node["data-file"] = file_node(here.path.parent_path() / *here.data_file);
        }
    }
    if (here.format == ContainerFormat::vmdk) {
        node["backing"] = nullptr;
    }
    return node;
}

std::vector<fs::path> canonical_folders(const fs::path& own, const std::vector<fs::path>& allow)
{
    std::vector<fs::path> folders;
    std::error_code problem;
    folders.push_back(fs::weakly_canonical(own, problem));
    for (const fs::path& folder : allow) {
        folders.push_back(fs::weakly_canonical(folder, problem));
    }
    return folders;
}

} // namespace

std::vector<Container>
inspect_chain(const fs::path& path, ContainerFormat format, const std::vector<fs::path>& allow)
{
    constexpr std::size_t most_layers = 64;
    const auto allowed = canonical_folders(fs::absolute(path).parent_path(), allow);
    std::vector<Container> chain;
    std::set<fs::path> seen;
    fs::path next = path;
    ContainerFormat next_format = format;
    for (;;) {
        Container here = inspect_container(next, next_format);
        check_usable(here);
        if (!seen.insert(fs::weakly_canonical(here.path)).second || chain.size() >= most_layers) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: its chain of backing files {}",
                                    chain.front().path.string(),
                                    chain.size() >= most_layers ? "is deeper than 64 files"
                                                                : "runs in a circle"));
        }
        if (here.data_file) {
            resolve(here, *here.data_file, "data file", allowed);
        }
        for (const VmdkExtent& extent : here.extents) {
            expect_whole(here, extent, resolve(here, extent.file, "extent", allowed));
        }
        const auto backing = here.backing;
        const auto backing_format = here.backing_format;
        chain.push_back(std::move(here));
        if (!backing) {
            return chain;
        }
        next = resolve(chain.back(), *backing, "backing file", allowed);
        if (!backing_format) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{}: it does not say which format its backing file has",
                                    chain.back().path.string()),
                        fmt::format("say it once: qemu-img rebase -u -F FORMAT -b {} {}",
                                    *backing,
                                    chain.back().path.string()));
        }
        next_format = *backing_format;
    }
}

std::string blockdev_json(const std::vector<Container>& chain, bool writable, bool force_share)
{
    Json node = node_of(chain, 0, writable);
    if (force_share) {
        node["force-share"] = true;
    }
    return node.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace stemma::volume
