#include "stemma/core/error.hpp"

#include "ids.hpp"
#include "impl.hpp"

namespace stemma::lineage {

namespace {

std::optional<model::Manifest> manifest_at(Store::Impl& store, sqlite::Statement& row)
{
    if (!row.step()) {
        row.reset();
        return std::nullopt;
    }
    const auto seq = static_cast<std::uint64_t>(row.integer(0));
    row.reset();
    const auto event = store.event_at(seq);
    return doing([&] { return model::manifest_from_json(member(event.body, "manifest")); },
                 "reading the manifest of event {}",
                 seq);
}

} // namespace

std::optional<model::Manifest> Store::find_manifest(std::string_view build)
{
    constexpr std::size_t shortest_prefix = 8;
    if (build.size() >= shortest_prefix) {
        auto& by_run =
            impl_->db.cached("SELECT seq FROM build WHERE substr(run, 1, length(?1)) = ?1 "
                             "ORDER BY finished DESC, run DESC LIMIT 1");
        by_run.bind(build);
        if (auto found = manifest_at(*impl_, by_run)) {
            return found;
        }
    }
    auto& by_name = impl_->db.cached("SELECT seq FROM build WHERE name = ?1 "
                                     "ORDER BY finished DESC, run DESC LIMIT 1");
    by_name.bind(build);
    return manifest_at(*impl_, by_name);
}

std::optional<model::Manifest> Store::manifest_that_made(const Digest& content)
{
    auto& row =
        impl_->db.cached("SELECT build.seq FROM output o "
                         "JOIN content c ON c.id = o.content JOIN build ON build.id = o.build "
                         "WHERE c.sha256 = ?1 ORDER BY build.finished DESC, build.run DESC "
                         "LIMIT 1");
    row.bind(sqlite::Blob{bytes_of(content)});
    return manifest_at(*impl_, row);
}

} // namespace stemma::lineage
