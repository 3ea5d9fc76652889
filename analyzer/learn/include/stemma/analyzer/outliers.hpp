#pragma once

#include "stemma/analyzer/matrix.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace stemma::analyzer {

struct Outlier {
    std::size_t vm = 0; ///< row of the matrix
    double score = 0;   ///< 0..1; about 0.5 where nothing stands out, near 1 for what does
    struct Reason {
        std::string feature;
        std::string value;     ///< empty with `absent`
        bool absent = false;   ///< the VM lacks it
        std::size_t alike = 0; ///< other VMs that have the same
    };
    std::vector<Reason> reasons; ///< what set it apart most often; at most 3
};

/// Which VMs are told from the others by few questions: an isolation forest (Liu, Ting and Zhou,
/// 2008) whose questions are "has this column this value?".
///
/// seed     the same seed gives the same answer
/// returns  all VMs, the most conspicuous first
/// throws   usage: fewer than three VMs
std::vector<Outlier> find_outliers(const Matrix& matrix, std::uint64_t seed = 1);

} // namespace stemma::analyzer
