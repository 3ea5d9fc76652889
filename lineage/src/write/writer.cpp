#include "stemma/lineage/writer.hpp"

#include "stemma/core/file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <list>

#include "../store/impl.hpp"
#include "message.hpp"
#include "socket.hpp"

namespace stemma::lineage {

namespace {

/// Requests that are committed together at most: the last of a group waits for all of it.
constexpr std::size_t largest_group = 256;
/// Clients at once; more wait until one has gone.
constexpr std::size_t most_clients = 1024;

struct Client {
    Fd fd;
    std::string received;
    bool gone = false;
};

struct Pending {
    Client* client = nullptr;
    std::string text;
    WriteReply reply;
};

/// Reads what has come, without waiting.
void receive(Client& client)
{
    std::array<char, std::size_t{64} << 10U> block; // NOLINT(*-member-init): only what came is read
    for (;;) {
        const auto got = ::recv(client.fd.get(), block.data(), block.size(), MSG_DONTWAIT);
        if (got > 0) {
            client.received.append(block.data(), static_cast<std::size_t>(got));
            continue;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        client.gone = got == 0 || errno != EAGAIN;
        return;
    }
}

/// The next whole message of a client; nullopt: there is none yet.
std::optional<std::string> next_message(Client& client)
{
    const auto length = message_length(client.received);
    if (!length) {
        return std::nullopt;
    }
    if (*length > longest_message) {
        client.gone = true;
        return std::nullopt;
    }
    if (client.received.size() < length_size + *length) {
        return std::nullopt;
    }
    auto text = client.received.substr(length_size, *length);
    client.received.erase(0, length_size + *length);
    return text;
}

mode_t permissions_of(const std::string& path)
{
    struct stat status {};
    constexpr mode_t owner_only = 0600;
    constexpr mode_t read_and_write = 0666;
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & read_and_write : owner_only;
}

} // namespace

struct Writer::Impl {
    Impl(const std::string& store_url, const Clock& clock, Log& the_log)
        : log(the_log),
          store(Store::open(store_url, Store::Mode::write, clock, the_log)),
          place(writer_place(store->impl().db.path())),
          lock(place + "-lock", FileLock::Wait::no)
    {
        store->impl().link.reset(); // it is the writer itself
        std::error_code ignored;
        std::filesystem::remove(place, ignored); // of one that was killed
        listener = listen_at(place, permissions_of(store->impl().db.path()));
    }
    ~Impl()
    {
        std::error_code ignored;
        std::filesystem::remove(place, ignored);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Log& log;
    std::unique_ptr<Store> store;
    std::string place;
    FileLock lock;
    Fd listener;
    std::list<Client> clients;
    Counts counts;

    void wait_for_clients();
    void accept_clients();
    std::vector<Pending> take_requests();
    AppendResult perform(const std::string& text);
    void perform_each(std::span<Pending> group);
    void commit(std::span<Pending> group);
    void commit_each(std::span<Pending> group, const Error& why);
    void answer(std::span<const Pending> group);
};

void Writer::Impl::wait_for_clients()
{
    constexpr int round = 100; // milliseconds until ^C is noticed
    std::vector<pollfd> ready;
    ready.push_back({listener.get(), clients.size() < most_clients ? short{POLLIN} : short{0}, 0});
    for (const auto& client : clients) {
        ready.push_back({client.fd.get(), POLLIN, 0});
    }
    if (::poll(ready.data(), ready.size(), round) <= 0) {
        return;
    }
    std::size_t index = 1;
    for (auto& client : clients) {
        if (ready[index++].revents != 0) {
            receive(client);
        }
    }
    if (ready.front().revents != 0) {
        accept_clients();
    }
}

void Writer::Impl::accept_clients()
{
    while (clients.size() < most_clients) {
        Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) {
            return;
        }
        clients.push_back({std::move(fd), {}, false});
        receive(clients.back());
    }
}

std::vector<Pending> Writer::Impl::take_requests()
{
    std::vector<Pending> group;
    for (auto& client : clients) {
        if (group.size() == largest_group) {
            break;
        }
        if (auto text = next_message(client)) {
            group.push_back({&client, *std::move(text), AppendResult()});
        }
    }
    return group;
}

/// One request, within the transaction of its group; alone taken back when it fails.
AppendResult Writer::Impl::perform(const std::string& text)
{
    auto& impl = store->impl();
    const auto request = request_from(text);
    try {
        sqlite::Savepoint part(impl.db);
        const auto* drafts = std::get_if<Drafts>(&request);
        const auto result =
            drafts != nullptr ? impl.record(*drafts) : impl.append(std::get<Events>(request));
        part.keep();
        return result;
    } catch (const Error&) {
        if (impl.equivocation) {
            impl.record_equivocation();
        }
        throw;
    }
}

/// What one of a group is refused for is its own answer.
void Writer::Impl::perform_each(std::span<Pending> group)
{
    for (auto& pending : group) {
        try {
            pending.reply = perform(pending.text);
        } catch (const Error& error) {
            if (!store->impl().db.in_transaction()) {
                throw; // the whole group is gone, as on a full disk
            }
            pending.reply = error;
        }
    }
}

void Writer::Impl::commit(std::span<Pending> group)
{
    in_transaction(store->impl(), [&] { perform_each(group); });
    ++counts.groups;
}

/// A group that cannot be committed together, because one of it does not fit, is committed one by
/// one: what fits is recorded, and nobody is told of another's failure. A server that cannot be
/// reached is not asked again for each.
void Writer::Impl::commit_each(std::span<Pending> group, const Error& why)
{
    std::optional<Error> out_of_reach;
    if (why.code() == ErrorCode::remote) {
        out_of_reach = why;
    }
    for (auto& pending : group) {
        if (out_of_reach) {
            pending.reply = *out_of_reach;
            continue;
        }
        try {
            commit(std::span(&pending, 1));
        } catch (const Error& error) {
            pending.reply = error;
            if (error.code() == ErrorCode::remote) {
                out_of_reach = error;
            }
        }
    }
}

void Writer::Impl::answer(std::span<const Pending> group)
{
    for (const auto& pending : group) {
        ++counts.requests;
        if (const auto* result = std::get_if<AppendResult>(&pending.reply)) {
            counts.events += result->fresh;
        } else {
            log.debug("refused: {}", std::get<Error>(pending.reply).one_line());
        }
        if (!send_all(pending.client->fd.get(), framed(reply_text(pending.reply)))) {
            pending.client->gone = true;
        }
    }
}

Writer::Writer(const std::string& store_url, const Clock& clock, Log& log)
    : impl_(std::make_unique<Impl>(store_url, clock, log))
{
}

Writer::~Writer() = default;

const std::string& Writer::place() const noexcept
{
    return impl_->place;
}

Writer::Counts Writer::run(const Cancel& cancel)
{
    while (!cancel.requested()) {
        impl_->wait_for_clients();
        for (auto group = impl_->take_requests(); !group.empty(); group = impl_->take_requests()) {
            try {
                impl_->commit(group);
            } catch (const Error& error) {
                impl_->log.warning("{}", error.one_line());
                impl_->commit_each(group, error);
            }
            impl_->answer(group);
        }
        impl_->clients.remove_if([](const Client& client) { return client.gone; });
    }
    return impl_->counts;
}

} // namespace stemma::lineage
