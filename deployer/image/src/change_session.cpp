#include "change_session.hpp"

#include <algorithm>

#include "chroot.hpp"

namespace stemma::image {

namespace fs = std::filesystem;

lineage::ImageInfo recorded_base(World& world, const Selected& base)
{
    if (base.recorded && fs::weakly_canonical(base.recorded->path).parent_path() ==
                             fs::weakly_canonical(world.folder)) {
        return *base.recorded;
    }
    const auto name = base.recorded ? base.recorded->name : base.path.stem().string();
    const Change imported = import_image(world, name, base);
    world.log.info("imported {} as image:{} ({:.12})", base.shown, name, imported.image.digest);
    return imported.image;
}

ChangeSession::ChangeSession(World& world,
                             const lineage::ImageInfo& base,
                             std::optional<Time> newest_input)
    : world_(world),
      name_(base.name),
      transaction_(
          world.folder,
          base.path,
          volume::container_format_from(base.format).value_or(volume::ContainerFormat::qcow2),
          world.log),
      root_(disk::root_partition(transaction_.disk(), std::nullopt))
{
    region_.emplace(transaction_.disk(), volume::pieces_of(root_), name_);
    now_ = world.epoch ? *world.epoch
                       : std::max(ext::last_written(*region_), newest_input.value_or(Time{}));
    editor_.emplace(*region_, now_);
}

void ChangeSession::open_editor()
{
    region_.emplace(transaction_.disk(), volume::pieces_of(root_), name_);
    ext::check(*region_, world_.folder.string());
    editor_.emplace(*region_, now_);
}

ApplianceResult ChangeSession::run_in_vm(const std::string& script,
                                         const std::map<std::string, fs::path>& files)
{
    const auto kernel = find_appliance_kernel(world_.cache, world_.cancel, world_.log);
    editor_->finish();
    editor_.reset();
    region_.reset();
    ApplianceResult result;
    transaction_.lend([&](const fs::path& file) {
        Activity activity(world_.progress, "running the appliance", 0, "steps");
        result = run_in_appliance(kernel,
                                  {.disk = file,
                                   .partition = root_.number,
                                   .type = root_.content,
                                   .script = script,
                                   .files = files,
                                   .now = now_,
                                   .folder = world_.folder},
                                  world_.cancel,
                                  world_.log);
    });
    open_editor();
    return result;
}

ApplianceResult ChangeSession::run_in_copy(const std::string& script,
                                           const std::map<std::string, fs::path>& files)
{
    return run_in_chroot(*editor_,
                         {.script = script, .files = files, .now = now_, .folder = world_.folder},
                         world_.cancel,
                         world_.log);
}

ApplianceResult ChangeSession::run_by(Mode mode,
                                      const std::string& script,
                                      const std::map<std::string, fs::path>& files)
{
    return mode == Mode::chroot ? run_in_copy(script, files) : run_in_vm(script, files);
}

Change ChangeSession::finish(NewVersion& version)
{
    describe_tree(version, editor_->tree());
    editor_->finish();
    editor_.reset();
    world_.cancel.check();
    ext::Check check(*region_, world_.folder.string()); // while the digest is taken
    const auto published = transaction_.commit(std::nullopt, [&] {
        check.finish();
        world_.cancel.check();
    });
    world_.cancel.check();
    return record(world_, version, published);
}

} // namespace stemma::image
