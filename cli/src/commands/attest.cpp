// Keys and signed attestations: `stemma key generate|show`, `stemma verify-attestation`.

#include "attest.hpp"

#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"
#include "stemma/export/dsse.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "groups.hpp"

namespace stemma::cli {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t largest_key = 4096;
constexpr std::uint64_t largest_bundle = std::uint64_t{1} << 30U;

int run_key_generate(Context& context, const Args& args)
{
    const auto& path = args.expect_words(1, 1, "FILE").front();
    const auto open_path = path + ".pub";
    for (const auto& file : {path, open_path}) {
        if (fs::exists(fs::symlink_status(file))) {
            throw Error(ErrorCode::conflict,
                        fmt::format("{} is there already", printable(file)),
                        "choose another name: what an old key signed needs its public half");
        }
    }
    const auto key = sodium::SecretKey::generate();
    auto text = key.pem();
    write_file(path, text, 0600);
    sodium::wipe(text);
    write_file(open_path, key.public_key().pem());
    context.log().info(
        "wrote {} (keep it secret) and {} (give it away)", printable(path), printable(open_path));
    context.out(key.public_key().id() + "\n");
    return 0;
}

int run_key_show(Context& context, const Args& args)
{
    const auto& path = args.expect_words(1, 1, "FILE").front();
    auto text = read_file(path, largest_key);
    const bool secret = text.find("PRIVATE KEY") != std::string::npos;
    const auto key = secret ? sodium::SecretKey::from_pem(text, path).public_key()
                            : sodium::PublicKey::from_pem(text, path);
    sodium::wipe(text);
    Answer answer;
    answer.schema = "stemma.key/1";
    answer.items.push_back({{"algorithm", "ed25519"},
                            {"file", json_text(path)},
                            {"id", key.id()},
                            {"kind", secret ? "secret" : "public"},
                            {"public", key.pem()}});
    return show(context, answer, {{"FILE", "file"}, {"KIND", "kind"}, {"ID", "id"}});
}

/// One line of a bundle, and what became of it.
struct Checked {
    std::string predicate;
    std::string reason;            ///< empty: it holds
    std::set<std::string> digests; ///< of its subjects, sha256
    Json subjects = Json::array();
};

void read_statement(const std::string& payload, const std::string& place, Checked& checked)
{
    const auto statement = parse_json(payload, place);
    if (!string_member(statement, "_type").starts_with("https://in-toto.io/Statement/")) {
        throw Error(ErrorCode::corrupt, "the payload is not an in-toto statement");
    }
    checked.predicate = string_member(statement, "predicateType");
    for (const auto& subject : array_member(statement, "subject")) {
        const auto& digests = member(subject, "digest");
        const auto sha256 = optional_string_member(digests, "sha256");
        if (sha256) {
            checked.digests.insert(to_lower(*sha256));
        }
        checked.subjects.push_back({{"name", json_or_null(optional_string_member(subject, "name"))},
                                    {"sha256", json_or_null(sha256)}});
    }
    if (checked.subjects.empty()) {
        throw Error(ErrorCode::corrupt, "the statement has no subject");
    }
}

/// The signature first: nothing of a payload is parsed before somebody trusted signed it.
Checked check_line(std::string_view line,
                   const std::string& place,
                   const std::vector<sodium::PublicKey>& keys)
{
    Checked checked;
    try {
        const auto envelope = exporting::envelope_from_json(parse_json(line, place));
        const bool trusted = std::any_of(keys.begin(), keys.end(), [&](const auto& key) {
            return exporting::is_signed_by(envelope, key);
        });
        if (!trusted) {
            checked.reason = "no signature by a given key";
        } else if (envelope.payload_type != exporting::intoto_payload_type) {
            checked.reason = fmt::format("holds '{}', not an in-toto statement",
                                         printable(envelope.payload_type));
        } else {
            read_statement(envelope.payload, place + " (payload)", checked);
        }
    } catch (const Error& error) {
        checked.reason = error.one_line();
    }
    return checked;
}

std::vector<std::pair<std::string, std::string>> lines_of(const std::string& path)
{
    const auto text = read_file(path, largest_bundle);
    // One envelope over several lines, as other tools print it, or one per line.
    std::vector<std::pair<std::string, std::string>> lines;
    std::size_t number = 0;
    bool bundle = true;
    for (const auto line : split_lines(text)) {
        ++number;
        const auto body = trim(line);
        if (!body.empty()) {
            bundle = bundle && body.front() == '{' && body.size() > 1;
            lines.emplace_back(body, fmt::format("{}:{}", path, number));
        }
    }
    if (!bundle) {
        return {{text, path}};
    }
    if (lines.empty()) {
        throw Error(ErrorCode::corrupt, fmt::format("{} is empty", printable(path)));
    }
    return lines;
}

int report(Context& context, const std::vector<Checked>& all, const std::vector<std::string>& files)
{
    Answer answer;
    answer.schema = "stemma.verify-attestation/1";
    bool holds = true;
    for (const auto& checked : all) {
        holds = holds && checked.reason.empty();
        std::string names;
        for (const auto& subject : checked.subjects) {
            const auto name = optional_string_member(subject, "name").value_or("?");
            names += (names.empty() ? "" : " ") + name;
        }
        answer.items.push_back({{"kind", "attestation"},
                                {"name", names},
                                {"ok", checked.reason.empty()},
                                {"predicate", checked.predicate},
                                {"reason", checked.reason},
                                {"subjects", checked.subjects}});
    }
    for (const auto& file : files) {
        const auto digest = sha256_file(file).hex();
        const bool attested = std::any_of(all.begin(), all.end(), [&](const Checked& checked) {
            return checked.reason.empty() && checked.digests.contains(digest);
        });
        holds = holds && attested;
        answer.items.push_back(
            {{"kind", "subject"},
             {"name", json_text(file)},
             {"ok", attested},
             {"predicate", ""},
             {"reason", attested ? "" : "no attestation that holds is about this content"},
             {"subjects", Json::array({{{"name", json_text(file)}, {"sha256", digest}}})}});
    }
    answer.extra["ok"] = holds;
    show(context,
         answer,
         {{"KIND", "kind"},
          {"NAME", "name"},
          {"OK", "ok"},
          {"PREDICATE", "predicate"},
          {"REASON", "reason"}});
    return holds ? 0 : exit_violated;
}

int run_verify_attestation(Context& context, const Args& args)
{
    const auto& path = args.expect_words(1, 1, "FILE").front();
    const auto keys = public_keys_option(args, "key");
    if (keys.empty()) {
        throw Error(ErrorCode::usage,
                    "whose signature? --key PUBKEY is missing",
                    "`stemma key generate FILE` writes the public key to FILE.pub");
    }
    std::vector<Checked> all;
    for (const auto& [line, place] : lines_of(path)) {
        context.cancel().check();
        all.push_back(check_line(line, place, keys));
    }
    return report(context, all, args.values("subject"));
}

} // namespace

std::optional<sodium::SecretKey>
secret_key_option(Context& context, const Args& args, std::string_view option)
{
    const auto path = args.value(option);
    if (!path) {
        return std::nullopt;
    }
    struct stat status {};
    if (::stat(path->c_str(), &status) == 0 && (status.st_mode & 077U) != 0) {
        context.log().warning("others may read the secret key {}: chmod 600 {}",
                              printable(*path),
                              shell_quote(*path));
    }
    auto text = read_file(*path, largest_key);
    auto key = sodium::SecretKey::from_pem(text, *path);
    sodium::wipe(text);
    return key;
}

std::vector<sodium::PublicKey> public_keys_option(const Args& args, std::string_view option)
{
    std::vector<sodium::PublicKey> keys;
    for (const auto& file : args.values(option)) {
        keys.push_back(sodium::PublicKey::from_pem(read_file(file, largest_key), file));
    }
    return keys;
}

std::vector<Command> attestation_commands()
{
    return {
        {.name = "verify-attestation",
         .summary = "check signed attestations against keys and files",
         .synopsis = "FILE --key PUBKEY [--subject FILE]…",
         .description =
             "Checks every DSSE envelope in FILE (one, or a bundle with one per line): signed by "
             "one of the given Ed25519 keys over exactly this payload, and an in-toto statement "
             "with subjects. With --subject also that each of these files is a subject, by "
             "SHA-256, of an attestation that holds. The name of a key inside an envelope is not "
             "believed.",
         .options = {{.name = "key",
                      .value = "PUBKEY",
                      .help = "an Ed25519 public key (PEM) that is trusted",
                      .repeats = true},
                     {.name = "subject",
                      .value = "FILE",
                      .help = "a file that must be attested",
                      .repeats = true}},
         .examples =
             {{"stemma verify-attestation shop.intoto.jsonl --key release.key.pub --subject "
               "shop_1.0_amd64.deb",
               "Was this very package built as the bundle says, by the holder of the key?"}},
         .exits = "0 all hold; 5 a signature, a statement or a file does not",
         .run = run_verify_attestation},
        {.name = "key generate",
         .summary = "make an Ed25519 key pair for signing",
         .synopsis = "FILE",
         .description = "Writes the secret key to FILE (mode 600, not encrypted) and the public "
                        "key to FILE.pub, both as PEM that OpenSSL reads, and prints the key's id, "
                        "the SHA-256 of the public key's DER form. Never overwrites.",
         .options = {},
         .examples = {{"stemma key generate release.key", "A key to sign releases with."}},
         .exits = {},
         .run = run_key_generate},
        {.name = "key show",
         .summary = "show a key's id and its public half",
         .synopsis = "FILE",
         .description = "Reads a secret or public Ed25519 key (PEM).",
         .options = {},
         .examples = {{"stemma key show release.key.pub", "Whose key is this?"},
                      {"stemma key show release.key --json | jq -r '.items[0].public'",
                       "The public key again, when its file was lost."}},
         .exits = {},
         .run = run_key_show},
    };
}

} // namespace stemma::cli
