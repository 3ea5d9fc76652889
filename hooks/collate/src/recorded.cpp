#include "recorded.hpp"

#include <algorithm>
#include <map>

namespace stemma::hooks {

namespace {

constexpr SeenIndex unknown_file = 0xffffffffU;

class Gatherer final : public JournalVisitor {
public:
    explicit Gatherer(Recorded& into) : into_(into) {}

    void session(std::uint64_t writer, SessionRecord record) override
    {
        auto& state = writer_of(writer);
        state.program = record.argv.empty() ? std::string() : record.argv.front();
        state.has_session = true;
        into_.sessions.push_back(std::move(record));
    }

    void version(std::uint64_t writer, Version version) override
    {
        auto& state = versions_[writer];
        constexpr std::size_t most = 50'000'000;
        if (version.id >= most || version.id > state.size() + 1'000'000) {
            return; // a number that no writer would give
        }
        if (state.size() <= version.id) {
            state.resize(version.id + std::size_t{1}, unknown_file);
        }
        const auto [found, fresh] =
            by_key_.try_emplace(version.path + '\0' + std::to_string(version.stamp),
                                static_cast<SeenIndex>(into_.files.size()));
        if (fresh) {
            into_.files.push_back(
                {std::move(version.path), version.stamp, version.size, {}, false});
        }
        state[version.id] = found->second;
    }

    void content(std::uint64_t writer, const Content& content) override
    {
        ++writer_of(writer).seen;
        const auto index = resolve(writer, content.id);
        if (index == unknown_file) {
            return;
        }
        auto& file = into_.files[index];
        if (content.raced) {
            file.raced = !file.content;
        } else {
            file.content = content;
            file.raced = false;
        }
    }

    void process(std::uint64_t writer, ProcessRecord record) override
    {
        ++writer_of(writer).seen;
        bool complete = true;
        const auto translate = [&](VersionId& id) {
            id = resolve(writer, id);
            return id != unknown_file;
        };
        auto& accesses = record.accesses;
        accesses.erase(std::remove_if(accesses.begin(),
                                      accesses.end(),
                                      [&](Access& access) {
                                          const bool known = translate(access.id);
                                          complete = complete && known;
                                          return !known;
                                      }),
                       accesses.end());
        auto& extractions = record.extractions;
        extractions.erase(
            std::remove_if(extractions.begin(),
                           extractions.end(),
                           [&](Extraction& taken) { return !translate(taken.archive); }),
            extractions.end());
        for (auto& image : record.images) {
            if (image.program && !translate(*image.program)) {
                image.program.reset();
                complete = false;
            }
        }
        if (!complete) {
            into_.holes.push_back({record.pid,
                                   record.images.empty() || record.images.front().argv.empty()
                                       ? std::string()
                                       : record.images.front().argv.front(),
                                   "the journal is damaged: some of its files are not known"});
        }
        into_.processes.push_back({writer, std::move(record)});
    }

    void hole(std::uint64_t writer, const HoleRecord& record) override
    {
        ++writer_of(writer).seen;
        into_.holes.push_back(record);
    }

    void end(std::uint64_t writer, const EndRecord& record) override
    {
        auto& state = writer_of(writer);
        state.ended = true;
        into_.finished = std::max(into_.finished, record.finished);
    }

    void close(const JournalLoss& loss)
    {
        for (const auto& [writer, state] : writers_) {
            if (!state.ended || !state.has_session) {
                into_.holes.push_back(
                    {0, state.program, "the observer was stopped, or its last records are lost"});
            }
        }
        if (loss.bytes != 0 || loss.records != 0) {
            into_.holes.push_back({0,
                                   "",
                                   "the journal is damaged: " + std::to_string(loss.bytes) +
                                       " bytes and " + std::to_string(loss.records) +
                                       " records cannot be read"});
        }
    }

private:
    struct Writer {
        std::string program;
        std::uint64_t seen = 0;
        bool has_session = false;
        bool ended = false;
    };

    Writer& writer_of(std::uint64_t writer) { return writers_[writer]; }

    SeenIndex resolve(std::uint64_t writer, VersionId id)
    {
        const auto& state = versions_[writer];
        return id < state.size() ? state[id] : unknown_file;
    }

    Recorded& into_;
    std::map<std::uint64_t, Writer> writers_;
    std::unordered_map<std::uint64_t, std::vector<SeenIndex>> versions_;
    std::unordered_map<std::string, SeenIndex> by_key_;
};

} // namespace

Recorded gather(std::string_view journal)
{
    Recorded recorded;
    Gatherer gatherer(recorded);
    const auto loss = read_journal(journal, gatherer);
    gatherer.close(loss);
    return recorded;
}

} // namespace stemma::hooks
