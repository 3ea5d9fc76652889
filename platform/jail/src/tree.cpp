#include "stemma/jail/tree.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/volume/borrowed.hpp"
#include "stemma/volume/path_walk.hpp"

#include <unordered_map>

#include "serve.hpp"
#include "wire.hpp"

namespace stemma::jail {

namespace {

using volume::FolderEntry;
using volume::NodeInfo;
using volume::NodeKind;

constexpr std::size_t most_entries = std::size_t{1}
                                     << 20U;              ///< of one folder, as every driver has it
constexpr std::size_t most_known = std::size_t{1} << 17U; ///< nodes kept from lists
constexpr std::size_t most_names = std::size_t{512} << 20U; ///< bytes of one folder's names

/// The pieces of one answer. When it goes early (the reader has enough, or threw), the rest is
/// called off and taken in, so that the next question meets its own answer.
class Stream {
public:
    Stream(Process& process, const std::string& question) : process_(process)
    {
        process_.send(question);
    }
    ~Stream()
    {
        try {
            finish();
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): the next question says it again
        }
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    /// The next piece without its first byte; nullopt at the end.
    std::optional<std::string> next()
    {
        std::string message = process_.receive();
        const char kind = message.empty() ? '\0' : message.front();
        if (kind == static_cast<char>(Answer::piece)) {
            return message;
        }
        done_ = true;
        if (kind == static_cast<char>(Answer::error)) {
            throw unpack_error(message);
        }
        return std::nullopt;
    }

private:
    void finish()
    {
        if (!done_ && !process_.ended()) {
            process_.send(Packer(Question::stop).message());
            while (next()) {
            }
        }
    }
    Process& process_;
    bool done_ = false;
};

using Opener = std::function<std::unique_ptr<volume::Filesystem>(const Explain&)>;

class JailedTree final : public Tree {
public:
    struct Source {
        std::string name;
        std::vector<int> keep; ///< descriptors that it reads from
        Opener open;
        std::shared_ptr<void> needs; ///< lives as long as the tree
    };
    JailedTree(Source source, const Explain& explain, const Limits& limits)
        : needs_(std::move(source.needs)),
          process_(std::move(source.name), source.keep, limits, [&](Channel& channel) {
              live(channel, source.open);
          })
    {
        for (;;) {
            const std::string message = process_.receive();
            const char kind = message.empty() ? '\0' : message.front();
            if (kind == static_cast<char>(Answer::error)) {
                throw unpack_error(message);
            }
            Unpacker unpacker(message);
            if (kind == static_cast<char>(Answer::last)) {
                driver_ = printable(unpacker.text());
                return;
            }
            if (explain) {
                explain(printable(unpacker.text()));
            }
        }
    }

    [[nodiscard]] std::string driver() const override { return driver_; }
    [[nodiscard]] bool gone() const noexcept override { return process_.ended(); }
    [[nodiscard]] std::vector<int> descriptors() const override { return process_.descriptors(); }

    [[nodiscard]] std::optional<NodeInfo> look(const std::string& path) override
    {
        if (const auto known = known_.find(path); known != known_.end()) {
            return known->second;
        }
        return ask_node(Question::look, path);
    }

    [[nodiscard]] std::optional<NodeInfo> look_through(const std::string& path) override
    {
        const auto known = known_.find(path);
        if (known != known_.end() && known->second.kind != NodeKind::symlink) {
            return known->second;
        }
        return ask_node(Question::look_through, path);
    }

    [[nodiscard]] std::vector<FolderEntry> list(const std::string& path) override
    {
        if (known_.size() >= most_known) {
            known_.clear();
        }
        std::vector<FolderEntry> entries;
        std::size_t bytes = 0;
        Stream stream(process_, Packer(Question::list).text(path).message());
        while (const auto message = stream.next()) {
            bytes += message->size();
            Unpacker unpacker(*message);
            while (!unpacker.empty()) {
                take_entry(unpacker, path, entries);
            }
            expect_bounded(path, entries.size(), bytes);
        }
        return entries;
    }

    void read(const std::string& path, const std::function<bool(std::string_view)>& sink) override
    {
        Stream stream(process_, Packer(Question::read).text(path).message());
        while (const auto message = stream.next()) {
            if (!sink(std::string_view(*message).substr(1))) {
                return;
            }
        }
    }

    [[nodiscard]] std::string read_link(const std::string& path) override
    {
        const std::string message = ask(Question::read_link, path);
        return Unpacker(message).text();
    }

    [[nodiscard]] std::map<std::string, std::string>
    extended_attributes(const std::string& path) override
    {
        const std::string message = ask(Question::attributes, path);
        Unpacker unpacker(message);
        std::map<std::string, std::string> all;
        while (!unpacker.empty()) {
            auto name = unpacker.text();
            all.insert_or_assign(std::move(name), unpacker.text());
        }
        return all;
    }

    [[nodiscard]] std::vector<volume::NodeSurvey> survey(const std::string& folder,
                                                         bool digests) override
    {
        const auto question = digests ? Question::survey_with_digests : Question::survey;
        std::vector<volume::NodeSurvey> entries;
        std::size_t bytes = 0;
        Stream stream(process_, Packer(question).text(folder).message());
        while (const auto message = stream.next()) {
            bytes += message->size();
            Unpacker unpacker(*message);
            while (!unpacker.empty()) {
                auto entry = unpacker.entry();
                if (volume::is_plain_name(entry.name)) {
                    entries.push_back(std::move(entry));
                }
            }
            expect_bounded(folder, entries.size(), bytes);
        }
        return entries;
    }

private:
    static void expect_bounded(const std::string& folder, std::size_t entries, std::size_t bytes)
    {
        if (entries > most_entries || bytes > most_names) {
            throw Error(
                ErrorCode::unsupported,
                fmt::format("{} has more than {} entries", printable(folder), most_entries));
        }
    }

    /// In the jail.
    static void live(Channel& channel, const Opener& open)
    {
        const auto tree = open([&](const std::string& note) {
            channel.send(Packer(Answer::note).text(note).message());
        });
        channel.send(Packer(Answer::last).text(tree->driver()).message());
        serve(channel, *tree);
    }

    std::string ask(Question question, const std::string& path)
    {
        process_.send(Packer(question).text(path).message());
        std::string message = process_.receive();
        if (!message.empty() && message.front() == static_cast<char>(Answer::error)) {
            throw unpack_error(message);
        }
        return message;
    }

    std::optional<NodeInfo> ask_node(Question question, const std::string& path)
    {
        const std::string message = ask(question, path);
        Unpacker unpacker(message);
        return unpacker.empty() ? std::nullopt : std::optional(unpacker.node());
    }

    void
    take_entry(Unpacker& unpacker, const std::string& folder, std::vector<FolderEntry>& entries)
    {
        FolderEntry entry{.name = unpacker.text(), .kind = NodeKind::file};
        entry.kind = static_cast<NodeKind>(std::min<std::uint64_t>(
            unpacker.number(), static_cast<std::uint64_t>(NodeKind::block_device)));
        const bool known = unpacker.number() != 0;
        const auto info = known ? std::optional(unpacker.node()) : std::nullopt;
        if (!volume::is_plain_name(entry.name)) {
            return;
        }
        if (info && known_.size() < most_known) {
            known_.insert_or_assign(volume::join_path(folder, entry.name), *info);
        }
        entries.push_back(std::move(entry));
    }

    std::shared_ptr<void> needs_; ///< outlives the process
    Process process_;
    std::string driver_;
    std::unordered_map<std::string, NodeInfo> known_; ///< from lists; what is read does not change
};

} // namespace

std::unique_ptr<Tree> open_tree(std::unique_ptr<volume::Volume> volume,
                                const TreeOpener& open,
                                const Explain& explain,
                                const Limits& limits)
{
    const std::shared_ptr<volume::Volume> shared = std::move(volume);
    // The volume itself must not go into the jail: what it owns (a server, a connection) is its
    // keeper's to end.
    return std::make_unique<JailedTree>(
        JailedTree::Source{.name = shared->name(),
                           .keep = shared->descriptors(),
                           .open =
                               [&](const Explain& inner) {
                                   return open(std::make_unique<volume::Borrowed>(*shared), inner);
                               },
                           .needs = shared},
        explain,
        limits);
}

std::unique_ptr<Tree>
open_tree_apart(std::string name,
                const std::function<std::unique_ptr<volume::Filesystem>(const Explain&)>& open,
                std::shared_ptr<void> needs,
                const Explain& explain,
                const Limits& limits)
{
    return std::make_unique<JailedTree>(
        JailedTree::Source{
            .name = std::move(name), .keep = {}, .open = open, .needs = std::move(needs)},
        explain,
        limits);
}

} // namespace stemma::jail
