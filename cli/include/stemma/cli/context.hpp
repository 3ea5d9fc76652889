#pragma once

#include "stemma/cli/settings.hpp"
#include "stemma/core/activity.hpp"
#include "stemma/core/cancel.hpp"
#include "stemma/core/clock.hpp"
#include "stemma/core/log.hpp"
#include "stemma/lineage/store.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::cli {

enum class Format { table, json, ndjson, csv, dot };

/// Everything a command may touch of the world. Lives as long as the process.
class Context {
public:
    Context(const Clock& clock, Log& log, Progress& progress, const Cancel& cancel)
        : clock_(clock), log_(log), progress_(progress), cancel_(cancel)
    {
    }

    [[nodiscard]] const Clock& clock() const noexcept { return clock_; }
    [[nodiscard]] Log& log() noexcept { return log_; }
    [[nodiscard]] Progress& progress() noexcept { return progress_; }
    [[nodiscard]] const Cancel& cancel() const noexcept { return cancel_; }

    Format format = Format::table;
    bool colour = false; ///< on standard output
    bool quiet = false;
    std::string store_url; ///< resolved from --store, STEMMA_STORE, .stemma/ or the state folder
    std::filesystem::path state_folder; ///< beside the store: images/, snapshots/, spool/
    Settings settings;
    /// SOURCE_DATE_EPOCH as it stands in the environment: what reproducible work takes for "now".
    std::optional<std::string> source_date_epoch;
    /// What is fetched once for all stores of a user.
    std::filesystem::path cache_folder;

    /// The store, opened at first use; reading commands never create one.
    lineage::Store& store(lineage::Store::Mode mode = lineage::Store::Mode::read);

    /// True for an address of a server, false for a file.
    [[nodiscard]] bool is_team_ledger() const { return store_url.find("://") != std::string::npos; }
    /// Why the store that was opened may not know everything; see lineage::Store::out_of_reach().
    [[nodiscard]] std::optional<lineage::Gap> store_gap() const;
    /// How this program is called for the same store. A password that the store's address holds
    /// goes by the environment, where other users do not see it.
    [[nodiscard]] std::vector<std::string> own_command() const;

    /// The folder of the store's files (images, snapshots, locks), made when missing.
    std::filesystem::path make_state_folder(std::string_view name);

    /// Writes to standard output; a reader that went away ends the command quietly.
    void out(std::string_view text);

private:
    const Clock& clock_;
    Log& log_;
    Progress& progress_;
    const Cancel& cancel_;
    std::unique_ptr<lineage::Store> store_;
    lineage::Store::Mode store_mode_ = lineage::Store::Mode::read;
};

} // namespace stemma::cli
