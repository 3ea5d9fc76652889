# Turns a text file into a source with one string: cmake -DIN=… -DOUT=… -P embed.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
string(REGEX REPLACE "(('....',)('....',)('....',)('....',)('....',)('....',)('....',)('....',))" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "// Made from page/index.html.
#include <string_view>

namespace stemma::server {

namespace {
constexpr char bytes[] = {
${bytes}
};
} // namespace

std::string_view page_text() noexcept
{
    return {bytes, sizeof bytes};
}

} // namespace stemma::server
")
