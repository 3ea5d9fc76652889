#include "migrate.hpp"

#include "stemma/core/error.hpp"

#include "schema.hpp"

namespace stemma::lineage {

void migrate(Store::Impl& store)
{
    auto& db = store.db;
    if (check_version(db) == schema_version) {
        return;
    }
    sqlite::Transaction transaction(db);
    const int version = check_version(db); // again: another process may have been quicker
    if (version == schema_version) {
        return;
    }
    if (version < 1) {
        make_schema(db);
    } else {
        store.log.info("{} is of store version {}: deriving version {} from its {} events",
                       db.path(),
                       version,
                       schema_version,
                       store.last_seq());
        if (version < 3) {
            make_words(db);
        }
        derive_all(store, nullptr, nullptr);
    }
    db.execute(fmt::format("PRAGMA user_version = {}", schema_version));
    transaction.commit();
}

std::uint64_t derive_all(Store::Impl& store, Progress* progress, const Cancel* cancel)
{
    reset_derived(store.db);
    const auto last = store.last_seq();
    Progress quiet(ProgressMode::none);
    Activity activity(progress != nullptr ? *progress : quiet, "deriving", last, "events");
    for (std::uint64_t seq = 1; seq <= last; ++seq) {
        if (cancel != nullptr) {
            cancel->check();
        }
        const auto event = store.event_at(seq);
        const Placed placed{seq, store.origin_id(event.origin), event, store.is_pruned(seq)};
        doing([&] { derive(store, placed); }, "deriving from event {}", seq);
        activity.advance();
    }
    return last;
}

} // namespace stemma::lineage
