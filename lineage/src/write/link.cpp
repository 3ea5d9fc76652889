#include "link.hpp"

#include "socket.hpp"

namespace stemma::lineage {

WriterLink::WriterLink(const std::string& store_path) : place_(writer_place(store_path)) {}

bool WriterLink::listens()
{
    if (!fd_) {
        fd_ = connect_to(place_);
    }
    return static_cast<bool>(fd_);
}

WriterLink::Sent WriterLink::send(const std::string& request)
{
    if (request.size() > longest_message) {
        return {};
    }
    if (!listens()) {
        return {};
    }
    const bool sent = send_all(fd_.get(), framed(request));
    const auto reply = sent ? receive_message(fd_.get()) : std::nullopt;
    if (!reply) {
        fd_.reset();
        return {std::nullopt, true};
    }
    auto answer = reply_from(*reply);
    if (auto* error = std::get_if<Error>(&answer)) {
        if (error->code() == ErrorCode::unsupported) {
            return {}; // a writer of another version: past it, then
        }
        throw std::move(*error);
    }
    return {std::get<AppendResult>(answer), false};
}

} // namespace stemma::lineage
