#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/image/customize.hpp"
#include "stemma/image/delta.hpp"

#include "image.hpp"

namespace stemma::cli {

namespace {

image::Mode mode_option(const Args& args)
{
    const auto word = args.value_or("mode", "extract");
    if (word == "extract") {
        return image::Mode::extract;
    }
    if (word == "appliance") {
        return image::Mode::appliance;
    }
    if (word == "chroot") {
        return image::Mode::chroot;
    }
    throw Error(ErrorCode::usage,
                fmt::format("unknown mode {}", printable(word)),
                "extract (nothing runs), appliance or chroot");
}

std::optional<std::uint32_t> parse_mode(std::string_view text)
{
    std::uint32_t mode = 0;
    if (text.empty() || text.size() > 5) {
        return std::nullopt;
    }
    for (const char digit : text) {
        if (digit < '0' || digit > '7') {
            return std::nullopt;
        }
        mode = mode * 8 + static_cast<std::uint32_t>(digit - '0');
    }
    return mode <= 07777 ? std::optional(mode) : std::nullopt;
}

/// "SRC:DST" or "SRC:DST:MODE"; the place in the image starts at the first ":/".
image::FileInstall parse_file(const std::string& text)
{
    const auto colon = text.find(":/");
    if (colon == std::string::npos || colon == 0) {
        throw Error(
            ErrorCode::usage,
            fmt::format("--file {}: not SRC:DST[:MODE] with an absolute DST", printable(text)),
            "for example --file ./motd:/etc/motd:0644");
    }
    image::FileInstall file{
        .source = text.substr(0, colon), .target = text.substr(colon + 1), .mode = std::nullopt};
    const auto last = file.target.rfind(':');
    if (last != std::string::npos) {
        file.mode = parse_mode(std::string_view(file.target).substr(last + 1));
        if (!file.mode) {
            throw Error(
                ErrorCode::usage,
                fmt::format("--file {}: the mode is not octal, such as 0644", printable(text)));
        }
        file.target.resize(last);
    }
    return file;
}

std::string needed(const Args& args, std::string_view option)
{
    const auto value = args.value(option);
    if (!value) {
        throw Error(ErrorCode::usage,
                    fmt::format("--{} is missing", option),
                    "every version gets a name: --name NEW");
    }
    return *value;
}

} // namespace

int run_image_import(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "NAME FILE");
    const auto name = words[0].starts_with("image:") ? words[0].substr(6) : words[0];
    auto world = image_world(context);
    auto source =
        image::select(nullptr,
                      words[1].find('/') == std::string::npos ? "./" + words[1] : words[1],
                      format_option(args, "as"),
                      world.allow);
    const auto change = image::import_image(world, name, source);
    return show_change(context, change, "import", false);
}

int run_image_install(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, SIZE_MAX, "SEL [PACKAGE.deb]…");
    image::InstallRequest request{.base = {}, .name = needed(args, "name")};
    for (const std::string& file : args.values("file")) {
        request.files.push_back(parse_file(file));
    }
    request.debs = args.values("deb");
    // What a shell makes of --deb *.deb: the first is the option's, the others are words.
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (!words[i].ends_with(".deb")) {
            throw Error(ErrorCode::usage,
                        fmt::format("'{}' is no Debian package", printable(words[i])),
                        "files are given with --file SRC:DST, archives with --tar");
        }
        request.debs.push_back(words[i]);
    }
    request.tars = args.values("tar");
    request.mode = mode_option(args);
    request.dry_run = args.has("dry-run");
    auto world = image_world(context);
    request.base = select_image(context, args, words[0]);
    return show_change(context, image::install(world, request), "install", request.dry_run);
}

int run_image_patch(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, SIZE_MAX, "BASE PATCH…");
    image::PatchRequest request{.base = {}, .name = needed(args, "name")};
    for (std::size_t i = 1; i < words.size(); ++i) {
        // A file that is there is a patch, whatever its name; else the word is SRC:DST.
        if (!std::filesystem::exists(words[i]) && words[i].find(":/") != std::string::npos) {
            request.files.push_back(parse_file(words[i]));
        } else {
            request.patches.push_back(words[i]);
        }
    }
    request.mode = mode_option(args);
    request.dry_run = args.has("dry-run");
    auto world = image_world(context);
    request.base = select_image(context, args, words[0]);
    return show_change(context, image::patch(world, request), "patch", request.dry_run);
}

int run_image_delta(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "A B");
    const auto from = select_image(context, args, words[0]);
    const auto to = select_image(context, args, words[1]);
    const auto out = args.value("out").value_or(fmt::format("{}-{}.delta",
                                                            from.path.stem().string().substr(0, 12),
                                                            to.path.stem().string().substr(0, 12)));
    const auto info = image::make_delta(from, to, out, context.cancel());
    Answer answer{
        .schema = "stemma.image.delta/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    answer.items.push_back({{"path", json_text(out)},
                            {"from", info.from.hex()},
                            {"to", info.to.hex()},
                            {"changed_bytes", info.changed_bytes},
                            {"bytes", info.file_bytes}});
    return show(context,
                answer,
                {{.title = "file", .member = "path"},
                 {.title = "from", .member = "from", .style = Column::Style::digest},
                 {.title = "to", .member = "to", .style = Column::Style::digest},
                 {.title = "changed",
                  .member = "changed_bytes",
                  .align = Column::Align::right,
                  .style = Column::Style::size},
                 {.title = "size",
                  .member = "bytes",
                  .align = Column::Align::right,
                  .style = Column::Style::size}});
}

int run_image_remove(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, SIZE_MAX, "SEL [PACKAGE]…");
    image::RemoveRequest request{.base = {}, .name = needed(args, "name")};
    request.packages = args.values("package");
    request.packages.insert(request.packages.end(), std::next(words.begin()), words.end());
    request.files = args.values("file");
    request.tars = args.values("tar");
    request.mode = mode_option(args);
    request.dry_run = args.has("dry-run");
    if (request.packages.empty() && request.files.empty() && request.tars.empty()) {
        throw Error(ErrorCode::usage,
                    "nothing to remove",
                    "name packages, or give --tar NAME or --file PATH");
    }
    auto world = image_world(context);
    request.base = select_image(context, args, words[0]);
    return show_change(context, image::remove(world, request), "remove", request.dry_run);
}

namespace {

/// The format that a file to be written is named after.
volume::ContainerFormat format_by_name(const std::filesystem::path& file)
{
    const auto ending = file.extension().string();
    if (ending == ".img") {
        return volume::ContainerFormat::raw;
    }
    const auto named =
        ending.empty() ? std::nullopt : volume::container_format_from(ending.substr(1));
    return named.value_or(volume::ContainerFormat::qcow2);
}

} // namespace

int run_image_export(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "SEL FILE");
    const auto format = format_option(args, "as").value_or(format_by_name(words[1]));
    const Args none = Args::parse({}, {}, false);
    const auto source = select_image(context, none, words[0]);
    auto world = image_world(context);
    image::export_image(world, source, words[1], format);
    if (!context.quiet) {
        context.log().info("wrote {}", words[1]);
    }
    return 0;
}

int run_image_retire(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "SEL");
    auto world = image_world(context);
    const auto name = words[0].starts_with("image:") ? words[0].substr(6) : words[0];
    const auto known = world.store.find_image(name);
    if (!known) {
        throw Error(ErrorCode::not_found, fmt::format("there is no image {}", printable(name)));
    }
    if (!known->retired) {
        image::retire(world, *known, args.value_or("reason", ""));
    }
    context.out(fmt::format("image {} {:.12} retired{}\n",
                            known->name,
                            known->digest,
                            known->retired ? " before" : ""));
    return 0;
}

int run_image_customize(Context& context, const Args& args)
{
    const auto& words = args.expect_words(2, 2, "SEL FILE");
    const auto name = needed(args, "name");
    const auto customization = image::load_customization(words[1]);
    auto world = image_world(context);
    const auto base = select_image(context, args, words[0]);
    return show_change(
        context, image::customize(world, base, name, customization), "customize", false);
}

int run_image_gc(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    auto world = image_world(context);
    const bool dry_run = args.has("dry-run");
    const auto collected = image::collect(world, dry_run);
    Answer answer{
        .schema = "stemma.image.gc/1", .as_of = std::nullopt, .seq = std::nullopt, .gaps = {}};
    for (const auto& file : collected.files) {
        answer.items.push_back({{"path", file.path.string()},
                                {"bytes", file.bytes},
                                {"state",
                                 file.in_use ? "in use"
                                 : dry_run   ? "would go"
                                             : "removed"}});
    }
    answer.extra = {{"dry_run", dry_run}};
    return show(context,
                answer,
                {{.title = "path", .member = "path"},
                 {.title = "size",
                  .member = "bytes",
                  .align = Column::Align::right,
                  .style = Column::Style::size},
                 {.title = "state", .member = "state"}});
}

} // namespace stemma::cli
