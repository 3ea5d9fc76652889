#include "sink.hpp"

#include "stemma/analyzer/key.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t longest_text = std::size_t{1} << 16U;
constexpr std::uint64_t largest_text_file = 64ULL << 20U;
constexpr std::size_t most_kinds_of_misses = 16;

std::string name_or_number(const std::map<std::uint32_t, std::string>& names, std::uint32_t id)
{
    const auto found = names.find(id);
    return found == names.end() ? std::to_string(id) : found->second;
}

/// Too long a text of a hostile tree is cut, never passed on.
bool cut(std::string& text)
{
    if (text.size() <= longest_text) {
        return false;
    }
    text.resize(longest_text);
    return true;
}

} // namespace

void Sink::add(Feature feature)
{
    if (full()) {
        miss("features beyond the budget", feature.name());
        return;
    }
    bool any_cut = false;
    for (auto* text : {&feature.identity, &feature.attribute, &feature.value, &feature.file}) {
        any_cut = cut(*text) || any_cut;
    }
    if (any_cut) {
        miss("texts cut at 64 KiB", feature.file);
    }
    ++count_;
    features_.push_back(std::move(feature));
}

void Sink::miss(const std::string& what, std::string_view example)
{
    auto found = misses_.find(what);
    if (found == misses_.end()) {
        if (misses_.size() >= most_kinds_of_misses) {
            return;
        }
        found = misses_.emplace(what, Miss{0, printable(example.substr(0, 200))}).first;
    }
    ++found->second.count;
}

ExtractorReport Sink::report() const
{
    ExtractorReport report{extractor_, Status::complete, {}, count_};
    if (!unsupported_.empty()) {
        report.status = Status::unsupported;
        report.reason = unsupported_;
        return report;
    }
    for (const auto& [what, miss] : misses_) {
        report.status = Status::partial;
        report.reason += report.reason.empty() ? "" : "; ";
        report.reason += fmt::format("{} {}, first {}", miss.count, what, miss.example);
    }
    return report;
}

std::string Accounts::user(std::uint32_t id) const
{
    return name_or_number(users, id);
}

std::string Accounts::group(std::uint32_t id) const
{
    return name_or_number(groups, id);
}

std::optional<std::string> Source::text(const std::string& path, Sink& sink) const
{
    try {
        const auto info = tree.look_through(path);
        if (!info || info->kind != volume::NodeKind::file) {
            return std::nullopt;
        }
        return tree.read_all(path, largest_text_file);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        sink.miss(error.code() == ErrorCode::unsupported ? "files too large" : "files unreadable",
                  fmt::format("{} ({})", path, error.message()));
        return std::nullopt;
    }
}

std::vector<volume::FolderEntry> Source::list(const std::string& path, Sink& sink) const
{
    try {
        const auto info = tree.look_through(path);
        if (!info || info->kind != volume::NodeKind::directory) {
            return {};
        }
        return tree.list(path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        sink.miss("folders unreadable", fmt::format("{} ({})", path, error.message()));
        return {};
    }
}

std::string Source::link(const std::string& path, Sink& sink) const
{
    try {
        const auto info = tree.look(path);
        if (!info || info->kind != volume::NodeKind::symlink) {
            return {};
        }
        return tree.read_link(path);
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        sink.miss("links unreadable", fmt::format("{} ({})", path, error.message()));
        return {};
    }
}

bool Source::exists(const std::string& path) const
{
    try {
        return tree.look_through(path).has_value();
    } catch (const Error& error) {
        if (error.code() == ErrorCode::interrupted) {
            throw;
        }
        return false;
    }
}

bool Source::late() const
{
    cancel.check();
    return clock.now() > deadline;
}

Feature plain_feature(std::string_view kind,
                      std::string_view identity,
                      std::string_view attribute,
                      std::string_view value)
{
    Feature feature;
    feature.kind = kind;
    feature.type = kind;
    feature.identity = identity;
    feature.attribute = attribute;
    feature.value = value;
    return feature;
}

void Adder::operator()(std::string_view identity,
                       std::string_view attribute,
                       std::string_view value,
                       ValueType type) const
{
    auto feature = plain_feature(kind, identity, attribute, value);
    feature.value_type = type;
    feature.file = file;
    feature.line = line;
    sink.add(std::move(feature));
}

void Adder::element(std::string_view identity,
                    std::string_view list,
                    std::string_view element) const
{
    std::string attribute(list);
    attribute.append(element_mark).append(element);
    (*this)(identity, attribute, "present", ValueType::present);
}

void Adder::damage(std::string_view identity, std::string_view text) const
{
    (*this)(identity, "damage", text, ValueType::damage);
}

} // namespace stemma::analyzer
