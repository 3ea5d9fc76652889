#pragma once

#include "stemma/cli/command.hpp"
#include "stemma/sodium/signing.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace stemma::cli {

/// The secret key in the file that an option names; warns when others may read it.
std::optional<sodium::SecretKey>
secret_key_option(Context& context, const Args& args, std::string_view option);

/// The public keys in the files that an option names.
std::vector<sodium::PublicKey> public_keys_option(const Args& args, std::string_view option);

std::vector<Command> attestation_commands(); ///< verify-attestation, key …

} // namespace stemma::cli
