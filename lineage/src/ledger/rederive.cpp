#include "rederive.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "../store/impl.hpp"
#include "../store/migrate.hpp"
#include "../store/schema.hpp"
#include "../store/varint.hpp"

namespace stemma::lineage {

namespace {

namespace fs = std::filesystem;

std::uint64_t free_in(const fs::path& folder)
{
    std::error_code error;
    const auto space = fs::space(folder, error);
    return error || ::access(folder.c_str(), W_OK) != 0 ? 0 : space.available;
}

/// A folder with room for a copy in which every table is dropped and made again.
fs::path folder_with_room(const sqlite::Database& db)
{
    const auto beside = fs::absolute(db.path()).parent_path();
    const auto elsewhere = fs::temp_directory_path();
    constexpr std::uint64_t slack = std::uint64_t{1} << 20U;
    const auto need = 2 * (fs::file_size(db.path()) + db.log_size()) + slack;
    for (const auto& folder : {beside, elsewhere}) {
        if (free_in(folder) >= need) {
            return folder;
        }
    }
    throw Error(
        ErrorCode::io,
        fmt::format("deriving every table again needs about {} for a while; {} has {} free, "
                    "and {} has {}",
                    human_size(need),
                    beside.string(),
                    human_size(free_in(beside)),
                    elsewhere.string(),
                    human_size(free_in(elsewhere))),
        "name a folder with room: TMPDIR=/mnt/large stemma ledger verify --rebuild");
}

struct Content {
    std::uint64_t rows = 0;
    Digest digest;
    bool operator==(const Content&) const = default;
};

/// Every row of a table, in the order of its key.
Content content_of(sqlite::Database& db, std::string_view table)
{
    auto columns = db.prepare("SELECT count(*) FROM pragma_table_info(?)");
    columns.bind(table);
    columns.step();
    const auto count = static_cast<int>(columns.integer(0));
    Content content;
    Sha256 digest;
    std::string row;
    auto rows = db.prepare(fmt::format("SELECT * FROM {}", table));
    while (rows.step()) {
        ++content.rows;
        row.clear();
        for (int column = 0; column < count; ++column) {
            const auto value = rows.view(column);
            put(row, rows.is_null(column) ? 0 : value.size() + 1);
            row += value;
        }
        digest.update(row);
    }
    content.digest = digest.finish();
    return content;
}

std::map<std::string, Content> contents(sqlite::Database& db, const Verification& wanted)
{
    std::map<std::string, Content> found;
    for (const auto* const table : derived_tables()) {
        if (wanted.cancel != nullptr) {
            wanted.cancel->check();
        }
        found[table] = content_of(db, table);
    }
    return found;
}

} // namespace

std::vector<std::string> rederivation_findings(Store& store, const Verification& wanted)
{
    const TemporaryFolder folder("verify", folder_with_room(store.impl().db));
    const std::string path = folder.path() / "copy.db";
    return doing(
        [&] {
            store.impl().db.backup_to(path);
            Store::Impl copy(path, {}, store.impl().clock, store.impl().log);
            copy.db.execute("PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF"); // thrown away
            const auto before = contents(copy.db, wanted);
            sqlite::Transaction transaction(copy.db);
            derive_all(copy, wanted.progress, wanted.cancel);
            const auto after = contents(copy.db, wanted);
            std::vector<std::string> findings;
            for (const auto& [table, content] : before) {
                const auto& fresh = after.at(table);
                if (fresh.rows != content.rows) {
                    findings.push_back(fmt::format("table {}: {} rows, and the ledger explains {}",
                                                   table,
                                                   content.rows,
                                                   fresh.rows));
                } else if (fresh != content) {
                    findings.push_back(
                        fmt::format("table {}: its {} rows are not those that the ledger explains",
                                    table,
                                    content.rows));
                }
            }
            return findings;
        },
        "deriving every table again in {}",
        folder.path().string());
}

} // namespace stemma::lineage
