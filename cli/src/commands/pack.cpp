#include "stemma/collate/pack.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/store.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

std::vector<hooks::KnownFile> translate(const std::vector<lineage::Store::KnownContent>& contents)
{
    std::vector<hooks::KnownFile> files;
    for (const auto& known : contents) {
        if (known.kind != "payload") { // what another package holds explains nothing
            files.push_back(
                {known.sha256, known.kind == "source", known.path, known.repo, known.build});
        }
    }
    return files;
}

hooks::KnownFiles ask(lineage::Store& store)
{
    return {[&store](const std::vector<std::string>& sha256s) {
                return translate(store.known_content(sha256s));
            },
            [&store](const std::string& build_id) {
                return translate(store.known_build_id(build_id));
            }};
}

void add_rows(Json& items, const Json& body, std::string_view member)
{
    for (const auto& entry : body[std::string(member)]) {
        Json item = entry;
        item["package"] = body["name"];
        item["script"] = member == "scripts";
        items.push_back(std::move(item));
    }
}

int run_pack(Context& context, const Args& args)
{
    const auto& files = args.expect_words(1, 10'000, "FILE…");
    auto& store = context.store(lineage::Store::Mode::write);
    const auto known = ask(store);
    Answer answer;
    answer.schema = "stemma.pack/1";
    std::size_t unexplained = 0;
    for (const auto& file : files) {
        context.cancel().check();
        Json body = hooks::link_package(hooks::read_package(file), known);
        for (const auto& entry : body["payload"]) {
            unexplained += entry["link"] == "unexplained" ? 1U : 0U;
        }
        add_rows(answer.items, body, "payload");
        add_rows(answer.items, body, "scripts");
        if (!args.has("dry-run")) {
            model::EventDraft draft;
            draft.at = context.clock().now();
            draft.kind = "package.packed";
            draft.body = std::move(body);
            store.record(draft);
        }
    }
    answer.seq = store.last_seq();
    answer.extra["unexplained"] = unexplained;
    const int shown = show(context,
                           answer,
                           {{"PACKAGE", "package"},
                            {"PATH", "path"},
                            {"LINK", "link"},
                            {"BASIS", "basis"},
                            {"SHA256", "sha256", Column::Align::left, Column::Style::digest}});
    if (unexplained != 0) {
        context.log().warning(
            "{} packaged file{} unexplained", unexplained, unexplained == 1 ? " is" : "s are");
    }
    return unexplained != 0 && args.has("strict") ? 4 : shown;
}

} // namespace

std::vector<Command> pack_commands()
{
    return {
        {.name = "pack",
         .summary = "link packages to the builds that made what is in them",
         .synopsis = "FILE… [--strict] [--dry-run]",
         .description =
             "Reads .deb packages, tar archives of any compression, or plain files, and links "
             "every "
             "file in them to the lineage: by content to an artifact or to a source that is "
             "installed as it is, else by GNU build-id to the artifact that was stripped or edited "
             "afterwards, else not at all (`unexplained`). Scripts that dpkg runs are listed too. "
             "Records one package.packed event per file; running it again is harmless.",
         .options = {{"strict", "", "exit 4 when a packaged file is unexplained"},
                     {"dry-run", "", "show the links and record nothing"}},
         .examples = {{"stemma pack build/shop_1.0_amd64.deb", "Link a package to its build."},
                      {"stemma pack --strict *.deb",
                       "In CI: every packaged file must be explained."}},
         .exits = "4 with --strict when a packaged file is unexplained",
         .run = run_pack},
    };
}

} // namespace stemma::cli
