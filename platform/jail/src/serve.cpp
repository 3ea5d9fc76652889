#include "serve.hpp"

#include "wire.hpp"

namespace stemma::jail {

namespace {

constexpr std::size_t piece = std::size_t{1} << 20U;

class Server {
public:
    Server(Channel& channel, volume::Filesystem& tree) : channel_(channel), tree_(tree) {}

    void answer(std::string_view question)
    {
        const auto kind = static_cast<Question>(question.empty() ? '\0' : question.front());
        if (kind == Question::stop) {
            return; // it came when all had been given
        }
        const std::string path = Unpacker(question).text();
        try {
            answer_about(kind, path);
        } catch (const Error& error) {
            channel_.send(pack_error(error));
        }
    }

private:
    void answer_about(Question kind, const std::string& path)
    {
        switch (kind) {
        case Question::look:
            give_node(tree_.look(path));
            break;
        case Question::look_through:
            give_node(tree_.look_through(path));
            break;
        case Question::list:
            give_list(path);
            break;
        case Question::read:
            give_content(path);
            break;
        case Question::read_link:
            channel_.send(Packer(Answer::last).text(tree_.read_link(path)).message());
            break;
        case Question::attributes:
            give_attributes(path);
            break;
        case Question::survey:
        case Question::survey_with_digests:
            give_survey(path, kind == Question::survey_with_digests);
            break;
        case Question::stop:
            break;
        }
    }

    void give_node(const std::optional<volume::NodeInfo>& info)
    {
        Packer packer(Answer::last);
        if (info) {
            packer.node(*info);
        }
        channel_.send(packer.message());
    }

    /// An entry's name and kind, and what it is when that can be said.
    void pack_entry(Packer& packer, const std::string& folder, const volume::FolderEntry& entry)
    {
        packer.text(entry.name).number(static_cast<std::uint64_t>(entry.kind));
        std::optional<volume::NodeInfo> info;
        try {
            info = tree_.look(volume::join_path(folder, entry.name));
        } catch (const Error&) { // NOLINT(bugprone-empty-catch): whoever asks for it gets the error
        }
        packer.number(info ? 1 : 0);
        if (info) {
            packer.node(*info);
        }
    }

    void give_list(const std::string& path)
    {
        Packer packer(Answer::piece);
        for (const auto& entry : tree_.list(path)) {
            pack_entry(packer, path, entry);
            if (packer.size() > piece) {
                channel_.send(packer.message());
                packer = Packer(Answer::piece);
            }
        }
        channel_.send(packer.message());
        channel_.send(Packer(Answer::last).message());
    }

    void give_survey(const std::string& path, bool digests)
    {
        Packer packer(Answer::piece);
        for (const auto& entry : tree_.survey(path, digests)) {
            packer.entry(entry);
            if (packer.size() > piece) {
                channel_.send(packer.message());
                packer = Packer(Answer::piece);
            }
        }
        channel_.send(packer.message());
        channel_.send(Packer(Answer::last).message());
    }

    void give_content(const std::string& path)
    {
        std::string message;
        tree_.read(path, [&](std::string_view part) {
            if (channel_.has_message()) {
                return false; // the only thing that can be said meanwhile is "stop"
            }
            message.assign(1, static_cast<char>(Answer::piece));
            message += part;
            channel_.send(message);
            return true;
        });
        channel_.send(Packer(Answer::last).message());
    }

    void give_attributes(const std::string& path)
    {
        Packer packer(Answer::last);
        for (const auto& [name, value] : tree_.extended_attributes(path)) {
            packer.text(name).text(value);
        }
        channel_.send(packer.message());
    }

    Channel& channel_;
    volume::Filesystem& tree_;
};

} // namespace

void serve(Channel& channel, volume::Filesystem& tree)
{
    Server server(channel, tree);
    while (const auto question = channel.receive()) {
        server.answer(*question);
    }
}

} // namespace stemma::jail
