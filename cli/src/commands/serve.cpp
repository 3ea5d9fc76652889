// `stemma serve`: the lineage over HTTP, and the writer of a store.

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/lineage/writer.hpp"
#include "stemma/server/api.hpp"

#include <optional>
#include <thread>

#include "groups.hpp"

namespace stemma::cli {

namespace {

void write_until(const Cancel& end, lineage::Writer& writer, Log& log)
{
    log.info("writing what others record, at {}", printable(writer.place()));
    const auto counts = writer.run(end);
    log.info("recorded {} events of {} requests in {} commits",
             counts.events,
             counts.requests,
             counts.groups);
}

/// The writer, in a thread of its own, until the object goes. A writer that fails is said and not
/// missed: those who record write themselves then.
class WriterThread {
public:
    WriterThread(lineage::Writer& writer, Log& log)
        : thread_([this, &writer, &log] {
              try {
                  write_until(end_, writer, log);
              } catch (const std::exception& error) {
                  log.warning("the writer ended: {}", error.what());
              }
          })
    {
    }
    ~WriterThread()
    {
        end_.request();
        thread_.join();
    }
    WriterThread(const WriterThread&) = delete;
    WriterThread& operator=(const WriterThread&) = delete;

private:
    Cancel end_;
    std::thread thread_;
};

void serve_http(Context& context, const http::Address& address)
{
    server::Api api(context.store_url, address.is_loopback(), context.clock(), context.log());
    http::Server server(
        address, [&](const http::Request& request) { return api.handle(request); }, context.log());
    if (!address.is_loopback()) {
        context.log().warning("everybody who can reach {} can read this lineage: there is no "
                              "password and no encryption",
                              server.address().text());
    }
    context.log().info("serving {} on http://{}/ (^C ends it)",
                       printable(lineage::shown_store(context.store_url)),
                       server.address().text());
    server.run(context.cancel());
}

int run_serve(Context& context, const Args& args)
{
    args.expect_words(0, 0, "no words");
    const auto listen = args.value_or("listen", "127.0.0.1:8080");
    if (listen == "none" && !args.has("writer")) {
        throw Error(ErrorCode::usage, "--listen none leaves nothing to do but --writer");
    }
    std::optional<lineage::Writer> writer;
    if (args.has("writer")) {
        writer.emplace(context.store_url, context.clock(), context.log());
    }
    if (listen == "none") {
        write_until(context.cancel(), *writer, context.log());
        return 0;
    }
    const auto address = http::Address::parse(listen);
    context.store(); // no store: say so now, not to the first who asks
    std::optional<WriterThread> thread;
    if (writer) {
        thread.emplace(*writer, context.log());
    }
    serve_http(context, address);
    return 0;
}

} // namespace

std::vector<Command> serve_commands()
{
    return {
        {.name = "serve",
         .summary = "answer questions over HTTP, and to people on a web page",
         .synopsis = "[--listen HOST:PORT] [--writer]",
         .description =
             "Serves the lineage for reading: http://HOST:PORT/ is a page to look up where, what "
             "and why and to browse VMs, images, hosts and releases; /api/v1/… gives the JSON of "
             "the commands' --json (docs/server.md).\n\n"
             "Listens on this machine alone unless told otherwise. There is no password and no "
             "encryption: put a proxy that has both before it when others shall reach it.\n\n"
             "With --writer it is also the one writer of the store: every command that records "
             "something hands it over and waits until it is on the disk, and what many record at "
             "once is committed together. Only for who may write the store's file, on this "
             "machine. Without a writer the commands write by themselves, one after the other.",
         .options = {{.name = "listen",
                      .value = "HOST:PORT",
                      .help = "default 127.0.0.1:8080; port 0 takes a free one; none: no HTTP"},
                     {.name = "writer",
                      .value = "",
                      .help = "commit what all processes of this machine record, in groups"}},
         .examples = {{"stemma serve", "Open http://127.0.0.1:8080/ in a browser."},
                      {"stemma serve & curl -s "
                       "'http://127.0.0.1:8080/api/v1/where?q=file:src/price.cpp&to=hosts'",
                       "The same from a script."},
                      {"stemma serve --writer --listen none",
                       "On a machine where many builds record at once."}},
         .exits = "0 ended by ^C or SIGTERM",
         .run = run_serve},
    };
}

} // namespace stemma::cli
