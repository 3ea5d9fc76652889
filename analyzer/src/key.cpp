#include "stemma/analyzer/key.hpp"

#include <algorithm>

namespace stemma::analyzer {

std::vector<std::string_view> key_segments(std::string_view key)
{
    std::vector<std::string_view> segments;
    const std::size_t end = std::min(key.find(element_mark), key.size());
    std::size_t begin = 0;
    std::size_t depth = 0;
    for (std::size_t i = 0; i < end; ++i) {
        if (key[i] == '[') {
            ++depth;
        } else if (key[i] == ']' && depth > 0) {
            --depth;
        } else if (key[i] == '/' && depth == 0) {
            segments.push_back(key.substr(begin, i - begin));
            begin = i + 1;
        }
    }
    segments.push_back(key.substr(begin));
    return segments;
}

} // namespace stemma::analyzer
