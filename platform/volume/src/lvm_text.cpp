#include "lvm_text.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <cctype>

namespace stemma::volume {

namespace {

class Parser {
public:
    explicit Parser(std::string_view text) : text_(text) {}

    void section(LvmSection& into, int depth)
    {
        for (;;) {
            skip_blank();
            if (at_ == text_.size() || text_[at_] == '}') {
                return;
            }
            const std::string name = word();
            skip_blank();
            if (take('{')) {
                if (depth >= 8) {
                    refuse("it is nested too deep");
                }
                auto& inner = into.sections[name];
                inner = std::make_unique<LvmSection>();
                section(*inner, depth + 1);
                expect('}');
            } else {
                expect('=');
                skip_blank();
                into.values[name] = values();
            }
        }
    }

    void expect_end()
    {
        if (at_ != text_.size()) {
            refuse("a bracket too many");
        }
    }

private:
    [[noreturn]] static void refuse(std::string_view why)
    {
        throw Error(ErrorCode::corrupt, fmt::format("LVM's metadata is damaged: {}", why));
    }

    void skip_blank()
    {
        while (at_ < text_.size()) {
            if (text_[at_] == '#') {
                at_ = std::min(text_.find('\n', at_), text_.size());
            } else if (std::isspace(static_cast<unsigned char>(text_[at_])) != 0) {
                ++at_;
            } else {
                return;
            }
        }
    }

    bool take(char wanted)
    {
        if (at_ < text_.size() && text_[at_] == wanted) {
            ++at_;
            return true;
        }
        return false;
    }

    void expect(char wanted)
    {
        if (!take(wanted)) {
            refuse(fmt::format("'{}' is missing", wanted));
        }
    }

    std::string word()
    {
        const std::size_t from = at_;
        while (at_ < text_.size() &&
               (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                std::string_view("_-+.").find(text_[at_]) != std::string_view::npos)) {
            ++at_;
        }
        if (at_ == from) {
            refuse("a name is missing");
        }
        return std::string(text_.substr(from, at_ - from));
    }

    std::string value()
    {
        if (!take('"')) {
            return word();
        }
        std::string result;
        while (at_ < text_.size() && text_[at_] != '"') {
            at_ += text_[at_] == '\\' && at_ + 1 < text_.size() ? 1U : 0U;
            result.push_back(text_[at_++]);
        }
        expect('"');
        return result;
    }

    std::vector<std::string> values()
    {
        if (!take('[')) {
            return {value()};
        }
        std::vector<std::string> all;
        skip_blank();
        while (!take(']')) {
            all.push_back(value());
            skip_blank();
            take(',');
            skip_blank();
        }
        return all;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

} // namespace

std::string LvmSection::text(const std::string& name) const
{
    const auto found = values.find(name);
    return found == values.end() || found->second.empty() ? "" : found->second.front();
}

std::uint64_t LvmSection::number(const std::string& name) const
{
    return parse_unsigned(text(name)).value_or(0);
}

const LvmSection* LvmSection::section(const std::string& name) const
{
    const auto found = sections.find(name);
    return found == sections.end() ? nullptr : found->second.get();
}

LvmSection parse_lvm_text(std::string_view text)
{
    LvmSection all;
    Parser parser(text);
    parser.section(all, 0);
    parser.expect_end();
    return all;
}

} // namespace stemma::volume
