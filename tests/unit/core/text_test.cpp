#include "stemma/core/process.hpp"
#include "stemma/core/text.hpp"

#include <catch2/catch.hpp>

using namespace stemma;

TEST_CASE("splitting keeps empty parts, words do not")
{
    CHECK(split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
    CHECK(split("", ',').size() == 1);
    CHECK(split_words("  a\t b ") == std::vector<std::string_view>{"a", "b"});
    CHECK(split_lines("a\r\nb\n\nc") == std::vector<std::string_view>{"a", "b", "", "c"});
}

TEST_CASE("hexadecimal and base64 go both ways for every byte")
{
    std::string bytes;
    for (int i = 0; i < 256; ++i) {
        bytes += static_cast<char>(i);
        CHECK(from_hex(to_hex(bytes)) == bytes);
        CHECK(from_base64(to_base64(bytes)) == bytes);
    }
    CHECK(to_base64(bytes) + "\n" == run({.argv = {"base64", "-w0"}, .input = bytes}).out + "\n");
    CHECK_FALSE(from_hex("abc"));
    CHECK_FALSE(from_base64("a=bc"));
    CHECK_FALSE(from_base64("abc"));
}

TEST_CASE("UTF-8 is told from what only looks like it")
{
    CHECK(is_utf8("plain, é, 語, 😀"));
    CHECK_FALSE(is_utf8("\xc0\x80"));         // overlong
    CHECK_FALSE(is_utf8("\xed\xa0\x80"));     // surrogate
    CHECK_FALSE(is_utf8("\xf4\x90\x80\x80")); // beyond U+10FFFF
    CHECK_FALSE(is_utf8("\xe8\xaa"));         // cut
    CHECK(printable("a\nb\x1b\xff") == "a\\nb\\x1b\\xff");
    CHECK(display_width("語é") == 3);
}

TEST_CASE("globs match as a shell's do")
{
    CHECK(glob_match("*.cpp", "a.cpp"));
    CHECK(glob_match("host-[0-9]?", "host-42"));
    CHECK_FALSE(glob_match("host-[!0-9]", "host-4"));
    CHECK(glob_match("a\\*b", "a*b"));
    CHECK_FALSE(glob_match("a\\*b", "axb"));
    CHECK(glob_match("[", "["));
    CHECK(glob_match("/etc/**", "/etc/a/b", true));
    CHECK(glob_match("/etc/**/b", "/etc/b", true));
    CHECK(glob_match("/etc/**/b", "/etc/x/y/b", true));
    CHECK_FALSE(glob_match("/etc/*", "/etc/a/b", true));
    CHECK(glob_match("/etc/*/b", "/etc/a/b", true));
    CHECK_FALSE(glob_match("/etc/?", "/etc//", true));
}

TEST_CASE("a hostile glob does not take for ever")
{
    std::string pattern;
    for (int i = 0; i < 200; ++i) {
        pattern += "*a";
    }
    CHECK_FALSE(glob_match(pattern + "b", std::string(5000, 'a')));
}

TEST_CASE("a slip finds its word, nonsense finds none")
{
    const std::vector<std::string> words = {"memory_mib", "vcpus", "image"};
    CHECK(nearest("memroy_mib", words) == "memory_mib");
    CHECK(nearest("imag", words) == "image");
    CHECK_FALSE(nearest("zzzzzz", words));
}

TEST_CASE("a quoted word is one word to a shell")
{
    for (const std::string word : {"plain", "", "a b", "it's", "$(x)", "a\nb", "-"}) {
        CHECK(run({.argv = {"sh", "-c", "printf %s " + shell_quote(word)}}).out == word);
    }
}

TEST_CASE("unsigned numbers are whole or nothing")
{
    CHECK(parse_unsigned("18446744073709551615") == 18446744073709551615ULL);
    CHECK_FALSE(parse_unsigned("18446744073709551616"));
    CHECK_FALSE(parse_unsigned("+1"));
    CHECK_FALSE(parse_unsigned("1 "));
    CHECK_FALSE(parse_unsigned(""));
}

TEST_CASE("path-aware globs agree with Python's own reading of them")
{
    // The same patterns as regular expressions: ** is .*, * is [^/]*, "**/" may be empty.
    const std::vector<std::string> patterns = {
        "/etc/**/*.conf", "**/a", "/a/**", "*/b", "/x/**/y/*/z", "a**b", "/**/c/**/d"};
    const std::vector<std::string> texts = {"/etc/x.conf",
                                            "/etc/a/b/x.conf",
                                            "/etc/a/x.confs",
                                            "a",
                                            "x/a",
                                            "/a",
                                            "/a/b/c",
                                            "a/b",
                                            "/x/y/q/z",
                                            "/x/1/2/y/q/z",
                                            "/x/y/q/r/z",
                                            "ab",
                                            "a/x/b",
                                            "/c/d",
                                            "/p/c/q/d",
                                            "/pc/d"};
    std::string script = R"(
import re, sys
def regex(pattern):
    out, i = '', 0
    while i < len(pattern):
        if pattern.startswith('**/', i) and (i == 0 or pattern[i-1] == '/'): out += '(?:.*/)?'; i += 3
        elif pattern.startswith('**', i): out += '.*'; i += 2
        elif pattern[i] == '*': out += '[^/]*'; i += 1
        else: out += re.escape(pattern[i]); i += 1
    return out
lines = sys.stdin.read().splitlines()
for line in lines:
    pattern, text = line.split(' ')
    print('1' if re.fullmatch(regex(pattern), text) else '0', end='')
)";
    std::string input;
    std::string ours;
    for (const auto& pattern : patterns) {
        for (const auto& text : texts) {
            input += pattern + " " + text + "\n";
            ours += glob_match(pattern, text, true) ? '1' : '0';
        }
    }
    CHECK(run({.argv = {"python3", "-c", script}, .input = input}).out == ours);
}
