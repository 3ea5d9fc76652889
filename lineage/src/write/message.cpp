#include "message.hpp"

#include <algorithm>
#include <array>

namespace stemma::lineage {

namespace {

constexpr std::string_view request_schema = "stemma.write/1";

constexpr std::array codes = {ErrorCode::usage,
                              ErrorCode::config,
                              ErrorCode::not_found,
                              ErrorCode::conflict,
                              ErrorCode::io,
                              ErrorCode::remote,
                              ErrorCode::corrupt,
                              ErrorCode::unsupported,
                              ErrorCode::interrupted};

ErrorCode code_from(const std::string& word)
{
    const auto* const found = std::find_if(
        codes.begin(), codes.end(), [&](ErrorCode code) { return to_string(code) == word; });
    return found == codes.end() ? ErrorCode::remote : *found;
}

model::EventDraft draft_from(const Json& json)
{
    return {
        parse_time(string_member(json, "at")), string_member(json, "kind"), member(json, "body")};
}

} // namespace

std::string request_text(std::span<const model::EventDraft> drafts)
{
    Json list = Json::array();
    for (const auto& draft : drafts) {
        list.push_back({{"at", format_time(draft.at)}, {"body", draft.body}, {"kind", draft.kind}});
    }
    return canonical_json({{"drafts", std::move(list)}, {"schema", request_schema}});
}

std::string request_text(std::span<const model::Event> events)
{
    Json list = Json::array();
    for (const auto& event : events) {
        list.push_back(model::to_json(event));
    }
    return canonical_json({{"events", std::move(list)}, {"schema", request_schema}});
}

WriteRequest request_from(const std::string& text)
{
    const auto json = parse_json(text, "request");
    if (string_member(json, "schema") != request_schema) {
        throw Error(ErrorCode::unsupported, "the writer is of another version");
    }
    if (json.contains("drafts")) {
        Drafts drafts;
        for (const auto& draft : array_member(json, "drafts")) {
            drafts.push_back(draft_from(draft));
        }
        return drafts;
    }
    Events events;
    for (const auto& event : array_member(json, "events")) {
        events.push_back(model::event_from_json(event));
    }
    return events;
}

std::string reply_text(const WriteReply& reply)
{
    if (const auto* result = std::get_if<AppendResult>(&reply)) {
        return canonical_json({{"duplicates", result->duplicates},
                               {"fresh", result->fresh},
                               {"last_seq", result->last_seq}});
    }
    const auto& error = std::get<Error>(reply);
    Json frames = Json::array();
    for (const auto& frame : error.frames()) {
        frames.push_back(json_text(frame));
    }
    return canonical_json({{"code", to_string(error.code())},
                           {"frames", std::move(frames)},
                           {"hint", json_text(error.hint())},
                           {"message", json_text(error.message())}});
}

WriteReply reply_from(const std::string& text)
{
    const auto json = parse_json(text, "reply of the writer");
    if (!json.contains("code")) {
        const auto number = [&](std::string_view key) {
            return static_cast<std::uint64_t>(integer_member(json, key));
        };
        return AppendResult{number("fresh"), number("duplicates"), number("last_seq")};
    }
    Error error(code_from(string_member(json, "code")),
                text_of(member(json, "message"), "message"),
                text_of(member(json, "hint"), "hint"));
    for (const auto& frame : array_member(json, "frames")) {
        error.add_frame(text_of(frame, "frame"));
    }
    return error;
}

} // namespace stemma::lineage
