#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "snapshot.hpp"

namespace stemma::cli {

namespace {

using lineage::VmInfo;

constexpr std::uint64_t largest_list = 16ULL << 20U;

bool matches(const VmInfo& vm, std::string_view kind, std::string_view value)
{
    if (kind == "vm") {
        return vm.uuid == value || vm.name == value || glob_match(value, vm.name);
    }
    if (kind == "host") {
        return glob_match(value, vm.host);
    }
    if (kind == "release") {
        return vm.release == value;
    }
    return false;
}

/// Splits "kind:value"; a word without a known kind is a VM's name.
std::pair<std::string, std::string> kind_and_value(const std::string& word)
{
    const auto colon = word.find(':');
    if (colon == std::string::npos) {
        return {"vm", word};
    }
    auto kind = word.substr(0, colon);
    if (kind != "vm" && kind != "host" && kind != "release" && kind != "image") {
        const std::vector<std::string> kinds = {"vm", "host", "release", "image"};
        const auto near = nearest(kind, kinds);
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' does not name VMs", printable(word)),
                    near ? fmt::format("did you mean '{}:'?", *near)
                         : "name VMs as vm:NAME, release:NAME, host:NAME or image:NAME");
    }
    return {kind, word.substr(colon + 1)};
}

std::vector<std::string> expanded(const std::vector<std::string>& words)
{
    std::vector<std::string> result;
    for (const auto& word : words) {
        if (word != "-" && !word.starts_with('@')) {
            result.push_back(word);
            continue;
        }
        const auto text = read_file(word == "-" ? "/dev/stdin" : word.substr(1), largest_list);
        for (const auto line : split_lines(text)) {
            if (!trim(line).empty() && trim(line).front() != '#') {
                result.emplace_back(trim(line));
            }
        }
    }
    return result;
}

Error nothing_named(const std::string& word, const std::vector<VmInfo>& all)
{
    std::vector<std::string> names;
    names.reserve(all.size());
    for (const auto& vm : all) {
        names.push_back("vm:" + vm.name);
    }
    const auto near = nearest(word.find(':') == std::string::npos ? "vm:" + word : word, names);
    return {ErrorCode::not_found,
            fmt::format("no VM is named by '{}'", printable(word)),
            near ? fmt::format("did you mean '{}'?", *near)
                 : "`stemma vm list` shows the VMs that are known"};
}

/// The VMs of the lineage, and those of which it has snapshots alone.
std::vector<VmInfo> all_vms(lineage::Store& store)
{
    auto all = store.vms();
    std::set<std::string> known;
    for (const auto& vm : all) {
        known.insert(vm.uuid);
    }
    for (const auto& snapshot : store.snapshots()) {
        if (known.insert(snapshot.vm).second) {
            VmInfo vm;
            vm.uuid = snapshot.vm;
            vm.name = snapshot.vm_name;
            vm.host = snapshot.host;
            vm.image = snapshot.image;
            all.push_back(std::move(vm));
        }
    }
    return all;
}

} // namespace

std::vector<VmInfo> vms_named(Context& context, const std::vector<std::string>& words)
{
    auto& store = context.store();
    const auto all = all_vms(store);
    std::map<std::string, VmInfo> chosen; // by name and uuid: the order of the answer
    for (const auto& word : expanded(words)) {
        auto [kind, value] = kind_and_value(word);
        std::string image;
        if (kind == "image") {
            const auto found = store.find_image(value);
            image = found ? found->digest : std::string{};
        }
        bool any = false;
        for (const auto& vm : all) {
            const bool hit =
                kind == "image" ? !image.empty() && vm.image == image : matches(vm, kind, value);
            if (hit) {
                chosen.emplace(vm.name + "\n" + vm.uuid, vm);
                any = true;
            }
        }
        if (!any) {
            throw nothing_named(word, all);
        }
    }
    std::vector<VmInfo> result;
    result.reserve(chosen.size());
    for (auto& [key, vm] : chosen) {
        result.push_back(vm);
    }
    return result;
}

lineage::SnapshotInfo snapshot_named(Context& context, const std::string& word)
{
    constexpr std::size_t shortest = 8;
    auto& store = context.store();
    const bool said = word.starts_with("snapshot:");
    const auto id = said ? word.substr(std::string_view("snapshot:").size()) : word;
    if (auto found = store.find_snapshot(id)) {
        return *std::move(found);
    }
    std::vector<lineage::SnapshotInfo> begins;
    if (id.size() >= shortest) {
        for (auto& snapshot : store.snapshots()) {
            if (snapshot.id.starts_with(id)) {
                begins.push_back(std::move(snapshot));
            }
        }
    }
    if (begins.size() > 1) {
        throw Error(ErrorCode::usage,
                    fmt::format("{} snapshots begin with '{}'", begins.size(), id),
                    "give more digits of the id");
    }
    if (begins.size() == 1) {
        return std::move(begins.front());
    }
    if (said) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no snapshot '{}'", printable(id)),
                    "`stemma snapshot list` shows them");
    }
    const auto vms = vms_named(context, {word});
    if (vms.size() != 1) {
        throw Error(ErrorCode::usage,
                    fmt::format("'{}' names {} VMs", printable(word), vms.size()));
    }
    auto taken = store.snapshots(vms.front().uuid);
    if (taken.empty()) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no snapshot of {}", vms.front().name),
                    fmt::format("take one: stemma snapshot take vm:{}", vms.front().name));
    }
    return std::move(taken.back());
}

analyzer::SnapshotFolder snapshot_folder(Context& context)
{
    return analyzer::SnapshotFolder(context.make_state_folder("snapshots"));
}

std::filesystem::path capture_folder()
{
    if (::geteuid() == 0) {
        return "/run/stemma";
    }
    const char* runtime =
        std::getenv("XDG_RUNTIME_DIR"); // NOLINT(concurrency-mt-unsafe): no writer
    if (runtime != nullptr && *runtime == '/') {
        return std::filesystem::path(runtime) / "stemma";
    }
    return fmt::format("/tmp/stemma-{}", ::geteuid());
}

analyzer::Definition definition_of(const Args& args)
{
    const auto file = args.value("definition");
    return file ? analyzer::load_definition(*file) : analyzer::default_definition();
}

} // namespace stemma::cli
