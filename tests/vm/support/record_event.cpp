// usage: record_event STORE KIND BODY
// Records one event, as another program would: what VM tests start from.

#include "stemma/core/clock.hpp"
#include "stemma/core/json.hpp"
#include "stemma/core/log.hpp"
#include "stemma/lineage/store.hpp"

#include <cstdio>

int main(int argc, char** argv)
{
    if (argc != 4) {
        std::fprintf(stderr, "usage: record_event STORE KIND BODY\n");
        return 2;
    }
    try {
        const stemma::SystemClock clock;
        stemma::StderrLog log(stemma::LogLevel::warning, false);
        const auto store =
            stemma::lineage::Store::open(argv[1], stemma::lineage::Store::Mode::write, clock, log);
        (void)store->record(
            {.at = clock.now(), .kind = argv[2], .body = stemma::parse_json(argv[3], "BODY")});
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "record_event: %s\n", error.what());
        return 1;
    }
}
