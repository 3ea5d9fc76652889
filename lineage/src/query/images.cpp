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

namespace {

/// Reading every image costs about as much as asking for this many one by one.
constexpr std::size_t many_reads = 2000;

} // namespace

void Images::count_read()
{
    if (!has_all_ && ++reads_ == many_reads) {
        read_all();
    }
}

const Images::Row& Images::row(std::int64_t image)
{
    const auto [found, fresh] = rows_.try_emplace(image);
    if (!fresh || has_all_) {
        return found->second;
    }
    count_read();
    auto& query = store_.db.cached("SELECT parent, base, listed, seq FROM image WHERE id = ?");
    query.bind(image);
    Row& made = found->second;
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
    return made;
}

std::optional<std::int64_t> Images::parent(std::int64_t image)
{
    return row(image).parent;
}

std::optional<std::uint64_t> Images::seq(std::int64_t image)
{
    return row(image).seq;
}

const std::vector<std::int64_t>& Images::children(std::int64_t image)
{
    count_read();
    const auto [found, fresh] = children_.try_emplace(image);
    if (!fresh || has_all_) {
        return found->second;
    }
    auto& rows = store_.db.cached("SELECT id FROM image WHERE parent = ? AND seq <= ? ORDER BY id");
    rows.bind(image, known_at_);
    while (rows.step()) {
        found->second.push_back(rows.integer(0));
    }
    rows.reset();
    return found->second;
}

void Images::read_all()
{
    has_all_ = true;
    read_all_rows();
    read_all_changes("SELECT image, package, op FROM image_package ORDER BY op DESC", changes_);
    read_all_changes("SELECT image, package, op FROM image_listing", listings_);
    read_all_files();
}

void Images::read_all_rows()
{
    std::unordered_map<std::int64_t, std::vector<std::int64_t>> children;
    auto& rows = store_.db.cached(
        "SELECT id, parent, base, listed, seq FROM image WHERE seq <= ? ORDER BY id");
    rows.bind(known_at_);
    while (rows.step()) {
        const auto parent = rows.optional_integer(1);
        rows_[rows.integer(0)] = {parent,
                                  rows.optional_integer(2),
                                  rows.integer(3) != 0,
                                  static_cast<std::uint64_t>(rows.integer(4))};
        if (parent) {
            children[*parent].push_back(rows.integer(0));
        }
    }
    rows.reset();
    children_.merge(children); // what was read before stays where it is: somebody may walk it
}

void Images::read_all_changes(std::string_view sql, std::unordered_map<std::int64_t, Changes>& into)
{
    std::unordered_map<std::int64_t, Changes> all;
    auto& rows = store_.db.cached(sql);
    while (rows.step()) {
        all[rows.integer(0)].emplace_back(rows.integer(1), rows.integer(2) != 0);
    }
    rows.reset();
    into.merge(all);
}

namespace {

std::vector<std::pair<std::int64_t, bool>> read_changes(sqlite::Statement& rows)
{
    std::vector<std::pair<std::int64_t, bool>> found;
    while (rows.step()) {
        found.emplace_back(rows.integer(0), rows.integer(1) != 0);
    }
    rows.reset();
    return found;
}

} // namespace

const Images::Changes& Images::changes(std::int64_t image)
{
    static const Changes none;
    if (!row(image).seq) {
        return none;
    }
    const auto [found, fresh] = changes_.try_emplace(image);
    if (fresh && !has_all_) {
        auto& rows = store_.db.cached(
            "SELECT package, op FROM image_package WHERE image = ? ORDER BY op DESC");
        found->second = read_changes(rows.bind(image));
    }
    return found->second;
}

const Images::Changes& Images::listing_changes(std::int64_t image)
{
    const auto [found, fresh] = listings_.try_emplace(image);
    if (fresh && !has_all_) {
        auto& rows = store_.db.cached("SELECT package, op FROM image_listing WHERE image = ?");
        found->second = read_changes(rows.bind(image));
    }
    return found->second;
}

const std::vector<Images::FileChange>& Images::file_changes(std::int64_t image)
{
    const auto [found, fresh] = files_.try_emplace(image);
    if (fresh && !has_all_) {
        auto& rows = store_.db.cached(
            "SELECT path, content, kind, op FROM image_file WHERE image = ? ORDER BY path");
        rows.bind(image);
        while (rows.step()) {
            found->second.push_back({rows.text(0),
                                     rows.optional_integer(1).value_or(0),
                                     rows.text(2),
                                     rows.integer(3) != 0});
        }
        rows.reset();
    }
    return found->second;
}

void Images::read_all_files()
{
    std::unordered_map<std::int64_t, std::vector<FileChange>> all;
    auto& rows = store_.db.cached(
        "SELECT path, content, kind, op, image FROM image_file ORDER BY image, path");
    while (rows.step()) {
        all[rows.integer(4)].push_back({rows.text(0),
                                        rows.optional_integer(1).value_or(0),
                                        rows.text(2),
                                        rows.integer(3) != 0});
    }
    rows.reset();
    files_.merge(all);
}

Images::Slot Images::slot(std::int64_t id)
{
    const auto [found, fresh] = slots_.try_emplace(id, 0);
    if (fresh) {
        const auto& row = package(id);
        const auto next = static_cast<Slot>(slot_numbers_.size());
        found->second = slot_numbers_.try_emplace({row.name, row.arch}, next).first->second;
    }
    return found->second;
}

std::set<std::int64_t> Images::listing(std::int64_t image)
{
    std::vector<std::int64_t> chain;
    for (std::optional<std::int64_t> at = image; at; at = row(*at).base) {
        chain.push_back(*at);
    }
    std::set<std::int64_t> listed;
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        for (const auto& [package, in] : listing_changes(*at)) {
            if (in) {
                listed.insert(package);
            } else {
                listed.erase(package);
            }
        }
    }
    return listed;
}

bool Images::lists(std::int64_t image, std::int64_t listed_package)
{
    for (std::optional<std::int64_t> at = image; at; at = row(*at).base) {
        for (const auto& [package, in] : listing_changes(*at)) {
            if (package == listed_package) {
                return in;
            }
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

Images::Installed Images::installed_in(std::int64_t image)
{
    // From the image up: the first word about a slot counts.
    Installed all;
    std::set<Slot> decided;
    std::unordered_set<std::int64_t> seen;
    for (std::optional<std::int64_t> at = image; at && seen.insert(*at).second; at = parent(*at)) {
        if (!all.listed && row(*at).listed) {
            all.listed = at;
        }
        for (const auto& [package, in] : changes(*at)) {
            const auto where = slot(package);
            if (!decided.insert(where).second) {
                continue;
            }
            if (in) {
                all.files[where] = {package, *at};
            }
            if (!all.listed) {
                all.newer.insert(where);
            }
        }
    }
    return all;
}

std::vector<Contained> Images::packages_in(std::int64_t image)
{
    const auto installed = installed_in(image);
    const auto& [files, newer, listed] = installed;
    std::vector<Contained> out;
    std::set<std::int64_t> explained; // rows of the listing that an installed file is
    const auto names = listed ? listing(*listed) : std::set<std::int64_t>();
    for (const auto& [where, found] : files) {
        // Above the listed image only what it lists can still be there.
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
    for (std::optional<std::int64_t> at = image; at && seen.insert(*at).second; at = parent(*at)) {
        if (!row(*at).seq) {
            break;
        }
        for (const auto& change : file_changes(*at)) {
            if (decided.insert(change.path).second && change.in && change.content != 0) {
                files.push_back({change.content, *at, change.path, change.kind});
            }
        }
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
        const auto& found_changes = changes(image);
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
