// A program of somebody else: records two facts, and asks what runs where.

#include <cstdio>

#include <stemma/core/error.hpp>
#include <stemma/lineage/ledger.hpp>
#include <stemma/lineage/query.hpp>

int main(int argc, char** argv)
{
    using namespace stemma;
    if (argc != 2) {
        return 2;
    }
    try {
        const SystemClock clock;
        NullLog log;
        const auto store = lineage::Store::open(argv[1], lineage::Store::Mode::write, clock, log);
        const std::string digest(64, 'a');
        store->record({clock.now(),
                       "image.created",
                       {{"name", "base"},
                        {"digest", digest},
                        {"parent", nullptr},
                        {"format", "raw"},
                        {"size", 1},
                        {"path", "/x"},
                        {"os", ""},
                        {"installed", Json::array()},
                        {"removed", Json::array()},
                        {"packages", Json::array()}}});
        store->record({clock.now(),
                       "vm.deployed",
                       {{"uuid", "u"}, {"name", "shop"}, {"host", "web7"}, {"image", digest}}});
        lineage::Query query(*store, {});
        const std::vector<std::string> words = {"image:base"};
        const auto from = query.select(
            lineage::parse_selection(words, [](const std::string&) { return std::string(); }));
        for (const auto& item : query.items(query.downstream(from))) {
            std::printf("%s %s\n",
                        item["type"].get<std::string>().c_str(),
                        item["name"].get<std::string>().c_str());
        }
        return lineage::verify(*store, {}).findings.empty() && store->last_seq() == 2 ? 0 : 1;
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n", error.one_line().c_str());
        return 1;
    }
}
