#pragma once

#include <string>
#include <string_view>

namespace stemma::analyzer {

/// A path with what names one of many replaced by "*": "/home/rita/.ssh" is "/home/*/.ssh",
/// "/etc/cron.d/backup" is "/etc/cron.d/*".
std::string general_path_of(std::string_view path);

/// True where the files of one folder are of one type, so that they can be compared with each
/// other: sites, homes, drop-ins of one program; not units, scripts or defaults of different
/// programs.
bool are_alike(std::string_view general_path);

/// A key with the identities of its records taken out: "server[shop:443]/root" is "server[]/root".
std::string general_key(std::string_view key);

/// The name by which a record of many calls itself in its values: "shop" of the site
/// "shop.example.com". Empty when it is too short to mean anything.
std::string instance_name(std::string_view path, std::string_view identity);

/// The value with that name taken out.
std::string without_self(std::string_view value, std::string_view self);

} // namespace stemma::analyzer
