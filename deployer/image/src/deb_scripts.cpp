#include "deb_scripts.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include "dpkg_database.hpp"
#include "systemd_units.hpp"

namespace stemma::image {

namespace {

constexpr std::uint64_t most_script = std::uint64_t{4} << 20U;

using Arguments = std::vector<std::string>;

std::string
installed_script(volume::Filesystem& tree, const std::string& stem, const std::string& script)
{
    const auto path = fmt::format("{}/info/{}.{}", dpkg_folder, stem, script);
    return tree.look_through(path) ? tree.read_all(path, most_script) : "";
}

/// nullopt: the script is missing, or does nothing at all with these arguments.
std::optional<std::string>
reason_to_run(volume::Filesystem& tree, std::string_view script, const Arguments& arguments)
{
    if (script.empty()) {
        return std::nullopt;
    }
    const auto judgement = judge_script(tree, script, arguments);
    if (!judgement.effects) {
        return "would run \"" + printable(judgement.unknown) + "\"";
    }
    const bool idle = judgement.effects->enabled.empty() && judgement.effects->purged.empty();
    return idle ? std::nullopt : std::optional<std::string>("would change units of systemd");
}

} // namespace

std::optional<std::string>
reason_against_unpacking(volume::Filesystem& tree, const Deb& deb, const Stanza* old)
{
    const auto preinst = deb.members.find("preinst");
    const auto arguments = old == nullptr
                               ? Arguments{"install"}
                               : Arguments{"upgrade", old->get("Version"), deb.version()};
    if (preinst != deb.members.end()) {
        if (const auto reason = reason_to_run(tree, preinst->second, arguments)) {
            return "its preinst script " + *reason;
        }
    }
    for (const std::string script : {"prerm", "postrm"}) {
        const auto text = old == nullptr ? "" : installed_script(tree, stem_of(*old), script);
        if (const auto reason = reason_to_run(tree, text, {"upgrade", deb.version()})) {
            return fmt::format(
                "version {} is there, and its {} script {}", old->get("Version"), script, *reason);
        }
    }
    return std::nullopt;
}

ScriptJudgement judge_configuring(volume::Filesystem& tree, const Deb& deb, const Stanza* old)
{
    if (deb.has_script("config")) {
        return {.effects = std::nullopt, .unknown = "a debconf question"};
    }
    const auto postinst = deb.members.find("postinst");
    if (postinst == deb.members.end()) {
        return {.effects = ScriptEffects{}, .unknown = {}};
    }
    return judge_script(
        tree, postinst->second, {"configure", old == nullptr ? "" : old->get("Version")});
}

ScriptJudgement judge_removing(volume::Filesystem& tree, const std::string& stem)
{
    ScriptEffects all;
    for (const auto& [script, argument] : {std::pair("prerm", "remove"),
                                           std::pair("postrm", "remove"),
                                           std::pair("postrm", "purge")}) {
        const auto text = installed_script(tree, stem, script);
        if (text.empty()) {
            continue;
        }
        auto judgement = judge_script(tree, text, {argument});
        if (!judgement.effects) {
            judgement.unknown =
                fmt::format("its {} script would run \"{}\"", script, judgement.unknown);
            return judgement;
        }
        for (const std::string& unit : judgement.effects->purged) {
            all.purged.push_back(unit);
        }
    }
    return {.effects = all, .unknown = {}};
}

void apply_effects(ext::Editor& editor, const ScriptEffects& effects, Time now)
{
    for (const std::string& unit : effects.enabled) {
        enable_like_debian(editor, unit, now);
    }
    for (const std::string& unit : effects.purged) {
        purge_like_debian(editor, unit);
    }
}

} // namespace stemma::image
