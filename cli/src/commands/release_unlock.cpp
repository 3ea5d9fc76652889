#include "stemma/cli/command.hpp"
#include "stemma/cli/render.hpp"
#include "stemma/core/text.hpp"

#include "deploy_support.hpp"
#include "release_status.hpp"

namespace stemma::cli {

namespace {

int run_unlock(Context& context, const Args& args)
{
    const auto& words = args.expect_words(1, 1, "NAME");
    const auto name = release_name(words[0]);
    const auto locks =
        lock_release(context, name); // one on this machine is alive: nothing to break
    const deployer::Fleet fleet(host_entries(context), connect_patience, context.cancel());
    Answer answer;
    answer.schema = "stemma.release-unlock/1";
    for (const auto& [host, owners, error] : fleet.end_leases(name)) {
        if (error) {
            answer.gaps.push_back({.what = "host " + host, .reason = error->one_line()});
            continue;
        }
        for (const auto& owner : *owners) {
            answer.items.push_back({{"host", host}, {"owner", owner}});
        }
    }
    if (answer.items.empty()) {
        context.log().info("no deployer holds release {} on a host that answers", printable(name));
    }
    answer.seq = context.store().last_seq();
    return show(context,
                answer,
                {{.title = "HOST", .member = "host"}, {.title = "WAS HELD BY", .member = "owner"}});
}

} // namespace

Command release_unlock_command()
{
    return {
        .name = "release unlock",
        .summary = "let others work on a release that a dead deployer still holds",
        .synopsis = "NAME",
        .description =
            "A deployer that works on a release says so on every host whose files are on another "
            "machine, so that one with another store keeps away. One that was killed leaves that "
            "word behind; the next deployer on its machine sees that it is dead and goes on. Where "
            "the machine itself is gone, this command takes the word back.\n\nNothing checks "
            "whether that deployer still works: make sure that it does not.",
        .options = {},
        .examples = {{"stemma release unlock shop", "The machine that rolled it out has burnt."}},
        .exits = "4 a host cannot be reached: it may still be held there",
        .run = run_unlock};
}

} // namespace stemma::cli
