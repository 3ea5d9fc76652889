#include "sink.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

#include "dialect.hpp"

namespace stemma::analyzer::settings {

namespace {

constexpr std::size_t max_depth = 32;

bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n' || byte == '\f' ||
           byte == '\v';
}

/// Keeps a text within `most` bytes; what is cut away is represented by its digest.
std::string within(std::string text, std::size_t most)
{
    if (text.size() <= most) {
        return text;
    }
    const std::string digest = sha256(text).hex().substr(0, 16);
    text.resize(most - 24);
    return text + "…#" + digest;
}

std::string folded(std::string_view text, const Dialect& dialect)
{
    std::string name = dialect.fold_case ? to_lower(text) : std::string(text);
    if (dialect.fold_dash) {
        std::replace(name.begin(), name.end(), '_', '-');
    }
    return name;
}

} // namespace

std::string tidy_value(std::string_view text)
{
    text = trim(text);
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
        text.back() == text.front() &&
        text.substr(1, text.size() - 2).find(text.front()) == std::string_view::npos) {
        text = trim(text.substr(1, text.size() - 2));
    }
    std::string value;
    value.reserve(text.size());
    for (const char byte : text) {
        if (!is_blank(byte)) {
            value.push_back(byte);
        } else if (value.empty() || value.back() != ' ') {
            value.push_back(' ');
        }
    }
    return value;
}

void Sink::enter(std::string segment, std::size_t line)
{
    records_.push_back({prefix_.size(), line, out_.settings.size()});
    if (records_.size() <= max_depth) {
        prefix_ += within(std::move(segment), 128);
        prefix_ += '/';
    }
}

void Sink::open(std::string_view name, std::string_view identity, std::size_t line)
{
    std::string segment = folded(name, dialect_);
    if (!identity.empty()) {
        segment += "[" + tidy_value(identity) + "]";
    }
    const std::uint32_t count = ++opened_[prefix_ + segment];
    if (count > 1) {
        segment += "[" + std::to_string(count) + "]";
    }
    enter(std::move(segment), line);
}

void Sink::reopen(std::string_view name, std::string_view identity, std::size_t line)
{
    std::string segment = folded(name, dialect_);
    if (!identity.empty()) {
        segment += "[" + tidy_value(identity) + "]";
    }
    enter(std::move(segment), line);
}

void Sink::close()
{
    if (records_.empty()) {
        return;
    }
    const Record record = records_.back();
    if (record.line != 0) {
        if (record.before == out_.settings.size()) {
            empty_.emplace(prefix_, record.line);
        } else {
            filled_.insert(prefix_);
        }
    }
    prefix_.resize(record.outer);
    records_.pop_back();
}

void Sink::close_all()
{
    while (!records_.empty()) {
        close();
    }
}

void Sink::finish()
{
    close_all();
    for (const auto& [prefix, line] : empty_) {
        if (!out_.cut && !filled_.contains(prefix)) {
            add(prefix + std::string(empty_record), element_value, line);
        }
    }
}

std::string Sink::key_of(std::string_view name) const
{
    return prefix_ + folded(name, dialect_);
}

void Sink::put(std::string_view name, std::string_view value, std::size_t line)
{
    put_as(dialect_.shape_of(name), name, value, line);
}

void Sink::put_as(Shape shape, std::string_view name, std::string_view value, std::size_t line)
{
    if (out_.cut) {
        return;
    }
    std::string key = key_of(name);
    switch (shape) {
    case Shape::words:
        add_words(key, value, false, line);
        return;
    case Shape::commas:
        add_words(key, value, true, line);
        return;
    case Shape::many:
        add_element(key, tidy_value(value), line);
        return;
    case Shape::plain:
        add_plain(std::move(key), value, line);
        return;
    case Shape::first:
    case Shape::single:
        break;
    }
    const auto found = seen_.find(key);
    if (found == seen_.end()) {
        add(std::move(key), tidy_value(value), line);
    } else if (shape == Shape::single) {
        Setting& earlier = out_.settings[found->second.index];
        earlier.value = within(tidy_value(value), max_setting_value);
        earlier.line = static_cast<std::uint32_t>(line);
    }
}

void Sink::add_plain(std::string key, std::string_view value, std::size_t line)
{
    const auto found = seen_.find(key);
    if (found == seen_.end()) {
        add(std::move(key), tidy_value(value), line);
        return;
    }
    if (!found->second.is_set) {
        found->second.is_set = true;
        Setting& first = out_.settings[found->second.index];
        first.key = within(key + std::string(element_mark) + first.value, max_setting_key);
        first.value = element_value;
        seen_.emplace(first.key, Seen{found->second.index, false});
    }
    add_element(key, tidy_value(value), line);
}

void Sink::add_words(const std::string& list, std::string_view value, bool commas, std::size_t line)
{
    std::string text = tidy_value(value);
    if (commas) {
        std::replace(text.begin(), text.end(), ',', ' ');
    }
    for (const std::string_view word : split_words(text)) {
        add_element(list, word, line);
    }
}

void Sink::add_element(std::string_view list_key, std::string_view text, std::size_t line)
{
    std::string key;
    key.append(list_key).append(element_mark).append(text);
    key = within(std::move(key), max_setting_key);
    if (!seen_.contains(key)) {
        add(std::move(key), element_value, line);
    }
}

void Sink::element(std::string_view list, std::string_view text, std::size_t line)
{
    if (!out_.cut) {
        add_element(key_of(list), tidy_value(text), line);
    }
}

void Sink::error(std::string_view text, std::size_t line)
{
    ++out_.errors;
    if (!out_.cut) {
        add_element(error_list, within(tidy_value(text), 200), line);
    }
}

void Sink::add(std::string key, std::string_view value, std::size_t line)
{
    if (out_.settings.size() >= max_settings_per_file) {
        out_.cut = true;
        return;
    }
    key = within(std::move(key), max_setting_key);
    seen_.emplace(key, Seen{out_.settings.size(), false});
    out_.settings.push_back({std::move(key),
                             within(std::string(value), max_setting_value),
                             static_cast<std::uint32_t>(line)});
}

} // namespace stemma::analyzer::settings
