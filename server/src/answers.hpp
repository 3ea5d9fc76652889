#pragma once

#include "stemma/core/json.hpp"
#include "stemma/http/server.hpp"
#include "stemma/lineage/store.hpp"

#include <map>
#include <string>

namespace stemma::server {

/// The parameters of one question, all looked at before it is asked.
class Parameters {
public:
    /// throws  usage: one that `allowed` does not have, one twice, all together over 64 KiB
    Parameters(const http::Request& request, std::span<const std::string_view> allowed);

    [[nodiscard]] std::optional<std::string> value(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> values(std::string_view name) const;
    /// throws  usage: missing
    [[nodiscard]] std::string needed(std::string_view name) const;
    [[nodiscard]] std::optional<std::uint64_t> number(std::string_view name,
                                                      std::uint64_t high) const;

private:
    const std::multimap<std::string, std::string>& query_;
};

using Answerer = Json (*)(lineage::Store& store, const http::Request& request, Time now);

/// By the last part of the path: "where", "what", …; nullptr for none.
Answerer answerer_of(std::string_view name);

} // namespace stemma::server
