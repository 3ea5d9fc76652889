#include "fleet.hpp"

#include "stemma/core/uuid.hpp"

#include <algorithm>

namespace stemma::lineage::test {

namespace {

constexpr std::size_t repos = 3;
constexpr std::size_t sources = 5;

std::string repo_name(std::size_t repo)
{
    return fmt::format("repo{}", repo);
}

/// A UUID that one text gives, everywhere.
std::string uuid_of(const std::string& text)
{
    return make_uuid5(stemma_uuid_space, text);
}

} // namespace

Fleet::Fleet(std::uint64_t seed) : random_(seed), contents_(repos)
{
    for (std::size_t repo = 0; repo < repos; ++repo) {
        build(repo);
    }
    for (int round = 0; round < 60; ++round) {
        now_ += 10;
        switch (below(8)) {
        case 0:
        case 1:
            build(below(repos));
            break;
        case 2:
        case 3:
            make_image();
            break;
        default:
            change_vm();
            break;
        }
    }
    end = now_ + 1000;
}

void Fleet::say(const std::string& origin, const model::EventDraft& draft)
{
    events.push_back(said(origin, ++said_[origin], draft));
}

void Fleet::build(std::size_t repo)
{
    auto& contents = contents_[repo];
    for (const auto* path : {"src/0.c",
                             "src/1.c",
                             "src/2.c",
                             "src/3.c",
                             "src/4.c",
                             "include/a.h",
                             "include/b.h",
                             "tools/gen.py",
                             "bin/run.sh"}) {
        if (below(4) == 0 || contents.count(path) == 0) {
            ++contents[path];
        }
    }
    BuiltTree tree;
    tree.repo = repo_name(repo);
    tree.run = uuid_of(fmt::format("{}-{}", builds_.size(), random_()));
    tree.commit = sha(fmt::format("commit {}", builds_.size())).substr(0, 40);
    tree.at = now_;
    for (const auto& [path, version] : contents) {
        // The same path has the same content in repositories 0 and 1 at times: never one file.
        const std::string owner = path == "src/0.c" && repo < 2 ? "shared" : tree.repo;
        tree.files[path] = {
            tree.repo, path, sha(fmt::format("{} {} {}", owner, path, version)), {}, false};
    }
    tree.files["/usr/include/std.h"] = {"", "/usr/include/std.h", sha("std.h"), {}, true};
    const auto make = [&](const std::string& path, std::vector<std::string> inputs) {
        std::string made_of = tree.repo + path;
        for (const auto& input : inputs) {
            made_of += tree.files.at(input).sha256;
        }
        tree.files[path] = {tree.repo, path, sha(made_of), std::move(inputs), false};
    };
    make("build/gen.c", {"tools/gen.py"});
    make("build/gen.o", {"build/gen.c"});
    for (std::size_t i = 0; i < sources; ++i) {
        std::vector<std::string> inputs = {
            fmt::format("src/{}.c", i), "include/a.h", "/usr/include/std.h"};
        if (i % 2 == 0) {
            inputs.emplace_back("include/b.h");
        }
        make(fmt::format("build/{}.o", i), inputs);
    }
    make("build/lib.a", {"build/0.o", "build/1.o", "build/gen.o"});
    std::vector<std::string> linked = {"build/2.o", "build/lib.a"};
    if (repo == 2) { // the library of another repository, as it is installed
        for (auto other = builds_.rbegin(); other != builds_.rend(); ++other) {
            if (other->repo == repo_name(1)) {
                tree.files["/opt/one.a"] = {
                    "", "/opt/one.a", other->files.at("build/lib.a").sha256, {}, true};
                linked.emplace_back("/opt/one.a");
                break;
            }
        }
    }
    make("build/app", linked);
    make("build/tool", {"build/3.o", "build/4.o"});
    tell_build(tree);
    builds_.push_back(std::move(tree));
    pack(builds_.size() - 1);
}

void Fleet::tell_build(const BuiltTree& tree)
{
    model::Manifest manifest;
    manifest.build = {tree.repo, tree.repo, tree.commit, "main", {}, ""};
    if (tree.at % 30 == 0) {
        manifest.build.dirty = {"src/1.c"};
    }
    if (tree.at % 70 == 0) {
        manifest.holes = {{7, "cc", "not observed"}};
    }
    manifest.run = {tree.run, at(tree.at), at(tree.at), "m", "u", "/r"};
    std::map<std::string, model::FileIndex> index;
    for (const auto& [path, file] : tree.files) {
        model::File told;
        told.path = path;
        told.repo = file.repo;
        told.sha256 = Digest::from_hex(file.sha256).value();
        told.size = 10;
        told.state = file.system           ? model::FileState::system
                     : file.inputs.empty() ? model::FileState::clean
                                           : model::FileState::generated;
        index[path] = static_cast<model::FileIndex>(manifest.files.size());
        manifest.files.push_back(told);
    }
    for (const auto& [path, file] : tree.files) {
        if (file.inputs.empty()) {
            continue;
        }
        model::Step step;
        step.kind = path.ends_with(".o")   ? model::StepKind::compile
                    : path.ends_with(".c") ? model::StepKind::generate
                                           : model::StepKind::link;
        step.argv = {"make", path};
        for (const auto& input : file.inputs) {
            step.inputs.push_back(index[input]);
        }
        step.outputs = {index[path]};
        model::Artifact artifact;
        artifact.file = index[path];
        artifact.name = path.substr(path.rfind('/') + 1);
        artifact.kind = model::ArtifactKind::object;
        artifact.step = static_cast<std::uint32_t>(manifest.steps.size());
        manifest.steps.push_back(step);
        manifest.artifacts.push_back(artifact);
    }
    if (builds_.size() % 2 == 0) {
        model::normalise(manifest);
    } else { // as a program may write it that is not ours
        for (auto& step : manifest.steps) {
            std::reverse(step.inputs.begin(), step.inputs.end());
        }
    }
    say("ci-" + tree.repo,
        {at(tree.at), "build.recorded", Json{{"manifest", model::to_json(manifest)}}});
}

void Fleet::pack(std::size_t build)
{
    const auto& tree = builds_[build];
    PackedFile packed;
    packed.name = tree.repo + "-app";
    packed.version = std::to_string(packages_.size());
    packed.build = build;
    packed.payload = {"build/app", "bin/run.sh"};
    packed.sha256 = sha(fmt::format("deb {}", packages_.size()));
    Json payload = Json::array();
    for (const auto& path : packed.payload) {
        const auto& file = tree.files.at(path);
        payload.push_back({{"path", "/opt/" + path},
                           {"sha256", file.sha256},
                           {"mode", 493},
                           {"size", 10},
                           {"link", file.inputs.empty() ? "source" : "content"},
                           {"artifact", file.sha256},
                           {"basis", "content"}});
    }
    say("packer",
        {at(now_),
         "package.packed",
         Json{{"purl", fmt::format("pkg:deb/{}@{}?arch=all", packed.name, packed.version)},
              {"name", packed.name},
              {"version", packed.version},
              {"arch", "all"},
              {"sha256", packed.sha256},
              {"file", "x.deb"},
              {"build", tree.run},
              {"payload", payload}}});
    packages_.push_back(packed);
}

void Fleet::make_image()
{
    MadeImage image;
    image.at = now_;
    image.digest = sha(fmt::format("image {}", images_.size()));
    Json parent = nullptr;
    if (!images_.empty() && below(5) != 0) {
        // Usually of the newest, at times a hotfix of an older one.
        const auto& from = images_[below(3) == 0 ? below(images_.size()) : images_.size() - 1];
        image.packages = from.packages;
        parent = from.digest;
    }
    Json installed = Json::array();
    Json removed = Json::array();
    const auto entry = [&](const PackedFile& packed) {
        return Json{{"kind", "deb"},
                    {"name", packed.name},
                    {"sha256", packed.sha256},
                    {"purl", fmt::format("pkg:deb/{}@{}?arch=all", packed.name, packed.version)},
                    {"path", "x"}};
    };
    if (!image.packages.empty() && below(4) == 0) {
        const auto gone = image.packages.begin();
        removed.push_back(entry(packages_[gone->second]));
        image.packages.erase(gone);
    } else {
        const auto chosen = below(packages_.size());
        installed.push_back(entry(packages_[chosen]));
        image.packages[packages_[chosen].name] = chosen;
    }
    Json listed = Json::array();
    if (below(2) == 0) { // some makers of images read the package database, some do not
        for (const auto& [name, package] : image.packages) {
            listed.push_back(
                {{"name", name},
                 {"version", packages_[package].version},
                 {"arch", "all"},
                 {"purl",
                  fmt::format("pkg:deb/{}@{}?arch=all", name, packages_[package].version)}});
        }
        listed.push_back({{"name", "libc6"},
                          {"version", "2"},
                          {"arch", "all"},
                          {"purl", "pkg:deb/libc6@2?arch=all"}});
    }
    say("imager",
        {at(now_),
         "image.created",
         Json{{"name", fmt::format("image-{}", images_.size())},
              {"digest", image.digest},
              {"parent", parent},
              {"format", "qcow2"},
              {"size", 1},
              {"path", "/x"},
              {"os", ""},
              {"installed", installed},
              {"removed", removed},
              {"packages", listed}}});
    images_.push_back(std::move(image));
}

void Fleet::change_vm()
{
    if (images_.empty()) {
        return;
    }
    const auto name = fmt::format("vm{}", below(12));
    auto& steps = vms_[name];
    const bool alive = !steps.empty() && !steps.back().gone;
    VmStep step = alive ? steps.back() : VmStep();
    step.at = now_;
    const auto action = alive ? below(4) : 0;
    if (action == 3) {
        step.gone = true;
        say("host-" + step.host, retired(now_, name));
    } else if (action == 1) {
        const auto to = hosts_[below(hosts_.size())];
        say("host-" + step.host, migrated(now_, name, step.host, to));
        step.host = to;
    } else {
        step.gone = false;
        step.host = alive ? step.host : hosts_[below(hosts_.size())];
        step.image = below(images_.size());
        auto draft = deployed(now_, name, step.host, "x");
        draft.body["image"] = images_[step.image].digest;
        say("host-" + step.host, draft);
    }
    steps.push_back(step);
}

std::set<SourceKey> Fleet::sources_of(std::size_t build, const std::string& path) const
{
    const auto& file = builds_[build].files.at(path);
    if (file.inputs.empty()) {
        // Installed from elsewhere: what made this content, anywhere.
        std::set<SourceKey> found;
        for (std::size_t other = 0; file.system && other < builds_.size(); ++other) {
            for (const auto& [made, entry] : builds_[other].files) {
                if (!entry.inputs.empty() && entry.sha256 == file.sha256) {
                    found.merge(sources_of(other, made));
                }
            }
        }
        return found.empty() ? std::set<SourceKey>{{file.repo, path, file.sha256}} : found;
    }
    std::set<SourceKey> found;
    for (const auto& input : file.inputs) {
        found.merge(sources_of(build, input));
    }
    return found;
}

std::set<SourceKey> Fleet::all_sources() const
{
    std::set<SourceKey> found;
    for (std::size_t build = 0; build < builds_.size(); ++build) {
        for (const auto& [path, file] : builds_[build].files) {
            if (file.inputs.empty()) {
                found.merge(sources_of(build, path));
            }
        }
    }
    return found;
}

std::vector<std::string> Fleet::vms() const
{
    std::vector<std::string> names;
    for (const auto& [name, steps] : vms_) {
        names.push_back(name);
    }
    return names;
}

const VmStep* Fleet::state_of(const std::string& vm, std::int64_t at) const
{
    const VmStep* last = nullptr;
    for (const auto& step : vms_.at(vm)) {
        if (step.at <= at) {
            last = &step;
        }
    }
    return last != nullptr && !last->gone ? last : nullptr;
}

std::set<SourceKey> Fleet::sources_of_vm(const std::string& vm, std::int64_t at) const
{
    std::set<SourceKey> found;
    const auto* state = state_of(vm, at);
    if (state == nullptr) {
        return found;
    }
    for (const auto& [name, package] : images_[state->image].packages) {
        for (const auto& path : packages_[package].payload) {
            found.merge(sources_of(packages_[package].build, path));
        }
    }
    return found;
}

std::set<SourceKey> Fleet::sources_of_host(const std::string& host, std::int64_t at) const
{
    std::set<SourceKey> found;
    for (const auto& [vm, steps] : vms_) {
        const auto* state = state_of(vm, at);
        if (state != nullptr && state->host == host) {
            found.merge(sources_of_vm(vm, at));
        }
    }
    return found;
}

std::set<std::string> Fleet::vms_with(const SourceKey& source, std::int64_t at) const
{
    std::set<std::string> found;
    for (const auto& [vm, steps] : vms_) {
        if (sources_of_vm(vm, at).count(source) != 0) {
            found.insert(vm);
        }
    }
    return found;
}

std::set<std::string> Fleet::hosts_with(const SourceKey& source, std::int64_t at) const
{
    std::set<std::string> found;
    for (const auto& vm : vms_with(source, at)) {
        found.insert(state_of(vm, at)->host);
    }
    return found;
}

std::set<std::string> Fleet::packages_of_vm(const std::string& vm, std::int64_t at) const
{
    std::set<std::string> found;
    if (const auto* state = state_of(vm, at)) {
        for (const auto& [name, package] : images_[state->image].packages) {
            found.insert(packages_[package].sha256);
        }
    }
    return found;
}

} // namespace stemma::lineage::test
