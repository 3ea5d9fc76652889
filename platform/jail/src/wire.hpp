#pragma once

#include "stemma/core/error.hpp"
#include "stemma/volume/filesystem.hpp"

#include <cstdint>
#include <string>
#include <string_view>

/// Values in messages between a jail and its keeper. Private to this library.
namespace stemma::jail {

/// What a question asks for: the first byte of a message to the jail.
enum class Question : char {
    look = 'l',
    look_through = 't',
    list = 'd',
    read = 'r',
    read_link = 'k',
    attributes = 'x',
    survey = 'a',              ///< all of a folder's entries
    survey_with_digests = 'A', ///< and what their content is
    stop = 's',                ///< no more pieces of what is being given
};

/// What an answer is: the first byte of a message from the jail.
enum class Answer : char {
    piece = 'p', ///< more will come
    last = 'v',
    error = 'e',
    note = 'n', ///< a sentence for Explain
};

/// Writes values one after the other.
class Packer {
public:
    explicit Packer(Question question) : text_(1, static_cast<char>(question)) {}
    explicit Packer(Answer answer) : text_(1, static_cast<char>(answer)) {}

    Packer& number(std::uint64_t value);
    Packer& text(std::string_view value);
    Packer& node(const volume::NodeInfo& info);
    Packer& entry(const volume::NodeSurvey& entry);
    [[nodiscard]] const std::string& message() const noexcept { return text_; }
    [[nodiscard]] std::size_t size() const noexcept { return text_.size(); }

private:
    std::string text_;
};

/// Reads them back. What a jail says is not trusted: every length is checked.
class Unpacker {
public:
    /// message  borrowed; its first byte is skipped
    explicit Unpacker(std::string_view message) : rest_(message.substr(message.empty() ? 0 : 1)) {}

    /// throws  corrupt: the message ends before
    std::uint64_t number();
    std::string text();
    volume::NodeInfo node();
    volume::NodeSurvey entry();
    [[nodiscard]] bool empty() const noexcept { return rest_.empty(); }
    [[nodiscard]] std::string_view rest() const noexcept { return rest_; }

private:
    std::string_view take(std::size_t length);
    std::string_view rest_;
};

std::string pack_error(const Error& error);
Error unpack_error(std::string_view message);

} // namespace stemma::jail
