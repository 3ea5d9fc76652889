#include "stemma/cli/render.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "learn.hpp"
#include "snapshot.hpp"

namespace stemma::cli {

std::filesystem::path labels_file(Context& context, const Args& args)
{
    const auto named = args.value("labels");
    return named ? std::filesystem::path(*named) : context.state_folder / "learn" / "labels.ndjson";
}

std::map<std::string, Label> read_labels(const std::filesystem::path& file)
{
    std::map<std::string, Label> labels;
    if (!std::filesystem::exists(file)) {
        return labels;
    }
    const std::string text = read_file(file, 1ULL << 28U);
    std::size_t number = 0;
    for (const auto line : split_lines(text)) {
        ++number;
        const bool torn = line.data() + line.size() == text.data() + text.size();
        if (torn || trim(line).empty()) {
            continue;
        }
        const Json body = parse_json(line, fmt::format("{}:{}", file.string(), number));
        Label label;
        label.at = string_member(body, "at");
        label.vm = string_member(body, "vm");
        label.label = string_member(body, "label");
        label.note = string_member(body, "note");
        label.snapshot = string_member(body, "snapshot");
        labels[label.vm] = label;
    }
    std::erase_if(labels, [](const auto& entry) { return entry.second.label.empty(); });
    return labels;
}

void add_label(const std::filesystem::path& file, const Label& label)
{
    if (file.has_parent_path()) {
        std::filesystem::create_directories(file.parent_path());
    }
    const Fd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!out) {
        throw system_error(errno, fmt::format("open {}", file.string()));
    }
    const std::string line = canonical_json({{"at", label.at},
                                             {"label", label.label},
                                             {"note", label.note},
                                             {"snapshot", label.snapshot},
                                             {"vm", label.vm}}) +
                             "\n";
    write_all(out.get(), line, file.string());
    if (::fsync(out.get()) != 0) {
        throw system_error(errno, fmt::format("write {}", file.string()));
    }
}

namespace {

std::string name_of_word(const std::string& word)
{
    return word.starts_with("vm:") ? word.substr(3) : word;
}

/// VMs of the store; with --labels also names that the store need not know (file trees).
std::vector<Label> labelled_by(Context& context, const Args& args, const std::string& word)
{
    std::vector<Label> labels;
    if (args.has("labels")) {
        labels.push_back({{}, name_of_word(word), {}, {}, {}});
        return labels;
    }
    for (const auto& vm : vms_named(context, {word})) {
        const auto snapshots = context.store().snapshots(vm.uuid);
        labels.push_back(
            {{}, vm.name, {}, {}, snapshots.empty() ? std::string() : snapshots.back().id});
    }
    return labels;
}

} // namespace

int run_learn_label(Context& context, const Args& args)
{
    const bool remove = args.has("remove");
    const auto& words = args.expect_words(remove ? 1 : 2, remove ? 1 : 2, "VM LABEL");
    const std::string label = remove ? std::string() : words[1];
    if (!is_utf8(label) || label.size() > 64 ||
        label.find_first_of(" \t\r\n") != std::string::npos) {
        throw Error(ErrorCode::usage, "a label is one word of at most 64 bytes");
    }
    Answer answer;
    answer.schema = "stemma.labels/1";
    for (Label one : labelled_by(context, args, words[0])) {
        one.at = format_time(context.clock().now());
        one.label = label;
        one.note = args.value_or("note", "");
        add_label(labels_file(context, args), one);
        answer.items.push_back({{"vm", one.vm},
                                {"label", remove ? Json(nullptr) : Json(label)},
                                {"at", one.at},
                                {"note", one.note},
                                {"snapshot", one.snapshot}});
    }
    return show(context, answer, {{"VM", "vm"}, {"LABEL", "label"}, {"NOTE", "note"}});
}

int run_learn_labels(Context& context, const Args& args)
{
    args.expect_words(0, 0, "");
    Answer answer;
    answer.schema = "stemma.labels/1";
    for (const auto& [vm, label] : read_labels(labels_file(context, args))) {
        answer.items.push_back({{"vm", vm},
                                {"label", label.label},
                                {"at", label.at},
                                {"note", label.note},
                                {"snapshot", label.snapshot}});
    }
    return show(
        context, answer, {{"VM", "vm"}, {"LABEL", "label"}, {"AT", "at"}, {"NOTE", "note"}});
}

} // namespace stemma::cli
