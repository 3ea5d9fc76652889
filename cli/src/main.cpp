// The program `stemma`: finds the verb, opens the world, runs it, turns an Error into words and an
// exit status.

#include "stemma/cli/command.hpp"
#include "stemma/cli/context.hpp"
#include "stemma/cli/help.hpp"
#include "stemma/cli/locate.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>

namespace stemma::cli {

namespace {

Cancel& cancel()
{
    static Cancel instance; // signal handlers can reach nothing that is handed down
    return instance;
}

extern "C" void on_stop_signal(int)
{
    if (cancel().requested()) {
        ::_exit(exit_interrupted); // asked twice: everything we do survives a sudden end
    }
    cancel().request();
}

void catch_signals()
{
    struct sigaction action {};
    action.sa_handler = on_stop_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);
    ::signal(SIGPIPE, SIG_IGN);
}

std::optional<std::string> from_environment(const std::string& name)
{
    const char* value = ::getenv(name.c_str()); // NOLINT(concurrency-mt-unsafe): nobody writes it
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

bool wants_colour(const Args& args, int fd)
{
    const auto when = args.value("colour") ? args.value("colour") : args.value("color");
    if (when && *when != "auto" && *when != "always" && *when != "never") {
        throw Error(
            ErrorCode::usage,
            fmt::format("--colour takes auto, always or never, not '{}'", printable(*when)));
    }
    if (when && *when != "auto") {
        return *when == "always";
    }
    const auto no_colour = from_environment("NO_COLOR");
    const auto terminal = from_environment("TERM");
    return ::isatty(fd) == 1 && (!no_colour || no_colour->empty()) && terminal != "dumb";
}

Format format_of(const Args& args)
{
    if (args.has("json")) {
        return Format::json;
    }
    const auto word = args.value_or("format", "table");
    static const std::array<std::pair<std::string_view, Format>, 5> formats = {
        {{"table", Format::table},
         {"json", Format::json},
         {"ndjson", Format::ndjson},
         {"csv", Format::csv},
         {"dot", Format::dot}}};
    for (const auto& [name, format] : formats) {
        if (name == word) {
            return format;
        }
    }
    throw Error(
        ErrorCode::usage,
        fmt::format("--format takes table, json, ndjson, csv or dot, not '{}'", printable(word)));
}

ProgressMode progress_of(const Args& args)
{
    const auto word = args.value_or("progress", "auto");
    if (word == "auto") {
        return args.has("quiet") ? ProgressMode::none : ProgressMode::automatic;
    }
    if (word == "plain") {
        return ProgressMode::plain;
    }
    if (word == "none") {
        return ProgressMode::none;
    }
    throw Error(ErrorCode::usage,
                fmt::format("--progress takes auto, plain or none, not '{}'", printable(word)));
}

/// The command line cut into its verb and everything else.
struct Invocation {
    const Command* command = nullptr;
    std::string family; ///< first word of a two-word verb that was not completed
    std::vector<std::string> words;
    bool help = false;
    bool version = false;
};

/// How many words a global option before the verb takes: 1, or 2 with its value.
std::size_t width_of_global(const std::string& word)
{
    for (const auto& option : global_options()) {
        if (word == fmt::format("--{}", option.name)) {
            return option.value.empty() ? 1 : 2;
        }
    }
    return 1;
}

const Command* find_command(std::string_view name)
{
    for (const auto& command : all_commands()) {
        if (command.name == name) {
            return &command;
        }
    }
    return nullptr;
}

bool is_family(std::string_view word)
{
    const auto prefix = std::string(word) + " ";
    return std::any_of(all_commands().begin(), all_commands().end(), [&](const Command& command) {
        return command.name.starts_with(prefix);
    });
}

[[noreturn]] void refuse_verb(const std::string& verb)
{
    std::vector<std::string> names;
    for (const auto& command : all_commands()) {
        names.emplace_back(command.name);
    }
    const auto near = nearest(verb, names);
    throw Error(ErrorCode::usage,
                fmt::format("unknown verb '{}'", printable(verb)),
                near ? fmt::format("did you mean 'stemma {}'?", *near) : "see stemma --help");
}

Invocation read_invocation(const std::vector<std::string>& words)
{
    Invocation invocation;
    std::size_t at = 0;
    while (at < words.size() && words[at].size() > 1 && words[at][0] == '-') {
        invocation.help = invocation.help || words[at] == "--help" || words[at] == "-h";
        invocation.version = invocation.version || words[at] == "--version";
        at += width_of_global(words[at]);
    }
    at = std::min(at, words.size());
    if (!invocation.version) {
        invocation.words.assign(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (at == words.size()) {
        return invocation;
    }
    std::string verb = words[at++];
    if (verb == "help") {
        invocation.help = true;
        if (at == words.size()) {
            return invocation;
        }
        verb = words[at++];
    }
    if (is_family(verb) && at < words.size() && words[at][0] != '-') {
        const auto two_words = verb + " " + words[at];
        if (find_command(two_words) != nullptr || find_command(verb) == nullptr) {
            verb = two_words;
            ++at;
        }
    }
    invocation.command = find_command(verb);
    if (invocation.command == nullptr) {
        if (!is_family(verb)) {
            refuse_verb(verb);
        }
        invocation.family = verb;
    }
    invocation.words.insert(
        invocation.words.end(), words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
    for (std::size_t i = at; i < words.size() && words[i] != "--"; ++i) {
        invocation.help = invocation.help || words[i] == "--help" || words[i] == "-h";
    }
    return invocation;
}

std::size_t help_width()
{
    struct winsize size {};
    return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/// Help and version: what needs no store, no log and no arguments.
std::optional<std::string> plain_answer(const Invocation& invocation)
{
    const bool colour = ::isatty(STDOUT_FILENO) == 1 && !from_environment("NO_COLOR");
    if (invocation.version) {
        return "stemma " STEMMA_VERSION "\n";
    }
    if (invocation.command != nullptr && invocation.help) {
        return manual(*invocation.command, help_width(), colour);
    }
    if (!invocation.family.empty()) {
        return family_help(all_commands(), invocation.family, colour);
    }
    if (invocation.command == nullptr) {
        return overview(all_commands(), colour);
    }
    return std::nullopt;
}

void complain(const Error& error, bool colour)
{
    std::string text = colour ? "stemma: \x1b[31merror:\x1b[0m " : "stemma: error: ";
    text += error.message() + "\n";
    for (const auto& frame : error.frames()) {
        text += "  while " + frame + "\n";
    }
    if (!error.hint().empty()) {
        text += "  hint: " + error.hint() + "\n";
    }
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

int exit_of(const Error& error)
{
    switch (error.code()) {
    case ErrorCode::usage:
    case ErrorCode::config:
        return 2;
    case ErrorCode::interrupted:
        return exit_interrupted;
    default:
        return 1;
    }
}

int run_command(const Invocation& invocation)
{
    std::vector<Option> options = invocation.command->options;
    options.insert(options.end(), global_options().begin(), global_options().end());
    const auto args = Args::parse(invocation.words, options, invocation.command->rest_is_command);

    const auto threshold = args.has("quiet")                ? LogLevel::warning
                           : args.values("verbose").empty() ? LogLevel::info
                                                            : LogLevel::debug;
    StderrLog log(threshold, wants_colour(args, STDERR_FILENO));
    Progress progress(progress_of(args));
    const SystemClock clock;
    Context context(clock, log, progress, cancel());
    context.format = format_of(args);
    context.colour = wants_colour(args, STDOUT_FILENO);
    context.quiet = args.has("quiet");
    context.source_date_epoch = from_environment("SOURCE_DATE_EPOCH");
    context.cache_folder = cache_folder(from_environment);
    const auto location = locate(std::filesystem::current_path(),
                                 args.value("store"),
                                 args.value("config"),
                                 from_environment,
                                 context.settings);
    context.store_url = location.store_url;
    context.state_folder = location.state_folder;
    return invocation.command->run(context, args);
}

int guarded_main(const std::vector<std::string>& words)
{
    const bool colour = ::isatty(STDERR_FILENO) == 1 && !from_environment("NO_COLOR");
    try {
        const auto invocation = read_invocation(words);
        if (const auto answer = plain_answer(invocation)) {
            [[maybe_unused]] const auto written =
                ::write(STDOUT_FILENO, answer->data(), answer->size());
            const bool asked = invocation.help || invocation.version;
            return asked ? 0 : 2;
        }
        return run_command(invocation);
    } catch (const Error& error) {
        complain(error, colour);
        return exit_of(error);
    } catch (const std::bad_alloc&) {
        complain(Error(ErrorCode::io, "out of memory"), colour);
    } catch (const std::exception& failure) {
        complain(Error(ErrorCode::io, failure.what()), colour);
    }
    return 1;
}

} // namespace

} // namespace stemma::cli

int main(int argc, char** argv)
{
    stemma::cli::catch_signals();
    return stemma::cli::guarded_main(std::vector<std::string>(argv + 1, argv + argc));
}
