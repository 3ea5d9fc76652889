#include "change_session.hpp"

#include <algorithm>

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
      transaction_(
          world.folder,
          base.path,
          volume::container_format_from(base.format).value_or(volume::ContainerFormat::qcow2),
          world.log),
      root_(disk::root_partition(transaction_.disk(), std::nullopt)),
      region_(transaction_.disk(), volume::pieces_of(root_), base.name),
      now_(world.epoch ? *world.epoch
                       : std::max(ext::last_written(region_), newest_input.value_or(Time{})))
{
    editor_.emplace(region_, now_);
}

Change ChangeSession::finish(NewVersion& version)
{
    describe_tree(version, editor_->tree());
    editor_->finish();
    editor_.reset();
    world_.cancel.check();
    ext::check(region_, world_.folder.string());
    world_.cancel.check();
    const auto published = transaction_.commit();
    world_.cancel.check();
    return record(world_, version, published);
}

} // namespace stemma::image
