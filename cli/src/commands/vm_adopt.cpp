#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/deployer/adopt.hpp"

#include <algorithm>

#include "deploy_support.hpp"
#include "vm_life.hpp"

namespace stemma::cli {

namespace {

/// What is known of one VM before anything is recorded.
struct Found {
    virt::DomainDescription about;
    virt::DomainStatus status;
    deployer::InferredImage image;
    bool known = false; ///< the lineage has it already
};

std::vector<virt::Domain>
domains_named(const virt::Connection& connection, const std::vector<std::string>& names, bool all)
{
    if (all) {
        return connection.domains();
    }
    std::vector<virt::Domain> domains;
    std::vector<std::string> there;
    for (const auto& domain : connection.domains()) {
        there.push_back(domain.name());
    }
    for (const auto& name : names) {
        auto domain = connection.find_by_name(name);
        if (!domain) {
            domain = connection.find_by_uuid(name);
        }
        if (!domain) {
            const auto near = nearest(name, there);
            throw Error(ErrorCode::not_found,
                        "the host has no VM " + printable(name),
                        near ? "did you mean " + *near + "?" : "it has: " + join(there, ", "));
        }
        domains.push_back(*std::move(domain));
    }
    return domains;
}

bool is_known(Context& context, const std::string& uuid)
{
    const auto vm = context.store().find_vm(uuid);
    return vm && vm->state != "retired";
}

Found look_at(Context& context, const virt::Domain& domain)
{
    Found found{.about = virt::describe_domain(domain.xml(virt::Domain::Which::next_start)),
                .status = domain.status(),
                .image = {}};
    found.known = is_known(context, found.about.uuid);
    if (!found.known) {
        found.image = deployer::infer_image(
            found.about, domain.active(), context.store().images(), context.cancel());
    }
    return found;
}

/// One commit: the VM is in the lineage whole, or not at all.
void record_adoption(Context& context, const Found& found, const std::string& host)
{
    Json deployed = {{"uuid", found.about.uuid},
                     {"name", json_text(found.about.name)},
                     {"host", host},
                     {"adopted", true},
                     {"how", json_text(found.image.how)}};
    if (!found.image.digest.empty()) {
        deployed["image"] = found.image.digest;
    }
    const Json state = {{"uuid", found.about.uuid},
                        {"name", json_text(found.about.name)},
                        {"host", host},
                        {"state", to_string(found.status.state)},
                        {"reason", found.status.reason}};
    const auto now = context.clock().now();
    const std::vector<model::EventDraft> drafts = {
        {.at = now, .kind = "vm.deployed", .body = deployed},
        {.at = now, .kind = "vm.state", .body = state}};
    (void)context.store(lineage::Store::Mode::write).record(drafts);
}

int run_adopt(Context& context, const Args& args)
{
    const bool all = args.has("all");
    const auto& words = args.expect_words(all ? 1 : 2, all ? 1 : 10001, "HOST VM…");
    const auto host = find_host_entry(context, words[0]);
    (void)context.store(lineage::Store::Mode::write);
    const auto connection = virt::Connection::open(host.uri);
    Answer answer{
        .schema = "stemma.adopt/1", .as_of = {}, .seq = context.store().last_seq(), .gaps = {}};
    for (const auto& domain : domains_named(connection, {words.begin() + 1, words.end()}, all)) {
        context.cancel().check();
        const auto found = look_at(context, domain);
        if (!found.known && !args.has("dry-run")) {
            record_adoption(context, found, host.name);
        }
        const auto& image = found.image;
        if (!found.known && image.digest.empty()) {
            answer.gaps.push_back({.what = "image of " + found.about.name, .reason = image.how});
        }
        answer.items.push_back(
            {{"uuid", found.about.uuid},
             {"name", json_text(found.about.name)},
             {"host", host.name},
             {"state", to_string(found.status.state)},
             {"image", image.digest.empty() ? Json(nullptr) : Json(image.digest)},
             {"image_name", image.name.empty() ? Json(nullptr) : Json(image.name)},
             {"how", found.known ? Json("the lineage has it already") : json_text(image.how)},
             {"adopted", !found.known}});
    }
    return show(context,
                answer,
                {{.title = "VM", .member = "name"},
                 {.title = "STATE", .member = "state"},
                 {.title = "IMAGE", .member = "image_name"},
                 {.title = "DIGEST", .member = "image", .style = Column::Style::digest},
                 {.title = "BY", .member = "how"}});
}

} // namespace

Command vm_adopt_command()
{
    return {.name = "vm adopt",
            .summary = "take VMs that others made into the lineage",
            .synopsis = "HOST VM…|--all [--dry-run]",
            .description =
                "Records VMs of virt-install, terraform and the like, and touches none of them. "
                "The image is found by content: what the files below the first disk hold is "
                "compared with the images that the lineage has. From then on `where`, `log`, "
                "`watch` and `vm` know them; no release does anything to them.",
            .options = {{.name = "all", .value = "", .help = "every VM of the host"},
                        {.name = "dry-run", .value = "", .help = "show, and record nothing"}},
            .examples = {{"stemma vm adopt local old-web", "One VM of a host."},
                         {"stemma vm adopt local --all --dry-run", "What is there?"}},
            .exits = "4 the image of a VM is not known",
            .run = run_adopt};
}

} // namespace stemma::cli
