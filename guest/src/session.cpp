#include "session.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <array>

namespace stemma::guest {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view helper_version = "0.1.0";
constexpr std::array<std::string_view, 7> operations = {
    "ping", "info", "sha256", "exec", "read", "write", "tcp"};
/// The host's content that is held before the operation takes it; credit keeps it within a window.
constexpr std::size_t max_arrived = 2 * std::size_t{window};

Json welcome()
{
    return {{"protocol", protocol_version},
            {"helper", helper_version},
            {"boot_id", boot_id()},
            {"operations", operations}};
}

Json run_operation(const Json& request, Exchange& exchange)
{
    const auto op = string_member(request, "op");
    if (op == "ping") {
        return Json::object();
    }
    if (op == "info") {
        return describe_system();
    }
    if (op == "sha256") {
        return digest_of_file(request);
    }
    if (op == "exec") {
        return run_program(request, exchange);
    }
    if (op == "read") {
        return send_file(request, exchange);
    }
    if (op == "write") {
        return receive_file(request, exchange);
    }
    if (op == "tcp") {
        return probe_tcp(request, exchange);
    }
    throw Error(ErrorCode::unsupported, fmt::format("this helper cannot do \"{}\"", op));
}

Json failure(const Error& error)
{
    return {{"error", {{"code", to_string(error.code())}, {"message", error.one_line()}}}};
}

void answer(Port& port, const Frame& frame)
{
    Exchange exchange(port, frame.epoch, frame.request);
    Json result;
    try {
        result = run_operation(parse_json(frame.payload, "request"), exchange);
    } catch (const Abandoned&) {
        throw; // nobody is there to be answered
    } catch (const Error& error) {
        result = failure(error);
    } catch (const std::exception& error) {
        result = failure(Error(ErrorCode::io, error.what()));
    }
    exchange.end(result);
}

} // namespace

void Exchange::handle(const Frame& frame)
{
    if (frame.type == FrameType::hello || frame.epoch != epoch_) {
        port_.unread(frame);
        throw Abandoned{};
    }
    if (frame.request != request_) {
        return; // the rest of an earlier request
    }
    switch (frame.type) {
    case FrameType::credit:
        credit_ = std::min<std::int64_t>(credit_ + credit_of(frame), window);
        break;
    case FrameType::cancel:
        throw Error(ErrorCode::interrupted, "cancelled by the host");
    case FrameType::data:
        if (arrived_.size() + frame.payload.size() > max_arrived) {
            throw Error(ErrorCode::corrupt, "the host sends more than it has credit for");
        }
        arrived_ += std::string_view(frame.payload).substr(frame.payload.empty() ? 0 : 1);
        break;
    case FrameType::end:
        whole_ = true;
        break;
    case FrameType::hello:
    case FrameType::welcome:
    case FrameType::request:
        break;
    }
}

void Exchange::attend(std::chrono::milliseconds patience)
{
    if (const auto frame = port_.receive(patience)) {
        handle(*frame);
    }
}

void Exchange::send(char stream, std::string_view bytes)
{
    while (!bytes.empty()) {
        while (credit_ <= 0) {
            attend(1s);
        }
        const auto piece =
            std::min({bytes.size(), max_payload - 1, static_cast<std::size_t>(credit_)});
        port_.send(data_frame(epoch_, request_, stream, bytes.substr(0, piece)));
        credit_ -= static_cast<std::int64_t>(piece);
        bytes.remove_prefix(piece);
    }
}

std::optional<std::string> Exchange::receive()
{
    while (arrived_.empty()) {
        if (whole_) {
            return std::nullopt;
        }
        attend(1s);
    }
    std::string piece;
    piece.swap(arrived_);
    consumed_ += static_cast<std::uint32_t>(piece.size());
    if (consumed_ >= window / 2) {
        port_.send(credit_frame(epoch_, request_, consumed_));
        consumed_ = 0;
    }
    return piece;
}

void Exchange::end(const Json& result)
{
    port_.send(json_frame(FrameType::end, epoch_, request_, result));
}

namespace {

/// epoch  of the last hello; a new one begins it anew
void serve_frame(Port& port, const Frame& frame, std::optional<std::uint64_t>& epoch)
{
    if (frame.type == FrameType::hello) {
        epoch = frame.epoch;
        port.send(json_frame(FrameType::welcome, frame.epoch, 0, welcome()));
    } else if (frame.type == FrameType::request && frame.epoch == epoch) {
        answer(port, frame);
    } else if (frame.type == FrameType::request) {
        Exchange(port, frame.epoch, frame.request)
            .end(failure(Error(ErrorCode::conflict, "request of an earlier epoch")));
    }
}

} // namespace

void serve(Port& port)
{
    std::optional<std::uint64_t> epoch;
    while (true) {
        try {
            if (const auto frame = port.receive(1h)) {
                serve_frame(port, *frame, epoch);
            }
        } catch (const Abandoned&) {
            if (!port.has_pending() && port.ended()) {
                return;
            }
        }
    }
}

} // namespace stemma::guest
