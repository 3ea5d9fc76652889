#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"
#include "stemma/hive/hive.hpp"

#include "sink.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20U; ///< of one hive
constexpr std::size_t longest_value = std::size_t{64} << 10U;   ///< as of every feature

/// Values of keys as settings: the record is the key, "FILE:KEY\BELOW", the attribute the value's
/// name.
class RegistryExtractor {
public:
    RegistryExtractor(Source& source, Sink& sink, const RegistryRule& rule)
        : source_(source), sink_(sink), rule_(rule)
    {
    }

    void run()
    {
        if (!source_.exists(rule_.hive)) {
            return;
        }
        try {
            const hive::Hive hive(source_.tree.read_all(rule_.hive, most_bytes), rule_.hive);
            if (hive.unclean()) {
                sink_.miss("registry files whose newest changes lie in logs", rule_.hive);
            }
            for (const std::string& path : rule_.keys) {
                if (const auto key = hive.find(path)) {
                    take(hive, *key, path, 0);
                }
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            sink_.miss("registry files unreadable",
                       fmt::format("{} ({})", rule_.hive, error.message()));
        }
    }

private:
    void
    take(const hive::Hive& hive, hive::Hive::Key key, const std::string& path, std::uint32_t depth)
    {
        if (source_.late() || sink_.full()) {
            sink_.miss("registry keys after the time was over", path);
            return;
        }
        for (const hive::Value& value : hive.values(key)) {
            add(path, value);
        }
        if (depth < rule_.depth) {
            for (const auto below : hive.subkeys(key)) {
                take(hive, below, path + "\\" + hive.name_of(below), depth + 1);
            }
        }
    }

    void add(const std::string& path, const hive::Value& value)
    {
        const bool number =
            value.type == hive::ValueType::dword || value.type == hive::ValueType::qword;
        auto text = value.text();
        text.resize(std::min(text.size(), longest_value));
        sink_.add({.kind = "setting",
                   .type = "registry",
                   .identity = rule_.hive + ":" + path,
                   .attribute = value.name.empty() ? "(default)" : value.name,
                   .value = std::move(text),
                   .value_type = number ? ValueType::number : ValueType::text,
                   .file = rule_.hive});
    }

    Source& source_;
    Sink& sink_;
    const RegistryRule& rule_;
};

} // namespace

void extract_registry(Source& source, Sink& sink)
{
    for (const RegistryRule& rule : source.definition.registry) {
        RegistryExtractor(source, sink, rule).run();
    }
}

} // namespace stemma::analyzer
