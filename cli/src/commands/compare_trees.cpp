#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/sidecar.hpp"
#include "stemma/core/activity.hpp"
#include "stemma/core/error.hpp"
#include "stemma/volume/filesystem.hpp"

#include <algorithm>
#include <set>

#include "compare_set.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;

bool is_archive(const fs::path& path)
{
    const std::string name = path.filename();
    return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tar.zst") ||
           name.ends_with(".tar.xz");
}

std::string name_of(const fs::path& path)
{
    std::string name = (path.filename().empty() ? path.parent_path() : path).filename();
    const auto at = name.find(".tar");
    return at == std::string::npos ? name : name.substr(0, at);
}

analyzer::FeatureSet
read_tree(Context& context, const fs::path& path, const analyzer::Definition& definition)
{
    const auto tree = fs::is_directory(path) ? volume::open_folder(path) : volume::open_tar(path);
    auto features = analyzer::extract(*tree, definition, {context.clock(), context.cancel()});
    analyzer::add_sidecar(path, features);
    return features;
}

} // namespace

void compare_trees(Context& context, const Args& args, ComparedSet& set)
{
    const fs::path target = *args.value("dir");
    const auto peers = args.value("peers-dir");
    if (!peers) {
        throw Error(ErrorCode::usage,
                    "--dir needs --peers-dir",
                    "name the folder that holds the peers' trees, one folder or .tar each");
    }
    if (!fs::exists(target)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("no such file or folder: {}", target.string()));
    }
    if (!fs::is_directory(*peers)) {
        throw Error(ErrorCode::not_found, fmt::format("not a folder: {}", *peers));
    }
    const analyzer::Definition definition =
        args.value("definition") ? analyzer::load_definition(*args.value("definition"))
                                 : analyzer::default_definition();
    const auto leave_out = args.values("exclude");
    std::set<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(*peers)) {
        const bool excluded =
            std::find(leave_out.begin(), leave_out.end(), name_of(entry.path())) != leave_out.end();
        const bool is_tree = entry.is_directory() || is_archive(entry.path());
        if (is_tree && !excluded && !fs::equivalent(entry.path(), target)) {
            paths.insert(entry.path());
        }
    }
    set.peers_are = fmt::format("trees in {}", *peers);
    set.target_name = name_of(target);
    set.target = set.pool->read(set.target_name, read_tree(context, target, definition), true);
    Activity activity(context.progress(), "reading peers", paths.size(), "trees");
    for (const fs::path& path : paths) {
        context.cancel().check();
        activity.detail(path.filename().string());
        try {
            set.pool->add(set.pool->read(name_of(path), read_tree(context, path, definition)));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            set.gaps.push_back({path.string(), error.one_line()});
        }
        activity.advance();
    }
}

} // namespace stemma::cli
