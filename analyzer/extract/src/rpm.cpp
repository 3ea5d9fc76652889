#include "rpm.hpp"

#include "stemma/core/error.hpp"
#include "stemma/sqlite/database.hpp"

#include <map>

namespace stemma::analyzer {

namespace {

constexpr std::uint64_t largest_database = 256ULL << 20U; // that of a large server has 100 MiB
constexpr std::size_t most_rpms = 200'000;
constexpr std::size_t most_entries = 65'536;
constexpr std::size_t entry_size = 16;
constexpr std::size_t intro_size = 8;

enum Tag : std::uint32_t {
    tag_name = 1000,
    tag_version = 1001,
    tag_release = 1002,
    tag_epoch = 1003,
    tag_arch = 1022,
    tag_source = 1044,
};

enum Type : std::uint32_t { type_int32 = 4, type_string = 6 };

std::uint32_t big_endian(std::string_view bytes, std::size_t at)
{
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
        value = value << 8U | static_cast<unsigned char>(bytes[at + i]);
    }
    return value;
}

/// The value of one index entry; empty where it is of another type or lies outside.
std::string value_of(std::string_view store, std::uint32_t type, std::uint32_t offset)
{
    if (type == type_string && offset < store.size()) {
        const std::string_view rest = store.substr(offset);
        return std::string(rest.substr(0, rest.find('\0')));
    }
    if (type == type_int32 && store.size() >= sizeof offset &&
        offset <= store.size() - sizeof offset) {
        return std::to_string(big_endian(store, offset));
    }
    return {};
}

/// "bash-5.2.26-3.el9.src.rpm" is of "bash".
std::string source_name(std::string_view file)
{
    for (int part = 0; part < 2; ++part) {
        file = file.substr(0, file.rfind('-'));
    }
    return std::string(file);
}

} // namespace

std::optional<RpmPackage> read_rpm_header(std::string_view blob)
{
    if (blob.size() < intro_size) {
        return std::nullopt;
    }
    const std::size_t entries = big_endian(blob, 0);
    const std::size_t bytes = big_endian(blob, 4);
    if (entries > most_entries || blob.size() - intro_size < entries * entry_size ||
        blob.size() - intro_size - entries * entry_size < bytes) {
        return std::nullopt;
    }
    const std::string_view store = blob.substr(intro_size + entries * entry_size, bytes);
    std::map<std::uint32_t, std::string> values;
    for (std::size_t i = 0; i < entries; ++i) {
        const std::size_t at = intro_size + i * entry_size;
        const std::uint32_t tag = big_endian(blob, at);
        if (tag >= tag_name && tag <= tag_source) {
            values.emplace(tag,
                           value_of(store, big_endian(blob, at + 4), big_endian(blob, at + 8)));
        }
    }
    RpmPackage package;
    package.name = values[tag_name];
    const std::string epoch = values[tag_epoch];
    package.version = epoch.empty() || epoch == "0" ? std::string() : epoch + ":";
    package.version.append(values[tag_version]).append("-").append(values[tag_release]);
    package.arch = values[tag_arch];
    const std::string source = source_name(values[tag_source]);
    package.source = source == package.name ? std::string() : source;
    return package.name.empty() ? std::nullopt : std::optional(std::move(package));
}

std::vector<RpmPackage> read_rpm_database(const Source& source, const std::string& path, Sink& sink)
{
    const std::string log = path + "-wal";
    sqlite::Database database(
        sqlite::Image{path,
                      source.tree.read_all(path, largest_database),
                      source.exists(log) ? source.tree.read_all(log, largest_database) : ""});
    // The guest wrote it: a view of that name could compute for ever.
    if (database.integer("SELECT count(*) FROM sqlite_master WHERE name = 'Packages' "
                         "AND type = 'table' AND sql NOT LIKE '%VIRTUAL%' "
                         "AND sql NOT LIKE '%GENERATED%'") != 1) {
        throw Error(ErrorCode::unsupported, "it has no table of packages");
    }
    std::vector<RpmPackage> packages;
    auto rows = database.prepare("SELECT blob FROM Packages ORDER BY hnum");
    while (rows.step()) {
        if (packages.size() >= most_rpms || source.late()) {
            sink.miss("packages beyond what is read of rpm's database", path);
            break;
        }
        auto package = read_rpm_header(rows.view(0));
        if (!package) {
            sink.miss("damaged headers in rpm's database", path);
        } else if (package->name != "gpg-pubkey") { // keys are kept as if they were packages
            packages.push_back(std::move(*package));
        }
    }
    return packages;
}

} // namespace stemma::analyzer
