#include "accounts.hpp"

#include "stemma/core/text.hpp"

namespace stemma::image {

namespace {

/// "name:password:number:…"
std::map<std::string, std::uint32_t> read_numbers(volume::Filesystem& tree, const std::string& path)
{
    constexpr std::uint64_t most = std::uint64_t{16} << 20U;
    std::map<std::string, std::uint32_t> numbers;
    const auto info = tree.look_through(path);
    if (!info || info->kind != volume::NodeKind::file) {
        return numbers;
    }
    const auto text = tree.read_all(path, most);
    for (const std::string_view line : split_lines(text)) {
        const auto fields = split(line, ':');
        const auto number = fields.size() > 2 ? parse_unsigned(fields[2]) : std::nullopt;
        if (number && *number <= UINT32_MAX) {
            numbers.emplace(fields[0], static_cast<std::uint32_t>(*number));
        }
    }
    return numbers;
}

std::uint32_t number_of(const std::map<std::string, std::uint32_t>& known,
                        const std::string& name,
                        std::uint64_t fallback)
{
    const auto found = known.find(name);
    return found == known.end() ? static_cast<std::uint32_t>(fallback) : found->second;
}

} // namespace

Accounts Accounts::load(volume::Filesystem& tree)
{
    Accounts accounts;
    accounts.users_ = read_numbers(tree, "/etc/passwd");
    accounts.groups_ = read_numbers(tree, "/etc/group");
    return accounts;
}

std::uint32_t Accounts::user(const std::string& name, std::uint64_t fallback) const
{
    return number_of(users_, name, fallback);
}

std::uint32_t Accounts::group(const std::string& name, std::uint64_t fallback) const
{
    return number_of(groups_, name, fallback);
}

} // namespace stemma::image
