#pragma once

#include "stemma/cli/args.hpp"
#include "stemma/cli/command.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/image/library.hpp"

#include <optional>
#include <string>
#include <vector>

/// What the image commands share, and their functions; the rows are in image.cpp.
namespace stemma::cli {

/// Options of every command that opens an image, in the order of the help.
std::vector<Option> opening_options();
/// The same with what only reading can have: an internal snapshot.
std::vector<Option> reading_options();

/// An image that is only read. The store is asked only when the words do not name a file.
image::Selected select_image(Context& context, const Args& args, const std::string& selector);

/// The store for reading; nullptr where there is none yet.
lineage::Store* store_if_any(Context& context);

/// For commands that make or record images: opens the store for writing.
image::World image_world(Context& context);

/// {name digest parent format size path os created installed packages} with every member present.
Json image_item(const lineage::ImageInfo& image);

/// Prints what a command made, with its notes on standard error.
int show_change(Context& context, const image::Change& change, std::string_view verb, bool dry_run);

std::optional<volume::ContainerFormat> format_option(const Args& args, std::string_view option);

int run_image_import(Context& context, const Args& args);
int run_image_list(Context& context, const Args& args);
int run_image_show(Context& context, const Args& args);
int run_image_install(Context& context, const Args& args);
int run_image_patch(Context& context, const Args& args);
int run_image_delta(Context& context, const Args& args);
int run_image_remove(Context& context, const Args& args);
int run_image_export(Context& context, const Args& args);
int run_image_retire(Context& context, const Args& args);
int run_image_ls(Context& context, const Args& args);
int run_image_customize(Context& context, const Args& args);
int run_image_gc(Context& context, const Args& args);
int run_image_find(Context& context, const Args& args);
int run_image_cat(Context& context, const Args& args);
int run_image_inspect(Context& context, const Args& args);
int run_image_diff(Context& context, const Args& args);

} // namespace stemma::cli
