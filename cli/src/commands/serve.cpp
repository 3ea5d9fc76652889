// `stemma serve`: the lineage over HTTP.

#include "stemma/core/text.hpp"
#include "stemma/server/api.hpp"

#include "groups.hpp"

namespace stemma::cli {

namespace {

int run_serve(Context& context, const Args& args)
{
    args.expect_words(0, 0, "no words");
    const auto address = http::Address::parse(args.value_or("listen", "127.0.0.1:8080"));
    context.store(); // no store: say so now, not to the first who asks
    server::Api api(context.store_url, address.is_loopback(), context.clock(), context.log());
    http::Server server(
        address, [&](const http::Request& request) { return api.handle(request); }, context.log());
    if (!address.is_loopback()) {
        context.log().warning("everybody who can reach {} can read this lineage: there is no "
                              "password and no encryption",
                              server.address().text());
    }
    context.log().info("serving {} on http://{}/ (^C ends it)",
                       printable(context.store_url),
                       server.address().text());
    server.run(context.cancel());
    return 0;
}

} // namespace

std::vector<Command> serve_commands()
{
    return {
        {.name = "serve",
         .summary = "answer questions over HTTP, and to people on a web page",
         .synopsis = "[--listen HOST:PORT]",
         .description =
             "Serves the lineage for reading: http://HOST:PORT/ is a page to look up where, what "
             "and why and to browse VMs, images, hosts and releases; /api/v1/… gives the JSON of "
             "the commands' --json (docs/server.md).\n\n"
             "Listens on this machine alone unless told otherwise. There is no password and no "
             "encryption: put a proxy that has both before it when others shall reach it.",
         .options = {{.name = "listen",
                      .value = "HOST:PORT",
                      .help = "default 127.0.0.1:8080; port 0 takes a free one"}},
         .examples = {{"stemma serve", "Open http://127.0.0.1:8080/ in a browser."},
                      {"stemma serve & curl -s "
                       "'http://127.0.0.1:8080/api/v1/where?q=file:src/price.cpp&to=hosts'",
                       "The same from a script."}},
         .exits = "0 ended by ^C or SIGTERM",
         .run = run_serve},
    };
}

} // namespace stemma::cli
