#include "store.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/fd.hpp"
#include "stemma/core/text.hpp"
#include "stemma/postgres/address.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <thread>

#include "../ledger/tombstones.hpp"
#include "../store/migrate.hpp"
#include "proof.hpp"

namespace stemma::lineage {

using Ending = postgres::Connection::Ending;

namespace {

/// Events that are taken in one transaction of the copy.
constexpr std::uint64_t events_at_once = 20'000;
/// Following so many takes longer than anybody expects of a question.
constexpr std::uint64_t worth_saying = 10'000;
/// A server that went away is waited for so long while something is recorded.
constexpr std::chrono::seconds longest_absence{15};
constexpr std::chrono::milliseconds pause_between_tries{250};
/// A server out of reach is not asked for each question of a long-lived process.
constexpr std::chrono::seconds rest_after_failure{10};
/// How often a transaction is begun again because others were quicker.
constexpr int most_tries = 20;

} // namespace

SharedStore::SharedStore(std::string url, Store::Mode mode, const Clock& clock, Log& log)
    : url_(std::move(url)), folder_(copy_folder(url_)), mode_(mode), clock_(clock), log_(log)
{
}

void SharedStore::make_folder() const
{
    std::error_code failure;
    std::filesystem::create_directories(folder_, failure);
    if (failure) {
        throw system_error(failure.value(),
                           fmt::format("make the folder {} for this machine's copy of the ledger",
                                       folder_.string()));
    }
    std::filesystem::permissions(folder_, std::filesystem::perms::owner_all, failure);
}

/// What to do about a ledger that is not the one that this machine knows.
std::string SharedStore::way_back(const Store::Impl& copy) const
{
    return fmt::format(
        "{} holds what the ledger said before: `stemma --store {} log` reads it. When "
        "the change was meant, take that folder away",
        folder_.string(),
        shell_quote(copy.db.path()));
}

void SharedStore::was_reached() const
{
    const Fd fd(::open((folder_ / "reached").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const auto now = clock_.now().time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
    timespec time{};
    time.tv_sec = seconds.count();
    time.tv_nsec = std::chrono::nanoseconds(now - seconds).count();
    const std::array<timespec, 2> times = {time, time};
    if (fd) {
        (void)::futimens(fd.get(), times.data()); // only for the words of a gap
    }
}

std::string SharedStore::last_reached() const
{
    struct stat status {};
    if (::stat((folder_ / "reached").c_str(), &status) != 0) {
        return "it was never reached";
    }
    const Time at(std::chrono::seconds(status.st_mtim.tv_sec) +
                  std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::nanoseconds(status.st_mtim.tv_nsec)));
    return "since " + format_time(at);
}

/// Connects when there is no connection. A ledger that this machine knows is not made anew when it
/// is gone.
void SharedStore::reach(Store::Impl& copy)
{
    if (is_connected()) {
        return;
    }
    ledger_.reset();
    tried_ = std::chrono::steady_clock::now();
    const bool is_known = copy.meta("origin").has_value();
    const bool create = mode_ == Store::Mode::write && !is_known;
    try {
        auto ledger = std::make_unique<SharedLedger>(url_, create, clock_);
        meet(copy, *ledger);
        ledger_ = std::move(ledger);
    } catch (const Error& error) {
        if (error.code() != ErrorCode::not_found || !is_known) {
            throw;
        }
        throw Error(ErrorCode::corrupt,
                    error.message() + ", and this machine has a copy of one that was",
                    way_back(copy));
    }
}

/// The ledger's identity is the copy's; a copy that is new takes it.
void SharedStore::meet(Store::Impl& copy, const SharedLedger& ledger) const
{
    auto known = copy.meta("origin");
    if (!known) {
        sqlite::Transaction transaction(copy.db);
        known = copy.meta("origin");
        if (!known) {
            copy.db.cached("INSERT INTO meta(key, value) VALUES ('origin', ?)")
                .bind(ledger.id())
                .run();
            transaction.commit();
            known = ledger.id();
        }
    }
    if (*known != ledger.id()) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("{} holds another ledger ({}) than the one that this machine has a "
                                "copy of ({})",
                                ledger.place(),
                                ledger.id(),
                                *known),
                    way_back(copy));
    }
    copy.origin = *known;
}

/// What an answer or a refusal says when the ledger is out of reach.
Error SharedStore::away(const Error& why) const
{
    return {ErrorCode::remote,
            fmt::format("the ledger at {} cannot be reached: {}",
                        printable(postgres::shown(url_)),
                        why.one_line()),
            mode_ == Store::Mode::read
                ? "this machine has no copy of it yet; the first question that reaches it makes one"
                : "nothing was recorded; what a build or a host has in a journal or a store of its "
                  "own is recorded when it is told again"};
}

void SharedStore::open(Store::Impl& copy)
{
    catch_up(copy);
    const bool answers = mode_ == Store::Mode::read && !copy.origin.empty();
    if (out_of_reach_ && !answers) {
        throw away(*out_of_reach_);
    }
}

void SharedStore::refresh(Store::Impl& copy)
{
    const bool tried =
        out_of_reach_ && std::chrono::steady_clock::now() < tried_ + rest_after_failure;
    if (!tried && !copy.db.in_transaction()) {
        catch_up(copy);
    }
}

/// Follows the ledger, or keeps why that is not possible now.
void SharedStore::catch_up(Store::Impl& copy)
{
    copy.origin = copy.meta("origin").value_or("");
    try {
        reach(copy);
        follow(copy);
        out_of_reach_.reset();
    } catch (const Error& error) {
        // Somebody of this machine may be waiting for the server with the copy in his hands.
        const bool is_busy = error.code() == ErrorCode::conflict && mode_ == Store::Mode::read;
        if (error.code() != ErrorCode::remote && !is_busy) {
            throw;
        }
        ledger_.reset();
        out_of_reach_ = error;
    }
}

std::optional<Gap> SharedStore::gap(Store::Impl& copy) const
{
    if (!out_of_reach_) {
        return std::nullopt;
    }
    return Gap{"ledger " + printable(postgres::shown(url_)),
               fmt::format("cannot be reached {}; answered as of event {} ({})",
                           last_reached(),
                           copy.last_seq(),
                           out_of_reach_->one_line())};
}

/// throws  corrupt: the ledger does not have what this machine took from it
void SharedStore::check_same_past(Store::Impl& copy, const CommitRow& mine, const CommitRow& theirs)
{
    if (mine.commit.no == 0) {
        return;
    }
    const auto hint = way_back(copy);
    if (theirs.commit.no < mine.commit.no) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the ledger in {} was rewritten: it ends at commit {}, and this "
                                "machine has commit {} of it; its end was cut off, or an old copy "
                                "was put in its place",
                                ledger_->place(),
                                theirs.commit.no,
                                mine.commit.no),
                    hint);
    }
    const auto same =
        theirs.commit.no == mine.commit.no ? theirs : ledger_->commit_at(mine.commit.no);
    if (!same || same->chain != mine.chain) {
        throw Error(ErrorCode::corrupt,
                    fmt::format("the ledger in {} was rewritten: its commit {} is not the one that "
                                "this machine has",
                                ledger_->place(),
                                mine.commit.no),
                    hint);
    }
}

/// What one event of the ledger does to the copy.
void SharedStore::take(Store::Impl& copy, const ProvenEvent& proven) const
{
    const auto& event = proven.event;
    const Placed placed{proven.seq, copy.origin_id(event.origin), event, proven.pruned};
    if (proven.pruned) {
        insert_tombstone(copy, placed, proven.hash);
    } else {
        insert_event(copy, placed, proven.body, proven.hash);
    }
    if (event.kind != pruned_kind || event.origin != copy.origin || proven.pruned) {
        derive(copy, placed);
        return;
    }
    const auto& ranges = array_member(event.body, "events");
    if (tombstone_digest(copy.db, ranges).hex() != string_member(event.body, "tombstones")) {
        throw Error(ErrorCode::corrupt, "what it says was pruned is not what the ledger had there");
    }
    const auto seqs = living_in(copy.db, ranges);
    note_pruning(copy.db, proven.seq, string_member(event.body, "before"));
    if (seqs.empty()) {
        derive(copy, placed);
        return;
    }
    lineage::bury(copy, seqs);
    derive_all(copy, nullptr, nullptr);
}

/// The next commits of the ledger into the copy, within the caller's transaction.
CommitRow SharedStore::take_some(Store::Impl& copy, const CommitRow& mine)
{
    const ProofSink sink{[&](const ProvenEvent& proven) {
                             doing([&] { take(copy, proven); },
                                   "taking event {} of the ledger in {}",
                                   proven.seq,
                                   ledger_->place());
                         },
                         [&](const CommitRow& row) { insert_commit(copy.db, row); }};
    return doing([&] { return read_proven(*ledger_, mine, events_at_once, sink); },
                 "following the ledger in {}",
                 ledger_->place());
}

void SharedStore::follow(Store::Impl& copy)
{
    // The copy first: what another process of this machine takes meanwhile is in the ledger.
    auto mine = last_commit(copy.db);
    const auto theirs = ledger_->last_commit();
    check_same_past(copy, mine, theirs);
    if (theirs.commit.last > mine.commit.last + worth_saying) {
        log_.info("{}: {} events are new to this machine",
                  ledger_->place(),
                  theirs.commit.last - mine.commit.last);
    }
    while (mine.commit.no < theirs.commit.no) {
        sqlite::Transaction transaction(copy.db);
        mine = last_commit(copy.db);
        if (mine.commit.no < theirs.commit.no) {
            mine = take_some(copy, mine);
        }
        transaction.commit();
    }
    was_reached();
}

/// The same within the caller's transaction, when nobody else can append.
void SharedStore::follow_locked(Store::Impl& copy)
{
    auto mine = last_commit(copy.db);
    const auto theirs = ledger_->last_commit();
    check_same_past(copy, mine, theirs);
    while (mine.commit.no < theirs.commit.no) {
        mine = take_some(copy, mine);
    }
}

/// What the copy has after `base`, to the server.
void SharedStore::send(Store::Impl& copy, const CommitRow& base)
{
    std::vector<SharedEvent> events;
    const auto last = copy.last_seq();
    for (auto seq = base.commit.last + 1; seq <= last; ++seq) {
        events.push_back(shared_event(copy, seq));
    }
    const auto commits = commits_after(copy.db, base.commit.no);
    ledger_->append(events, commits);
}

/// After a server went away while it committed: looks whether it did. The lock waits for whatever
/// the server is still doing for the connection that broke.
/// throws  remote: it stays away
bool SharedStore::settle(Store::Impl& copy, const CommitRow& last)
{
    const auto end = std::chrono::steady_clock::now() + longest_absence;
    for (;;) {
        try {
            reach(copy);
            ledger_->lock();
            const auto kept = ledger_->commit_at(last.commit.no);
            ledger_->roll_back();
            return kept && kept->chain == last.chain;
        } catch (const Error& error) {
            if (std::chrono::steady_clock::now() > end) {
                unsure_ = true;
                throw Error(ErrorCode::remote,
                            fmt::format("the ledger at {} went away while it recorded events {} to "
                                        "{}, and whether they are there cannot be seen: {}",
                                        printable(postgres::shown(url_)),
                                        last.commit.first,
                                        last.commit.last,
                                        error.one_line()),
                            "when it is back, `stemma log` shows whether they are; events that are "
                            "ingested or pushed again are recorded once");
            }
        }
        std::this_thread::sleep_for(pause_between_tries);
    }
}

SharedStore::Attempt SharedStore::attempt(Store::Impl& copy, const std::function<void()>& work)
{
    reach(copy);
    follow(copy);
    sqlite::Transaction transaction(copy.db);
    ledger_->lock();
    follow_locked(copy);
    const auto base = last_commit(copy.db);
    work();
    const auto last = last_commit(copy.db);
    if (last.commit.no == base.commit.no) {
        ledger_->roll_back(); // nothing new was said
    } else {
        send(copy, base);
        if (ledger_->commit() == Ending::unsure && !settle(copy, last)) {
            return Attempt::again;
        }
    }
    try {
        transaction.commit();
    } catch (const Error& error) {
        // It is recorded; only this machine does not have it yet.
        log_.warning("this machine's copy of the ledger: {}", error.one_line());
    }
    was_reached();
    return Attempt::done;
}

bool SharedStore::is_connected() const noexcept
{
    return ledger_ && !ledger_->is_lost();
}

/// True when trying once more is likely to help, and says nothing twice.
bool SharedStore::is_worth_another_try(const Error& error, const Tries& tries) const
{
    if (unsure_) {
        return false;
    }
    if (is_connected()) {
        return ledger_->may_try_again() && tries.count < most_tries;
    }
    return error.code() == ErrorCode::remote && std::chrono::steady_clock::now() < tries.end;
}

/// attempt(), where what fails only by chance is no error.
SharedStore::Attempt
SharedStore::try_once(Store::Impl& copy, const std::function<void()>& work, const Tries& tries)
{
    try {
        return attempt(copy, work);
    } catch (const Error& error) {
        const bool again = is_worth_another_try(error, tries);
        const bool is_away = !is_connected() && !unsure_ && error.code() == ErrorCode::remote;
        if (is_connected()) {
            ledger_->roll_back();
        }
        if (again) {
            return Attempt::again;
        }
        if (is_away) {
            throw away(error);
        }
        throw;
    }
}

void SharedStore::in_transaction(Store::Impl& copy, const std::function<void()>& work)
{
    unsure_ = false;
    Tries tries{1, std::chrono::steady_clock::now() + longest_absence};
    while (try_once(copy, work, tries) == Attempt::again) {
        if (is_connected() && tries.count++ >= most_tries) {
            throw Error(ErrorCode::conflict,
                        fmt::format("the ledger in {} refused the commit {} times",
                                    ledger_->place(),
                                    most_tries));
        }
        if (!is_connected()) {
            std::this_thread::sleep_for(pause_between_tries);
        }
    }
    out_of_reach_.reset();
}

std::vector<std::string> SharedStore::unsafe_settings()
{
    return is_connected() ? ledger_->unsafe_settings() : std::vector<std::string>();
}

std::vector<std::string> SharedStore::findings(Store::Impl& copy, const Verification& wanted)
{
    const ProofSink sink{[](const ProvenEvent& /*proven*/) {}, [](const CommitRow& /*row*/) {}};
    const auto head = last_commit(copy.db);
    try {
        CommitRow at;
        while (at.commit.no < head.commit.no) {
            if (wanted.cancel != nullptr) {
                wanted.cancel->check();
            }
            reach(copy);
            const auto next = read_proven(*ledger_, at, events_at_once, sink);
            if (next.commit.no == at.commit.no) {
                break;
            }
            at = next;
        }
        check_same_past(copy, head, ledger_->last_commit());
    } catch (const Error& error) {
        if (error.code() != ErrorCode::corrupt) {
            throw;
        }
        return {fmt::format("on the server: {}", error.one_line())};
    }
    return {};
}

} // namespace stemma::lineage
