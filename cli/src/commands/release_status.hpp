#pragma once

#include "stemma/cli/command.hpp"

#include <string>

namespace stemma::cli {

/// The release's name: the word itself, or what the file of that name says.
std::string release_name(const std::string& word);

/// The last word of `release pause` and `release resume`.
bool is_paused(Context& context, const std::string& release);
/// throws  conflict: it is paused
void refuse_paused(Context& context, const std::string& release);

Command release_status_command();
Command release_pause_command();
/// In release_unlock.cpp.
Command release_unlock_command();
Command release_resume_command();
Command release_check_command();

} // namespace stemma::cli
