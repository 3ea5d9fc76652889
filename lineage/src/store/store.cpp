#include "../shared/store.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/postgres/address.hpp"

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

std::unique_ptr<Store::Impl>
open_for_writing(const std::string& path, sqlite::Options options, const Clock& clock, Log& log)
{
    options.create = true;
    auto impl = std::make_unique<Store::Impl>(path, options, clock, log);
    check_version(impl->db);
    impl->db.use_wal();
    migrate(*impl);
    return impl;
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

namespace {

std::unique_ptr<Store::Impl>
open_local(const std::string& path, Store::Mode mode, const Clock& clock, Log& log)
{
    refuse_newer(path); // before anything is said of its pages
    if (mode == Store::Mode::read) {
        auto impl = open_for_reading(path, clock, log);
        if (check_version(impl->db) < schema_version) {
            throw Error(ErrorCode::unsupported,
                        fmt::format("{} is of an older version, or empty", path),
                        "`stemma ledger rebuild` brings it to this one");
        }
        impl->origin = impl->meta("origin").value_or("");
        return impl;
    }
    make_folder_of(path);
    auto impl = open_for_writing(path, {}, clock, log);
    impl->origin = own_origin(*impl);
    impl->link.emplace(path);
    return impl;
}

/// The copy of a server's ledger is written also when it is only read: it follows.
std::unique_ptr<Store::Impl>
open_shared(const std::string& url, Store::Mode mode, const Clock& clock, Log& log)
{
    auto shared = std::make_shared<SharedStore>(url, mode, clock, log);
    shared->make_folder();
    const auto path = shared->file().string();
    refuse_newer(path);
    sqlite::Options options;
    if (mode == Store::Mode::read) {
        options.patience = std::chrono::seconds(30); // then it is answered without the newest
    }
    auto impl = doing([&] { return open_for_writing(path, options, clock, log); },
                      "opening this machine's copy of the ledger, {}, which can be taken away",
                      path);
    // What a sudden end takes from the copy is in the ledger.
    impl->db.execute("PRAGMA synchronous = NORMAL");
    impl->shared = std::move(shared);
    impl->shared->open(*impl);
    if (mode == Store::Mode::write) {
        impl->link.emplace(path);
    }
    return impl;
}

} // namespace

std::string shown_store(const std::string& url)
{
    return postgres::shown(url);
}

std::unique_ptr<Store> Store::open(const std::string& url, Mode mode, const Clock& clock, Log& log)
{
    const bool is_shared = postgres::is_address(url);
    const std::string name = is_shared ? shown_store(url) : path_of_url(url);
    return doing(
        [&] {
            auto impl =
                is_shared ? open_shared(url, mode, clock, log) : open_local(name, mode, clock, log);
            return std::unique_ptr<Store>(new Store(std::move(impl)));
        },
        "opening the store {}",
        name);
}

void in_transaction(Store::Impl& store, const std::function<void()>& work)
{
    if (store.shared) {
        store.shared->in_transaction(store, work);
        return;
    }
    sqlite::Transaction transaction(store.db);
    work();
    transaction.commit();
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
    AppendResult result;
    in_transaction(*impl_, [&] {
        const auto known =
            sent.unsure ? said_since(*impl_, before, drafts) : std::optional<AppendResult>();
        result = known ? *known : impl_->record(drafts);
    });
    return result;
}

AppendResult Store::append(std::span<const model::Event> events)
{
    if (impl_->link && impl_->link->listens()) {
        if (const auto sent = impl_->link->send(request_text(events)); sent.result) {
            return *sent.result;
        }
    }
    impl_->equivocation.reset();
    try {
        AppendResult result;
        in_transaction(*impl_, [&] { result = impl_->append(events); });
        return result;
    } catch (const Error&) {
        if (impl_->equivocation) {
            in_transaction(*impl_, [&] { impl_->record_equivocation(); });
        }
        throw;
    }
}

void Store::refresh()
{
    if (impl_->shared) {
        impl_->shared->refresh(*impl_);
    }
}

std::optional<Gap> Store::out_of_reach()
{
    return impl_->shared ? impl_->shared->gap(*impl_) : std::nullopt;
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
