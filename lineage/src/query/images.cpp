#include "images.hpp"

#include "stemma/core/error.hpp"

#include <algorithm>
#include <deque>
#include <unordered_set>

namespace stemma::lineage {

Images::Images(Store::Impl& store, std::uint64_t known_at) : store_(store), known_at_(known_at) {}

const PackageRow& Images::package(std::int64_t id)
{
    const auto found = packages_.find(id);
    if (found != packages_.end()) {
        return found->second;
    }
    auto& row = store_.db.cached(
        "SELECT sha256, purl, name, version, arch, known FROM package WHERE id = ?");
    row.bind(id);
    PackageRow package;
    package.id = id;
    if (row.step()) {
        package.sha256 = row.optional_text(0);
        package.purl = row.text(1);
        package.name = row.text(2);
        package.version = row.text(3);
        package.arch = row.text(4);
        package.known = row.integer(5) != 0;
    }
    row.reset();
    return packages_.emplace(id, std::move(package)).first->second;
}

const Images::Row& Images::row(std::int64_t image)
{
    const auto found = rows_.find(image);
    if (found != rows_.end()) {
        return found->second;
    }
    auto& query = store_.db.cached("SELECT parent, base, listed, seq FROM image WHERE id = ?");
    query.bind(image);
    Row made;
    if (query.step()) {
        made.seq = query.optional_integer(3);
        if (made.seq && *made.seq <= known_at_) {
            made.parent = query.optional_integer(0);
            made.base = query.optional_integer(1);
            made.listed = query.integer(2) != 0;
        } else {
            made.seq.reset();
        }
    }
    query.reset();
    return rows_.emplace(image, made).first->second;
}

std::optional<std::int64_t> Images::parent(std::int64_t image)
{
    return row(image).parent;
}

std::optional<std::uint64_t> Images::seq(std::int64_t image)
{
    return row(image).seq;
}

std::vector<std::int64_t> Images::children(std::int64_t image)
{
    std::vector<std::int64_t> found;
    auto& rows = store_.db.cached("SELECT id FROM image WHERE parent = ? AND seq <= ? ORDER BY id");
    rows.bind(image, known_at_);
    while (rows.step()) {
        found.push_back(rows.integer(0));
    }
    rows.reset();
    return found;
}

Images::Changes Images::changes(std::int64_t image)
{
    Changes found;
    if (!row(image).seq) {
        return found;
    }
    auto& rows =
        store_.db.cached("SELECT package, op FROM image_package WHERE image = ? ORDER BY op DESC");
    rows.bind(image);
    while (rows.step()) {
        found.emplace_back(rows.integer(0), rows.integer(1) != 0);
    }
    rows.reset();
    return found;
}

Images::Slot Images::slot(std::int64_t id)
{
    const auto& row = package(id);
    return {row.name, row.arch};
}

std::set<std::int64_t> Images::listing(std::int64_t image)
{
    std::vector<std::int64_t> chain;
    for (std::optional<std::int64_t> at = image; at; at = row(*at).base) {
        chain.push_back(*at);
    }
    std::set<std::int64_t> listed;
    auto& rows = store_.db.cached("SELECT package, op FROM image_listing WHERE image = ?");
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        rows.bind(*at);
        while (rows.step()) {
            if (rows.integer(1) != 0) {
                listed.insert(rows.integer(0));
            } else {
                listed.erase(rows.integer(0));
            }
        }
    }
    rows.reset();
    return listed;
}

bool Images::lists(std::int64_t image, std::int64_t listed_package)
{
    auto& rows = store_.db.cached("SELECT op FROM image_listing WHERE package = ? AND image = ?");
    for (std::optional<std::int64_t> at = image; at; at = row(*at).base) {
        rows.bind(listed_package, *at);
        if (rows.step()) {
            const bool added = rows.integer(0) != 0;
            rows.reset();
            return added;
        }
    }
    return false;
}

std::optional<std::int64_t> Images::listed_row(const PackageRow& package)
{
    auto& rows = store_.db.cached("SELECT id FROM package WHERE name = ? AND version = ? AND "
                                  "(arch = ?3 OR arch = '' OR ?3 = '') AND sha256 IS NULL "
                                  "ORDER BY arch = ?3 DESC, id");
    rows.bind(package.name, package.version, package.arch);
    std::optional<std::int64_t> found;
    if (rows.step()) {
        found = rows.integer(0);
    }
    rows.reset();
    return found;
}

std::optional<std::int64_t> Images::only_file_of(const PackageRow& listed)
{
    auto& rows = store_.db.cached("SELECT id FROM package WHERE name = ? AND version = ? AND "
                                  "(arch = ?3 OR arch = '' OR ?3 = '') AND sha256 IS NOT NULL");
    rows.bind(listed.name, listed.version, listed.arch);
    std::optional<std::int64_t> found;
    while (rows.step()) {
        if (found) {
            rows.reset();
            return std::nullopt;
        }
        found = rows.integer(0);
    }
    rows.reset();
    return found;
}

std::vector<Contained> Images::packages_in(std::int64_t image)
{
    // From the image up: the first word about a slot counts. Above the first listed image only
    // what it lists can still be there.
    std::map<Slot, std::pair<std::int64_t, std::int64_t>> installed; // package, image
    std::set<Slot> decided;
    std::set<Slot> newer; // decided below the listing, so that the listing does not count
    std::optional<std::int64_t> listed;
    std::unordered_set<std::int64_t> seen;
    for (std::optional<std::int64_t> at = image; at && seen.insert(*at).second; at = parent(*at)) {
        if (!listed && row(*at).listed) {
            listed = at;
        }
        for (const auto& [package, in] : changes(*at)) {
            const auto where = slot(package);
            if (!decided.insert(where).second) {
                continue;
            }
            if (in) {
                installed[where] = {package, *at};
            }
            if (!listed) {
                newer.insert(where);
            }
        }
    }
    std::vector<Contained> out;
    std::set<std::int64_t> explained; // rows of the listing that an installed file is
    const auto names = listed ? listing(*listed) : std::set<std::int64_t>();
    for (const auto& [where, found] : installed) {
        if (newer.count(where) == 0 && listed) {
            const auto row = listed_row(package(found.first));
            if (!row || names.count(*row) == 0) {
                continue; // gone, or replaced, by the word of the package database
            }
            explained.insert(*row);
        }
        out.push_back({found.first, found.second, false, ""});
    }
    for (const auto name : names) {
        if (explained.count(name) == 0 && newer.count(slot(name)) == 0) {
            resolve(*this, name, *listed, out);
        }
    }
    return out;
}

void Images::resolve(Images& images,
                     std::int64_t listed,
                     std::int64_t image,
                     std::vector<Contained>& out)
{
    if (const auto file = images.only_file_of(images.package(listed))) {
        out.push_back(
            {*file, image, true, "name, version and architecture in the package database"});
    } else {
        out.push_back({listed, image, false, ""});
    }
}

std::vector<ContainedFile> Images::files_in(std::int64_t image)
{
    std::vector<ContainedFile> files;
    std::set<std::string> decided;
    std::unordered_set<std::int64_t> seen;
    auto& rows = store_.db.cached(
        "SELECT path, content, kind, op FROM image_file WHERE image = ? ORDER BY path");
    for (std::optional<std::int64_t> at = image; at && seen.insert(*at).second; at = parent(*at)) {
        if (!row(*at).seq) {
            break;
        }
        rows.bind(*at);
        while (rows.step()) {
            const auto path = rows.text(0);
            if (decided.insert(path).second && rows.integer(3) != 0 && !rows.is_null(1)) {
                files.push_back({rows.integer(1), *at, path, rows.text(2)});
            }
        }
        rows.reset();
    }
    return files;
}

bool Images::keeps(std::int64_t image, std::int64_t package, std::optional<std::int64_t> listed)
{
    const auto where = slot(package);
    for (const auto& [changed, in] : changes(image)) {
        if (slot(changed) == where) {
            return in && changed == package;
        }
    }
    return !row(image).listed || (listed && lists(image, *listed));
}

std::vector<Images::Holder> Images::holders_of_package(std::int64_t id)
{
    std::vector<Holder> holders;
    const PackageRow wanted = package(id);
    const auto listed = wanted.sha256 ? listed_row(wanted) : std::optional(id);
    std::unordered_set<std::int64_t> seen;
    auto& rows = store_.db.cached("SELECT image FROM image_package WHERE package = ? AND op = 1");
    rows.bind(id);
    while (rows.step()) {
        if (row(rows.integer(0)).seq && seen.insert(rows.integer(0)).second) {
            holders.push_back({rows.integer(0), rows.integer(0), false, ""});
        }
    }
    rows.reset();
    for (std::size_t i = 0; i < holders.size(); ++i) {
        for (const auto child : children(holders[i].image)) {
            if (seen.count(child) == 0 && keeps(child, id, listed)) {
                seen.insert(child);
                holders.push_back({child, holders[i].image, false, ""});
            }
        }
    }
    if (listed && wanted.sha256 && only_file_of(package(*listed)) == id) {
        add_holders_by_listing(
            *listed, "name, version and architecture in the package database", holders);
    } else if (listed && !wanted.sha256) {
        add_holders_by_listing(*listed, "", holders);
    }
    return holders;
}

void Images::add_holders_by_listing(std::int64_t listed,
                                    const std::string& basis,
                                    std::vector<Holder>& holders)
{
    std::unordered_set<std::int64_t> seen;
    for (const auto& holder : holders) {
        seen.insert(holder.image);
    }
    std::vector<Holder> found;
    auto& rows = store_.db.cached("SELECT image FROM image_listing WHERE package = ? AND op = 1");
    rows.bind(listed);
    std::vector<std::int64_t> starts;
    while (rows.step()) {
        starts.push_back(rows.integer(0));
    }
    rows.reset();
    const auto where = slot(listed);
    // An image that replaced the slot after its parent was listed has another package there.
    const auto replaced = [&](std::int64_t image) {
        const auto found_changes = changes(image);
        return !row(image).listed &&
               std::any_of(found_changes.begin(), found_changes.end(), [&](const auto& change) {
                   return slot(change.first) == where;
               });
    };
    std::unordered_set<std::int64_t> walked;
    std::deque<std::pair<std::int64_t, std::int64_t>> open;
    for (const auto start : starts) {
        open.emplace_back(start, start);
    }
    while (!open.empty()) {
        const auto [image, from] = open.front();
        open.pop_front();
        if (!row(image).seq || !walked.insert(image).second) {
            continue;
        }
        if (row(image).listed ? !lists(image, listed) : replaced(image)) {
            continue;
        }
        if (seen.insert(image).second) {
            found.push_back({image, from, !basis.empty(), basis});
        }
        for (const auto child : children(image)) {
            open.emplace_back(child, image);
        }
    }
    holders.insert(holders.end(), found.begin(), found.end());
}

std::vector<Images::Holder> Images::holders_of_content(std::int64_t content)
{
    std::vector<Holder> holders;
    std::set<std::pair<std::int64_t, std::string>> seen; // image, path
    struct Open {
        std::int64_t image;
        std::int64_t from;
        std::string path;
        bool found; ///< by its content in an image that nobody told of
    };
    std::deque<Open> open;
    auto& rows =
        store_.db.cached("SELECT image, path, kind FROM image_file WHERE content = ? AND op = 1");
    rows.bind(content);
    while (rows.step()) {
        open.push_back({rows.integer(0), rows.integer(0), rows.text(1), rows.text(2) == "found"});
    }
    rows.reset();
    auto& changed = store_.db.cached("SELECT 1 FROM image_file WHERE image = ? AND path = ?");
    while (!open.empty()) {
        const Open now = open.front();
        open.pop_front();
        if (!row(now.image).seq || !seen.emplace(now.image, now.path).second) {
            continue;
        }
        holders.push_back(
            {now.image, now.from, now.found, now.found ? "content found in the image" : ""});
        for (const auto child : children(now.image)) {
            changed.bind(child, now.path);
            const bool replaced = changed.step();
            changed.reset();
            if (!replaced) {
                open.push_back({child, now.image, now.path, false});
            }
        }
    }
    return holders;
}

} // namespace stemma::lineage
