#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"

#include <filesystem>

#include "impl.hpp"
#include "schema.hpp"

namespace stemma::lineage {

namespace {

std::string path_of_url(const std::string& url)
{
    if (url.starts_with("postgresql://") || url.starts_with("postgres://")) {
        throw Error(ErrorCode::unsupported,
                    "this stemma was built without PostgreSQL",
                    "name a file, or sqlite:PATH");
    }
    constexpr std::string_view scheme = "sqlite:";
    std::string path = url.starts_with(scheme) ? url.substr(scheme.size()) : url;
    if (path.empty()) {
        throw Error(ErrorCode::usage, "the store's name is empty", "name a file with --store");
    }
    return path;
}

void make_folder_of(const std::string& path)
{
    const auto folder = std::filesystem::path(path).parent_path();
    std::error_code error;
    if (!folder.empty() && !std::filesystem::create_directories(folder, error) && error) {
        throw system_error(error.value(), fmt::format("make the folder {}", folder.string()));
    }
}

std::unique_ptr<Store::Impl> open_for_reading(const std::string& path, const Clock& clock, Log& log)
{
    if (!std::filesystem::exists(path)) {
        throw Error(ErrorCode::not_found,
                    fmt::format("there is no store at {}", path),
                    "the first thing that is recorded makes one, for instance `stemma build -- "
                    "make`; --store or STEMMA_STORE name another");
    }
    sqlite::Options options;
    try {
        return std::make_unique<Store::Impl>(path, options, clock, log);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::io) {
            throw;
        }
        options.read_only = true; // readable, and not writable, by this user
        return std::make_unique<Store::Impl>(path, options, clock, log);
    }
}

/// The store's own identity as an origin, made once.
std::string own_origin(Store::Impl& impl)
{
    if (auto known = impl.meta("origin")) {
        return *std::move(known);
    }
    sqlite::Transaction transaction(impl.db);
    if (auto known = impl.meta("origin")) {
        return *std::move(known);
    }
    const auto made = make_uuid7(impl.clock.now());
    impl.db.cached("INSERT INTO meta(key, value) VALUES ('origin', ?)").bind(made).run();
    transaction.commit();
    return made;
}

} // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Store::~Store() = default;

std::unique_ptr<Store> Store::open(const std::string& url, Mode mode, const Clock& clock, Log& log)
{
    const std::string path = path_of_url(url);
    return doing(
        [&] {
            std::unique_ptr<Impl> impl;
            if (mode == Mode::write) {
                make_folder_of(path);
                sqlite::Options options;
                options.create = true;
                impl = std::make_unique<Impl>(path, options, clock, log);
                check_version(impl->db);
                impl->db.use_wal();
                migrate(impl->db, log);
                impl->origin = own_origin(*impl);
            } else {
                impl = open_for_reading(path, clock, log);
                if (check_version(impl->db) < schema_version) {
                    throw Error(ErrorCode::unsupported,
                                fmt::format("{} is of an older version, or empty", path),
                                "`stemma ledger rebuild` brings it to this one");
                }
                impl->origin = impl->meta("origin").value_or("");
            }
            return std::unique_ptr<Store>(new Store(std::move(impl)));
        },
        "opening the store {}",
        path);
}

AppendResult Store::record(std::span<const model::EventDraft> drafts)
{
    sqlite::Transaction transaction(impl_->db);
    auto oseq = impl_->last_oseq(impl_->origin);
    std::vector<model::Event> events;
    events.reserve(drafts.size());
    for (const auto& draft : drafts) {
        events.push_back({impl_->origin, ++oseq, draft.at, draft.kind, draft.body});
    }
    const auto result = impl_->append(events);
    transaction.commit();
    return result;
}

namespace {

/// The refusal itself is a fact that the ledger keeps.
model::EventDraft equivocation_report(const Error& error, Time now)
{
    return {now, "ledger.equivocation", Json{{"reason", error.message()}}};
}

} // namespace

AppendResult Store::append(std::span<const model::Event> events)
{
    try {
        sqlite::Transaction transaction(impl_->db);
        const auto result = impl_->append(events);
        transaction.commit();
        return result;
    } catch (const Error& error) {
        if (error.code() == ErrorCode::conflict) {
            record(equivocation_report(error, impl_->clock.now()));
        }
        throw;
    }
}

const std::string& Store::origin() const
{
    return impl_->origin;
}

std::uint64_t Store::last_seq()
{
    return impl_->last_seq();
}

} // namespace stemma::lineage
