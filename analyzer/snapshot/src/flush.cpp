#include "stemma/core/digest.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/uuid.hpp"
#include "stemma/virt/guest_client.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "quiet.hpp"

namespace stemma::analyzer {

namespace {

using namespace std::chrono_literals;

constexpr auto answer_patience = 3s;
constexpr auto sync_patience = 20s;
constexpr std::string_view agent_port = "org.qemu.guest_agent.0";

/// Never used before for any VM: the random bits of a fresh id.
std::uint64_t new_epoch(const Clock& clock)
{
    const auto bytes = sha256(make_uuid7(clock.now())).bytes;
    std::uint64_t epoch = 0;
    for (std::size_t i = 0; i < sizeof epoch; ++i) {
        epoch = (epoch << 8U) | bytes[i];
    }
    return epoch;
}

bool flush_by_helper(const std::string& path, const Clock& clock, const Cancel& cancel)
{
    virt::GuestClient client(virt::connect_unix(path), new_epoch(clock), &cancel);
    (void)client.hello(answer_patience);
    constexpr auto patience = std::chrono::milliseconds(sync_patience);
    const auto result =
        client.request({.body = {{"op", "exec"},
                                 {"argv", Json::array({"sync"})},
                                 {"timeout_ms", static_cast<std::int64_t>(patience.count())}},
                        .patience = patience + answer_patience});
    return integer_member(result, "exit") == 0;
}

/// The agent answers at once and runs it beside: waited for, within bounds.
bool flush_by_agent(const virt::Domain& domain)
{
    const auto started = parse_json(
        domain.agent_command(
            R"({"execute":"guest-exec","arguments":{"path":"sync","capture-output":false}})", 3s),
        "answer of the guest agent");
    const Json ask = {{"execute", "guest-exec-status"},
                      {"arguments", {{"pid", integer_member(member(started, "return"), "pid")}}}};
    constexpr int most_questions = 200;
    for (int i = 0; i < most_questions; ++i) {
        std::this_thread::sleep_for(50ms);
        const auto answer =
            parse_json(domain.agent_command(ask.dump(), 3s), "answer of the guest agent");
        const auto& status = member(answer, "return");
        if (bool_member(status, "exited")) {
            return integer_member(status, "exitcode") == 0;
        }
    }
    return false;
}

} // namespace

bool flush_guest(const virt::Domain& domain,
                 const virt::DomainDescription& description,
                 const Clock& clock,
                 const Cancel& cancel,
                 Log& log)
{
    const auto channel = [&](std::string_view name) {
        const auto found = std::find_if(description.channels.begin(),
                                        description.channels.end(),
                                        [&](const auto& other) { return other.name == name; });
        return found == description.channels.end() ? nullptr : &*found;
    };
    try {
        const auto* helper = channel(guest::port_name);
        if (helper != nullptr && !helper->path.empty()) {
            return flush_by_helper(helper->path, clock, cancel);
        }
        const auto* agent = channel(agent_port);
        if (agent != nullptr && agent->state == "connected") {
            return flush_by_agent(domain);
        }
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        log.debug("nobody in {} wrote out what it holds: {}", description.name, error.one_line());
    }
    return false;
}

} // namespace stemma::analyzer
