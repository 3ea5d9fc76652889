#pragma once

#include "stemma/core/error.hpp"
#include "stemma/lineage/store.hpp"

#include <span>
#include <string>
#include <variant>
#include <vector>

/// What a client and the writer of a store say to each other, as JSON.
///
///     {"drafts":[{"at","body","kind"}],"schema":"stemma.write/1"}
///     {"events":[stemma.event/1],"schema":"stemma.write/1"}
///     {"duplicates","fresh","last_seq"}                           it is recorded, and durable
///     {"code","frames","hint","message"}                          it is refused; nothing was kept
namespace stemma::lineage {

using Drafts = std::vector<model::EventDraft>;
using Events = std::vector<model::Event>;
using WriteRequest = std::variant<Drafts, Events>;
using WriteReply = std::variant<AppendResult, Error>;

std::string request_text(std::span<const model::EventDraft> drafts);
std::string request_text(std::span<const model::Event> events);
/// throws  corrupt, unsupported
WriteRequest request_from(const std::string& text);

std::string reply_text(const WriteReply& reply);
/// throws  corrupt
WriteReply reply_from(const std::string& text);

} // namespace stemma::lineage
