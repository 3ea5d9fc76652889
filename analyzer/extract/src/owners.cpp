#include "owners.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <algorithm>

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_files = 2'000'000;
constexpr std::string_view list_suffix = ".list";

/// Only what definitions commonly look at; documentation and the like would be most of it.
bool is_of_interest(std::string_view path)
{
    return !path.starts_with("/usr/share/") && !path.starts_with("/usr/include/") &&
           path.size() > 1;
}

/// dpkg's lists still say /bin/ls where the folder is a link to /usr/bin.
std::string merged(std::string_view path)
{
    for (const std::string_view folder : {"/bin/", "/sbin/", "/lib/"}) {
        if (path.starts_with(folder)) {
            return fmt::format("/usr{}", path);
        }
    }
    return std::string(path);
}

} // namespace

void Owners::read_list(const std::string& package, const std::string& text)
{
    for (const auto path : split_lines(text)) {
        if (is_of_interest(path) && owners_.size() < most_files) {
            owners_.try_emplace(merged(path), package);
        }
    }
}

void Owners::read()
{
    const std::string folder = "/var/lib/dpkg/info";
    for (const auto& entry : source_.list(folder, sink_)) {
        if (!entry.name.ends_with(list_suffix)) {
            continue;
        }
        if (source_.late()) {
            sink_.miss("lists of packages after the time was over", entry.name);
            return;
        }
        std::string package = entry.name.substr(0, entry.name.size() - list_suffix.size());
        package.resize(std::min(package.find(':'), package.size())); // "libc6:amd64"
        if (const auto text = source_.text(fmt::format("{}/{}", folder, entry.name), sink_)) {
            read_list(package, *text);
        }
    }
}

const std::string& Owners::owner_of(const std::string& path)
{
    if (!read_) {
        read_ = true;
        read();
    }
    static const std::string nobody;
    auto found = owners_.find(merged(path));
    return found == owners_.end() ? nobody : found->second;
}

} // namespace stemma::analyzer
