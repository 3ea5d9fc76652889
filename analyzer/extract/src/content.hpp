#pragma once

#include "stemma/analyzer/extract.hpp"

#include "sink.hpp"

namespace stemma::analyzer {

/// Files and settings in one walk, each file's content read once.
void extract_content(Source& source, const SettingsParser& parser, Sink& files, Sink& settings);

} // namespace stemma::analyzer
