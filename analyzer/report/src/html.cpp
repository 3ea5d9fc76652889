#include "stemma/analyzer/report.hpp"

namespace stemma::analyzer {

std::string ranking_html(const ReportInput& /*input*/)
{
    return {};
}

} // namespace stemma::analyzer
