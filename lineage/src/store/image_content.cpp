#include "stemma/core/digest.hpp"
#include "stemma/core/text.hpp"

#include "ids.hpp"

namespace stemma::lineage {

namespace {

using sqlite::Blob;

/// Deeper chains of images are not followed.
constexpr int max_ancestors = 1000;

struct Known {
    bool decided = false;              ///< this image put something there, or took it away
    std::optional<std::string> sha256; ///< nullopt: taken away, or not a file
};

Known placed_file(sqlite::Database& db, std::int64_t image, std::string_view path)
{
    auto& row = db.cached("SELECT f.op, c.sha256 FROM image_file f LEFT JOIN content c ON "
                          "c.id = f.content WHERE f.image = ? AND f.path = ?");
    row.bind(image, path);
    Known known;
    if (row.step()) {
        known.decided = true;
        if (row.integer(0) == 1 && !row.is_null(1)) {
            known.sha256 = to_hex(row.view(1));
        }
    }
    row.reset();
    return known;
}

Known packaged_file(sqlite::Database& db, std::int64_t image, std::string_view path)
{
    auto& row = db.cached(
        "SELECT i.op, c.sha256 FROM image_package i JOIN payload p ON p.package = i.package "
        "LEFT JOIN content c ON c.id = p.content WHERE i.image = ? AND p.path = ? "
        "ORDER BY i.op DESC, p.seq DESC LIMIT 1");
    row.bind(image, path);
    Known known;
    if (row.step()) {
        known.decided = true;
        if (row.integer(0) == 1 && !row.is_null(1)) {
            known.sha256 = to_hex(row.view(1));
        }
    }
    row.reset();
    return known;
}

} // namespace

std::optional<std::string> Store::image_content(std::string_view image_digest,
                                                std::string_view path)
{
    const auto digest = Digest::from_hex(image_digest);
    if (!digest) {
        return std::nullopt;
    }
    auto& start = impl_->db.cached("SELECT id FROM image WHERE digest = ?");
    start.bind(Blob{bytes_of(*digest)});
    std::optional<std::int64_t> image;
    if (start.step()) {
        image = start.integer(0);
    }
    start.reset();
    for (int depth = 0; image && depth < max_ancestors; ++depth) {
        for (const auto& known :
             {placed_file(impl_->db, *image, path), packaged_file(impl_->db, *image, path)}) {
            if (known.decided) {
                return known.sha256;
            }
        }
        auto& up = impl_->db.cached("SELECT parent FROM image WHERE id = ?");
        up.bind(*image);
        image.reset();
        if (up.step() && !up.is_null(0)) {
            image = up.integer(0);
        }
        up.reset();
    }
    return std::nullopt;
}

} // namespace stemma::lineage
