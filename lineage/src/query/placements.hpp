#pragma once

#include "stemma/lineage/query.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "../store/vm_history.hpp"

namespace stemma::lineage {

/// A VM where it is in a view.
struct Placement {
    std::int64_t vm = 0;
    std::int64_t host = 0;  ///< 0: not known
    std::int64_t image = 0; ///< 0: not known
    std::string state;
    std::string release;
    std::int64_t since = 0;
    std::int64_t until = 0;
    std::uint64_t placed = 0; ///< the event that put this image on this host
};

/// Which VM is where, at the view's moment, by what was known at its position.
class Placements {
public:
    Placements(Store::Impl& store, const View& view);
    std::vector<Placement> with_image(std::int64_t image);
    std::vector<Placement> on_host(std::int64_t host);
    /// Shows the VM and the host (0: not known) of each placement with one of these images, in no
    /// particular order. Many images are answered by one pass over all placements.
    void visit_images(const std::set<std::int64_t>& images,
                      const std::function<void(std::int64_t vm, std::int64_t host)>& visit);
    std::vector<Placement> of_release(const std::string& release);
    /// nullopt: it did not run then.
    std::optional<Placement> of(std::int64_t vm);
    std::vector<Placement> all();

private:
    std::vector<Placement> rows(sqlite::Statement& statement);
    /// What was known at a position is folded again from the events up to there.
    const std::vector<Placement>& past();
    std::vector<Placement> past_where(bool (*keep)(const Placement&, std::int64_t),
                                      std::int64_t value);

    Store::Impl& store_;
    View view_;
    std::optional<std::vector<Placement>> past_;
};

} // namespace stemma::lineage
