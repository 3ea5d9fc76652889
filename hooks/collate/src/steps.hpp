#pragma once

#include "stemma/hooks/tools.hpp"
#include "stemma/model/manifest.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "recorded.hpp"

namespace stemma::hooks {

/// A step before its files have their final numbers.
struct DraftStep {
    model::StepKind kind = model::StepKind::other;
    Role role = Role::other;
    int weight = 0; ///< how well `argv` names it
    std::optional<SeenIndex> tool;
    std::vector<std::string> argv;
    std::string cwd;
    std::string target;
    std::string target_type;
    int exit = 0;
    std::uint64_t started = 0; ///< of the process that names the step
    std::uint64_t ended = 0;
    std::set<SeenIndex> inputs; ///< without the tool and what the step itself wrote
    std::set<SeenIndex> outputs;
    std::map<SeenIndex, Extraction> extractions; ///< of archives that nothing else in it read
    std::map<SeenIndex, std::string> unsettled;  ///< archives that count whole, and why
    bool copies_member = false;                  ///< one member of an archive is its output
    bool copies_own = false;                     ///< a scheduler's, of what it wrote itself
};

/// Groups processes into steps: a tool with all it starts; what a launcher tagged; the members of a
/// pipeline; a process whose output a shell took in. Steps without outputs are left out.
std::vector<DraftStep> make_steps(const Recorded& recorded);

/// Keeps the steps that matter: for each path the newest step that wrote it, if the file is still
/// there with that content; and, backwards from these, the steps that made their inputs. What a
/// build tool wrote for itself (Makefiles, logs) matters where another step read it.
///
/// is_current(file)  the file is there now and unchanged
std::vector<DraftStep> keep_what_matters(std::vector<DraftStep> steps,
                                         const Recorded& recorded,
                                         const std::vector<bool>& is_current);

/// True for what a build system compiles to get to know the compiler, and leaves behind: no
/// artifact.
bool is_probe(std::string_view path);

} // namespace stemma::hooks
