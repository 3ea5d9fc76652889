#pragma once

#include <string>
#include <string_view>

namespace stemma::postgres {

/// True for "postgresql://…" and "postgres://…".
bool is_address(std::string_view url) noexcept;

/// The address as it may be shown and kept: what may be a password is "***", also where the address
/// is written wrongly.
std::string shown(std::string_view url);

/// Where a connection would go, without who asks and with what password: what names a database.
/// Made from the address, libpq's environment (PGHOST, …) and its service file; no network.
///
/// Like "host=db hostaddr= port=5432 service= dbname=lineage", always in this order.
/// throws  usage: libpq cannot read the address
std::string target(const std::string& url);

} // namespace stemma::postgres
