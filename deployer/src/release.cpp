#include "stemma/deployer/release.hpp"

#include "stemma/config/yaml.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "release_parts.hpp"

namespace stemma::deployer {

namespace {

using config::Node;

constexpr std::uint64_t largest_file = std::uint64_t{1} << 20U;

void apply_times(const Node& node, Rollout& rollout)
{
    if (const auto timeout = node.find("boot_timeout_s")) {
        rollout.boot_timeout = seconds_of(*timeout, 1, 86400);
    }
    if (const auto timeout = node.find("check_timeout_s")) {
        rollout.check_timeout = seconds_of(*timeout, 1, 86400);
    }
    if (const auto timeout = node.find("stop_timeout_s")) {
        rollout.stop_timeout = seconds_of(*timeout, 0, 86400);
    }
    if (const auto pause = node.find("pause_s")) {
        rollout.pause = seconds_of(*pause, 0, 86400);
    }
    if (const auto deadline = node.find("deadline_s")) {
        rollout.deadline = seconds_of(*deadline, 1, 7 * 86400);
    }
}

Rollout rollout_of(const Node& root)
{
    Rollout rollout;
    const auto node = root.find("rollout");
    if (!node) {
        return rollout;
    }
    node->allow_only({"strategy",
                      "canary",
                      "batch",
                      "max_unavailable",
                      "deadline_s",
                      "boot_timeout_s",
                      "check_timeout_s",
                      "stop_timeout_s",
                      "pause_s",
                      "on_failure"});
    if (const auto canary = node->find("canary")) {
        rollout.canary = static_cast<unsigned>(number_of(*canary, 0, 10000));
    }
    if (const auto batch = node->find("batch")) {
        rollout.batch = static_cast<unsigned>(number_of(*batch, 0, 10000));
    }
    if (const auto most = node->find("max_unavailable")) {
        rollout.max_unavailable = static_cast<unsigned>(number_of(*most, 1, 10000));
    }
    if (const auto strategy = node->find("strategy")) {
        rollout.strategy = strategy->one_of({"rolling", "blue_green"}) == "rolling"
                               ? Rollout::Strategy::rolling
                               : Rollout::Strategy::blue_green;
    }
    apply_times(*node, rollout);
    if (const auto on_failure = node->find("on_failure")) {
        rollout.on_failure = on_failure->one_of({"rollback", "stop"}) == "stop"
                                 ? Rollout::OnFailure::stop
                                 : Rollout::OnFailure::rollback;
    }
    return rollout;
}
/// Both colours of a VM stand beside each other for a while.
void check_blue_green(const Node& root, const Release& release)
{
    if (release.rollout.strategy != Rollout::Strategy::blue_green) {
        return;
    }
    constexpr std::size_t longest = 63 - std::string_view("-green").size();
    for (const auto& vm : release.vms) {
        if (!vm.data_disks.empty()) {
            root.at("rollout")
                .at("strategy")
                .refuse(
                    fmt::format("blue_green: {} has data disks, which cannot be in two VMs at once",
                                vm.name),
                    "`strategy: rolling` keeps them");
        }
        if (vm.name.size() > longest) {
            root.at("vms").refuse(
                fmt::format("blue_green: no room for a colour behind {}", vm.name));
        }
    }
}

Release release_of(const Node& root, const Digest& digest)
{
    root.allow_only({"version",
                     "release",
                     "release_version",
                     "variables",
                     "defaults",
                     "vms",
                     "verify",
                     "rollout"});
    (void)root.at("version").integer_within(1, 1);
    Release release;
    release.name = root.at("release").text();
    if (!is_name(release.name)) {
        root.at("release").refuse("not a release's name: \"" + printable(release.name) + "\"",
                                  "letters, digits, \".\", \"_\" and \"-\", at most 63");
    }
    if (const auto version = root.find("release_version")) {
        release.version = version->text();
    }
    release.digest = digest;
    release.vms = vms_of(root);
    release.verify = verification_of(root);
    release.rollout = rollout_of(root);
    check_blue_green(root, release);
    return release;
}

Node::Variables variables_of(const Node& root, const std::map<std::string, std::string>& set)
{
    Node::Variables variables;
    std::vector<std::string> names;
    if (const auto node = root.find("variables")) {
        for (const auto& [name, value] : node->members()) {
            variables[name] = value.is_null() ? std::string() : value.text();
            names.push_back(name);
        }
    }
    for (const auto& [name, value] : set) {
        const auto found = variables.find(name);
        if (found == variables.end()) {
            const auto near = nearest(name, names);
            throw Error(ErrorCode::config,
                        fmt::format("the release file has no variable '{}'", printable(name)),
                        near ? fmt::format("did you mean '{}'?", *near)
                             : "name it under `variables`, with its usual value");
        }
        found->second = value;
    }
    return variables;
}

Node with_its_variables(const Node& root, const std::map<std::string, std::string>& set)
{
    return root.with_variables(variables_of(root, set));
}

Digest digest_of(const std::vector<std::string>& texts,
                 const std::map<std::string, std::string>& set)
{
    if (texts.size() == 1 && set.empty()) {
        return sha256(texts.front());
    }
    Json files = Json::array();
    for (const auto& text : texts) {
        files.push_back(sha256(text).hex());
    }
    Json settings = Json::object();
    for (const auto& [name, value] : set) {
        settings[name] = json_text(value);
    }
    return sha256(canonical_json({{"files", files}, {"set", settings}}));
}

} // namespace

std::uint64_t number_of(const Node& node, std::int64_t low, std::int64_t high)
{
    return static_cast<std::uint64_t>(node.integer_within(low, high));
}

std::chrono::seconds seconds_of(const Node& node, std::int64_t low, std::int64_t high)
{
    return std::chrono::seconds(node.integer_within(low, high));
}

bool is_name(std::string_view text) noexcept
{
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && text.size() <= 63 && plain(text.front()) &&
           std::ranges::all_of(
               text, [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

Release parse_release(std::string_view text, const std::string& name)
{
    return release_of(with_its_variables(Node::parse(text, name), {}), sha256(text));
}

Release load_release(const ReleaseSources& sources)
{
    std::vector<std::string> texts;
    std::optional<Node> root;
    for (const auto& file : sources.files) {
        texts.push_back(read_file(file, largest_file));
        auto node = Node::parse(texts.back(), file.string());
        root = root ? root->overlaid_by(node) : std::move(node);
    }
    return release_of(with_its_variables(root.value(), sources.set), digest_of(texts, sources.set));
}

Release load_release(const std::filesystem::path& path)
{
    return load_release(ReleaseSources{.files = {path}, .set = {}});
}

} // namespace stemma::deployer
