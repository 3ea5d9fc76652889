#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "impl.hpp"
#include "migrate.hpp"
#include "schema.hpp"

namespace stemma::lineage {

namespace {

std::string path_of_url(const std::string& url)
{
    if (url.starts_with("postgresql://") || url.starts_with("postgres://")) {
        throw Error(ErrorCode::unsupported,
                    "a store is a file; PostgreSQL is not supported",
                    "name a file, or sqlite:PATH; several machines share one through `stemma push` "
                    "and `stemma serve`");
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
    std::vector<sqlite::Options> ways(3);
    ways[1].read_only = true; // readable, and not writable, by this user
    ways[2].alone = true;     // on a full disk
    ways[2].patience = std::chrono::seconds(1);
    std::optional<Error> first;
    for (const auto& way : ways) {
        try {
            auto impl = std::make_unique<Store::Impl>(path, way, clock, log);
            check_version(impl->db); // the first look at the file
            return impl;
        } catch (const Error& error) {
            if (!first && error.code() != ErrorCode::io) {
                throw;
            }
            first = first ? first : error;
        }
    }
    throw Error(*first);
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
    auto made = make_uuid7(impl.clock.now());
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
            refuse_newer(path); // before anything is said of its pages
            std::unique_ptr<Impl> impl;
            if (mode == Mode::write) {
                make_folder_of(path);
                sqlite::Options options;
                options.create = true;
                impl = std::make_unique<Impl>(path, options, clock, log);
                check_version(impl->db);
                impl->db.use_wal();
                migrate(*impl);
                impl->origin = own_origin(*impl);
                impl->link.emplace(path);
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

namespace {

/// True when the events from `seq` on are what the drafts say, by this store.
bool are_said(Store::Impl& impl, std::uint64_t seq, std::span<const model::EventDraft> drafts)
{
    return std::all_of(drafts.begin(), drafts.end(), [&](const model::EventDraft& draft) {
        const auto event = impl.event_at(seq++);
        return event.origin == impl.origin && event.at == draft.at && event.kind == draft.kind &&
               event.body == draft.body;
    });
}

/// What a writer that ended before it answered had recorded after all: the drafts of one call
/// follow each other.
std::optional<AppendResult>
said_since(Store::Impl& impl, std::uint64_t before, std::span<const model::EventDraft> drafts)
{
    const auto last = impl.last_seq();
    for (auto seq = before + 1; seq + drafts.size() <= last + 1; ++seq) {
        if (are_said(impl, seq, drafts)) {
            return AppendResult{drafts.size(), 0, seq + drafts.size() - 1};
        }
    }
    return std::nullopt;
}

} // namespace

AppendResult Store::record(std::span<const model::EventDraft> drafts)
{
    const auto before = impl_->last_seq();
    WriterLink::Sent sent;
    if (impl_->link && impl_->link->listens()) { // else the text of a request would be for nobody
        sent = impl_->link->send(request_text(drafts));
        if (sent.result) {
            return *sent.result;
        }
    }
    sqlite::Transaction transaction(impl_->db);
    if (sent.unsure) {
        if (auto known = said_since(*impl_, before, drafts)) {
            return *known;
        }
    }
    const auto result = impl_->record(drafts);
    transaction.commit();
    return result;
}

AppendResult Store::append(std::span<const model::Event> events)
{
    if (impl_->link && impl_->link->listens()) {
        if (const auto sent = impl_->link->send(request_text(events)); sent.result) {
            return *sent.result;
        }
    }
    try {
        sqlite::Transaction transaction(impl_->db);
        const auto result = impl_->append(events);
        transaction.commit();
        return result;
    } catch (const Error&) {
        if (impl_->equivocation) {
            sqlite::Transaction transaction(impl_->db);
            impl_->record_equivocation();
            transaction.commit();
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
