#pragma once

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

/// What a benchmark of the lineage is told: `--NAME NUMBER` pairs.
namespace stemma::bench {

struct Load {
    std::map<std::string, std::uint64_t> numbers; ///< with their defaults
    std::uint64_t operator[](const char* name) const { return numbers.at(name); }

    /// throws  usage: a name that is not there, or what follows it is no number
    void read(int argc, char** argv)
    {
        for (int i = 1; i < argc; i += 2) {
            const std::string_view option = argv[i];
            const auto known = option.starts_with("--")
                                   ? numbers.find(std::string(option.substr(2)))
                                   : numbers.end();
            const auto value = i + 1 < argc ? parse_unsigned(argv[i + 1]) : std::nullopt;
            if (known == numbers.end() || !value) {
                throw Error(ErrorCode::usage, fmt::format("{} NUMBER is not understood", option));
            }
            known->second = *value;
        }
    }
};

} // namespace stemma::bench
