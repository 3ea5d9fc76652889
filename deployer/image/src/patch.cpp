#include "stemma/archive/reader.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/delta.hpp"
#include "stemma/image/library.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "change_session.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

namespace {

enum class PatchKind { delta, package, archive, text };

/// What a file is, by its first bytes, never by its name.
PatchKind kind_of(const std::string& file)
{
    if (is_delta(file)) {
        return PatchKind::delta;
    }
    std::array<char, 512> buffer{};
    const Fd fd = open_file(file, O_RDONLY);
    const auto got = ::pread(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0) {
        throw system_error(errno, fmt::format("read {}", file));
    }
    const std::string_view head(buffer.data(), static_cast<std::size_t>(got));
    if (head.starts_with("!<arch>\n")) {
        return PatchKind::package;
    }
    const bool text = !head.empty() && head.find('\0') == std::string_view::npos &&
                      is_utf8(head.substr(0, head.rfind('\n') + 1));
    return text ? PatchKind::text : PatchKind::archive;
}

lineage::ImageInfo described(const lineage::ImageInfo& base, const NewVersion& version)
{
    lineage::ImageInfo image = base;
    image.name = version.name;
    image.parent = base.digest;
    image.installed = version.installed;
    return image;
}

/// Judges that each delta starts where the one before it ends.
std::vector<DeltaInfo> inspect_deltas(const lineage::ImageInfo& base,
                                      const std::vector<std::string>& files)
{
    std::vector<DeltaInfo> infos;
    std::string at = base.digest;
    for (const std::string& file : files) {
        infos.push_back(inspect_delta(file));
        if (infos.back().from.hex() != at) {
            throw Error(ErrorCode::corrupt,
                        fmt::format("{} is for the image {:.12}, and here is {:.12}",
                                    file,
                                    infos.back().from.hex(),
                                    at),
                        "nothing was changed");
        }
        at = infos.back().to.hex();
    }
    return infos;
}

Change patch_by_deltas(World& world, const PatchRequest& request)
{
    const auto base = recorded_base(world, request.base);
    const auto infos = inspect_deltas(base, request.patches);
    NewVersion version;
    version.name = request.name;
    version.parent = base.digest;
    for (const std::string& file : request.patches) {
        version.installed.push_back({{"kind", "patch"},
                                     {"name", json_text(fs::path(file).filename().string())},
                                     {"sha256", sha256_file(file).hex()},
                                     {"purl", nullptr},
                                     {"path", nullptr}});
    }
    if (request.dry_run) {
        return {.image = described(base, version)};
    }
    const std::uint64_t size = infos.back().to_size;
    if (std::any_of(infos.begin(), infos.end(), [&](const auto& i) { return i.to_size != size; })) {
        throw Error(ErrorCode::unsupported,
                    "the deltas are for disks of different sizes",
                    "apply them one by one");
    }
    Transaction transaction(
        world.folder,
        base.path,
        volume::container_format_from(base.format).value_or(volume::ContainerFormat::qcow2),
        world.log,
        size);
    Activity activity(world.progress, "applying deltas", request.patches.size(), "deltas");
    for (const std::string& file : request.patches) {
        write_delta(file, transaction.disk(), world.cancel);
        activity.advance();
    }
    describe(version, transaction.disk(), world);
    world.cancel.check();
    const auto published = doing([&] { return transaction.commit(infos.back().to); },
                                 "applying {} to {}",
                                 request.patches.back(),
                                 request.base.shown);
    return record(world, version, published);
}

} // namespace

Change patch(World& world, const PatchRequest& request)
{
    expect_name(request.name);
    make_folder(world.folder);
    InstallRequest install_request{.base = request.base, .name = request.name};
    install_request.files = request.files;
    install_request.mode = request.mode;
    install_request.dry_run = request.dry_run;
    std::size_t deltas = 0;
    for (const std::string& file : request.patches) {
        switch (kind_of(file)) {
        case PatchKind::delta:
            ++deltas;
            break;
        case PatchKind::package:
            install_request.debs.push_back(file);
            break;
        case PatchKind::archive:
            install_request.tars.push_back(file);
            break;
        case PatchKind::text:
            install_request.diffs.push_back(file);
            break;
        }
    }
    if (deltas == 0) {
        return install(world, install_request);
    }
    if (deltas != request.patches.size() || !request.files.empty()) {
        throw Error(ErrorCode::usage,
                    "a block delta gives one exact image and goes alone",
                    "apply the other patches in a second command, on the result");
    }
    return patch_by_deltas(world, request);
}

} // namespace stemma::image
