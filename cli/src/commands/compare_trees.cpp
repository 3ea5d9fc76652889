#include "stemma/analyzer/extract.hpp"
#include "stemma/analyzer/sidecar.hpp"
#include "stemma/core/activity.hpp"
#include "stemma/core/error.hpp"

#include <algorithm>
#include <deque>
#include <future>
#include <set>
#include <thread>

#include "compare_set.hpp"
#include "trees.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;

analyzer::FeatureSet
read_tree(Context& context, const fs::path& path, const analyzer::Definition& definition)
{
    auto features = features_of_tree(context, definition, path);
    analyzer::add_sidecar(path, features);
    return features;
}

analyzer::Definition tree_definition(const Args& args)
{
    const auto file = args.value("definition");
    return file ? analyzer::load_definition(*file) : analyzer::default_definition();
}

/// Extracts several trees at a time and gives them in order.
class ReadAhead {
public:
    /// context, definition  borrowed
    ReadAhead(Context& context, const analyzer::Definition& definition, std::vector<fs::path> paths)
        : context_(context), definition_(definition), paths_(std::move(paths))
    {
        launch_ = std::any_of(paths_.begin(), paths_.end(), is_called_image) ? std::launch::deferred
                                                                             : std::launch::async;
        const std::size_t workers = std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
        while (started_ < paths_.size() && started_ < workers) {
            start_one();
        }
    }

    /// throws  what reading this tree threw
    analyzer::FeatureSet next()
    {
        auto front = std::move(running_.front());
        running_.pop_front();
        if (started_ < paths_.size()) {
            start_one();
        }
        return front.get();
    }

private:
    void start_one()
    {
        running_.push_back(std::async(launch_, [this, path = paths_[started_]] {
            return read_tree(context_, path, definition_);
        }));
        ++started_;
    }

    Context& context_;
    const analyzer::Definition& definition_;
    std::vector<fs::path> paths_;
    std::launch launch_ = std::launch::async;
    std::deque<std::future<analyzer::FeatureSet>> running_;
    std::size_t started_ = 0;
};

} // namespace

void add_trees(Context& context,
               const Args& args,
               const TreeFolder& trees,
               analyzer::Pool& pool,
               std::vector<lineage::Gap>& gaps)
{
    const analyzer::Definition definition = tree_definition(args);
    std::set<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(trees.folder)) {
        const bool excluded =
            std::find(trees.leave_out.begin(), trees.leave_out.end(), name_of_tree(entry.path())) !=
            trees.leave_out.end();
        const bool is_tree = is_called_tree(entry);
        const bool is_target = !trees.target.empty() && fs::equivalent(entry.path(), trees.target);
        if (is_tree && !excluded && !is_target) {
            paths.insert(entry.path());
        }
    }
    Activity activity(context.progress(), "reading trees", paths.size(), "trees");
    ReadAhead reading(context, definition, std::vector<fs::path>(paths.begin(), paths.end()));
    for (const fs::path& path : paths) {
        context.cancel().check();
        activity.detail(path.filename().string());
        try {
            pool.add(pool.read(name_of_tree(path), reading.next()));
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            const auto reason = error.one_line();
            const auto named = path.string() + ": ";
            gaps.push_back(
                {path.string(), reason.starts_with(named) ? reason.substr(named.size()) : reason});
        }
        activity.advance();
    }
}

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
    set.peers_are = fmt::format("trees in {}", *peers);
    set.target_name = name_of_tree(target);
    set.target =
        set.pool->read(set.target_name, read_tree(context, target, tree_definition(args)), true);
    add_trees(context, args, {*peers, args.values("exclude"), target}, *set.pool, set.gaps);
}

} // namespace stemma::cli
