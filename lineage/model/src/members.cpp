#include "stemma/model/members.hpp"

#include "stemma/core/error.hpp"

#include <set>
#include <utility>

namespace stemma::model {

std::vector<FileIndex> archives_taken_from(const Manifest& manifest)
{
    std::set<std::pair<std::string, std::string>> archives; // repository, path
    for (const auto& step : manifest.steps) {
        for (const auto input : step.inputs) {
            if (input >= manifest.files.size()) {
                throw Error(ErrorCode::corrupt,
                            fmt::format("a step names file {}, which is not there", input));
            }
            const auto& file = manifest.files[input];
            if (const auto open = file.path.rfind('(');
                open != std::string::npos && file.path.back() == ')') {
                archives.emplace(file.repo, file.path.substr(0, open));
            }
        }
    }
    std::vector<FileIndex> found;
    for (FileIndex i = 0; !archives.empty() && i < manifest.files.size(); ++i) {
        if (archives.count({manifest.files[i].repo, manifest.files[i].path}) != 0) {
            found.push_back(i);
        }
    }
    return found;
}

} // namespace stemma::model
