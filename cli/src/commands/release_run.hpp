#pragma once

#include <optional>
#include <string>
#include <vector>

#include "deploy_support.hpp"

/// Carrying out plans for the release commands.
namespace stemma::cli {

struct SavedPlan {
    deployer::ReleaseSources sources;
    deployer::Plan plan;
};
void write_saved_plan(const std::string& path,
                      const deployer::ReleaseSources& sources,
                      const deployer::Plan& plan);
/// nullopt when the file is no plan (then it is a release file).
std::optional<SavedPlan> read_saved_plan(const std::string& path);

void show_plan(Context& context, const deployer::Plan& plan);

/// A release that was applied before, as far as a plan and a verification need it.
deployer::Release release_of(const std::string& name, const deployer::AppliedRelease& applied);

/// throws  not_found: a VM would need an image whose content is nowhere any more
void require_images(const FleetView& view, const deployer::Plan& plan);

struct CarryOut {
    bool dry_run = false;
    bool yes = false;
    bool retires_release = false;
    bool waits_when_paused = false;
    /// Hosts of which a person said that they are down: on record once the plan is accepted.
    std::vector<std::string> fenced{};
};
/// Shows, asks where data would go, applies, rolls back on failure; returns the exit status.
int carry_out(Context& context,
              const FleetView& view,
              const deployer::Release& release,
              const deployer::Plan& plan,
              const CarryOut& options);

/// Brings a release back to what was applied last: starts, makes again and redefines, and retires
/// nothing. A paused or unknown release is left alone.
/// returns  false: some VM could not be brought back
bool repair_release(Context& context, const std::string& name);

} // namespace stemma::cli
