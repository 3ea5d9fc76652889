#include "stemma/virt/guest_client.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>
#include <array>

namespace stemma::virt {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// A frame is small: a guest that does not take one in this time reads nothing at all.
constexpr auto send_patience = 10s;
/// How long a wait lasts before the user's ^C is looked at again.
constexpr auto round = 200ms;

ErrorCode code_from(std::string_view word) noexcept
{
    for (const auto code : {ErrorCode::usage,
                            ErrorCode::not_found,
                            ErrorCode::conflict,
                            ErrorCode::io,
                            ErrorCode::corrupt,
                            ErrorCode::unsupported,
                            ErrorCode::interrupted}) {
        if (to_string(code) == word) {
            return code;
        }
    }
    return ErrorCode::remote;
}

/// The JSON of an `end`; throws what it reports.
Json result_of(const guest::Frame& frame)
{
    auto result = parse_json(frame.payload, "answer of the VM's helper");
    if (!result.is_object()) {
        throw Error(ErrorCode::corrupt, "the VM's helper answered something that is no object");
    }
    if (const auto error = result.find("error"); error != result.end()) {
        throw Error(code_from(string_member(*error, "code")),
                    "in the VM: " + printable(string_member(*error, "message")));
    }
    return result;
}

/// Of no request.
constexpr std::uint32_t probe_number = 0;

/// The answer of a helper that has another epoch, or none yet.
bool is_refused_probe(const guest::Frame& frame)
{
    if (frame.type != guest::FrameType::end || frame.request != probe_number) {
        return false;
    }
    try {
        (void)result_of(frame);
        return false;
    } catch (const Error& error) {
        return error.code() == ErrorCode::conflict;
    }
}

} // namespace

GuestClient::GuestClient(std::unique_ptr<ByteChannel> channel,
                         std::uint64_t epoch,
                         const Cancel* cancel)
    : channel_(std::move(channel)), epoch_(epoch), cancel_(cancel)
{
}

void GuestClient::send(const guest::Frame& frame)
{
    channel_->send(guest::encode(frame), send_patience);
}

std::optional<guest::Frame> GuestClient::try_frame(Deadline deadline)
{
    while (true) {
        while (auto frame = decoder_.next()) {
            if (frame->epoch == epoch_) {
                return frame;
            }
        }
        if (cancel_ != nullptr) {
            cancel_->check();
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
        if (left <= 0ms) {
            return std::nullopt;
        }
        decoder_.feed(channel_->receive(std::min<std::chrono::milliseconds>(left, round)));
    }
}

/// A helper that works drops what is not of its request; one that was started anew refuses it.
guest::Frame GuestClient::next_frame(Deadline deadline, const Request& request)
{
    const auto what = request.body.value("op", std::string());
    while (steady_clock::now() < deadline) {
        if (auto frame = try_frame(std::min(deadline, steady_clock::now() + request.silence))) {
            if (is_refused_probe(*frame)) {
                throw Error(ErrorCode::remote,
                            fmt::format("the VM's helper was started anew and knows nothing of "
                                        "this any more ({}): did the guest reboot?",
                                        what));
            }
            return std::move(*frame);
        }
        if (steady_clock::now() < deadline) {
            send(guest::json_frame(
                guest::FrameType::request, epoch_, probe_number, {{"op", "still there"}}));
        }
    }
    throw Error(ErrorCode::remote,
                fmt::format("the VM's helper did not answer in time ({})", what));
}

Json GuestClient::hello(std::chrono::milliseconds patience)
{
    const auto deadline = steady_clock::now() + patience;
    while (steady_clock::now() < deadline) {
        // Said again now and then: a helper that starts between two hellos has heard none.
        send(guest::json_frame(guest::FrameType::hello, epoch_, 0, Json::object()));
        while (const auto frame = try_frame(std::min(deadline, steady_clock::now() + 1s))) {
            if (frame->type == guest::FrameType::welcome) {
                return result_of(*frame);
            }
        }
    }
    throw Error(ErrorCode::remote,
                "nothing answers on the VM's channel " + std::string(guest::port_name),
                "is stemma-guest installed and started in the image? see docs/guest.md");
}

void GuestClient::push_content(const Request& request)
{
    while (!content_ended_ && credit_ > 0) {
        if (content_.empty()) {
            content_ = request.content();
        }
        if (content_.empty()) {
            content_ended_ = true;
            send(guest::json_frame(guest::FrameType::end, epoch_, number_, Json::object()));
            return;
        }
        const auto piece =
            std::min({content_.size(), guest::max_payload - 1, static_cast<std::size_t>(credit_)});
        send(guest::data_frame(
            epoch_, number_, guest::stream_content, std::string_view(content_).substr(0, piece)));
        content_.erase(0, piece);
        credit_ -= static_cast<std::int64_t>(piece);
    }
}

void GuestClient::take_data(const Request& request, const guest::Frame& frame)
{
    if (frame.payload.empty()) {
        return;
    }
    if (request.sink) {
        request.sink(frame.payload.front(), std::string_view(frame.payload).substr(1));
    }
    consumed_ += static_cast<std::uint32_t>(frame.payload.size() - 1);
    if (consumed_ >= guest::window / 2) {
        send(guest::credit_frame(epoch_, number_, consumed_));
        consumed_ = 0;
    }
}

Json GuestClient::request(const Request& request)
{
    ++number_;
    credit_ = guest::window;
    consumed_ = 0;
    content_.clear();
    content_ended_ = !request.content;
    const auto deadline = steady_clock::now() + request.patience;
    send(guest::json_frame(guest::FrameType::request, epoch_, number_, request.body));
    while (true) {
        push_content(request);
        const auto frame = next_frame(deadline, request);
        if (frame.request != number_) {
            continue; // the end of an earlier request that was given up
        }
        switch (frame.type) {
        case guest::FrameType::data:
            take_data(request, frame);
            break;
        case guest::FrameType::credit:
            credit_ = std::min<std::int64_t>(credit_ + guest::credit_of(frame), guest::window);
            break;
        case guest::FrameType::end:
            return result_of(frame);
        default:
            break;
        }
    }
}

} // namespace stemma::virt
