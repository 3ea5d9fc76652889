#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <map>
#include <set>

#include "rpm.hpp"
#include "sink.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_packages = 200'000;

/// One stanza of deb822 or of apk's database, with the line on which it begins.
struct Stanza {
    std::map<std::string, std::string, std::less<>> fields;
    std::uint32_t line = 0;
};

std::string field_of(const Stanza& stanza, std::string_view name)
{
    const auto found = stanza.fields.find(name);
    return found == stanza.fields.end() ? std::string{} : found->second;
}

struct Package {
    std::string name;
    std::string version;
    std::string arch;
    std::string state;  ///< empty: installed
    std::string source; ///< source package where it has another name
    std::uint32_t line = 0;
};

void add_package(Sink& sink,
                 const Package& package,
                 std::string_view type,
                 const std::string& identity,
                 const std::string& file)
{
    const auto add = [&](std::string_view attribute, std::string_view value, ValueType value_type) {
        if (value.empty()) {
            return;
        }
        auto feature = plain_feature("package", identity, attribute, value);
        feature.type = type;
        feature.value_type = value_type;
        feature.file = file;
        feature.line = package.line;
        sink.add(std::move(feature));
    };
    add("version", package.version, ValueType::version);
    add("architecture", package.arch, ValueType::text);
    add("source", package.source, ValueType::text);
    add("state", package.state, ValueType::text);
}

/// A package that several architectures have is told apart by ":arch", as dpkg does.
void add_all(Sink& sink,
             const std::vector<Package>& packages,
             std::string_view type,
             const std::string& file)
{
    std::map<std::string, std::set<std::string>> architectures;
    for (const auto& package : packages) {
        architectures[package.name].insert(package.arch);
    }
    for (const auto& package : packages) {
        const bool several = architectures[package.name].size() > 1;
        add_package(
            sink, package, type, several ? package.name + ":" + package.arch : package.name, file);
    }
}

/// Fields that are not asked for are skipped: a status file is mostly descriptions.
std::vector<Stanza> stanzas_of(std::string_view text,
                               const std::set<std::string, std::less<>>& wanted)
{
    std::vector<Stanza> stanzas;
    Stanza current;
    std::uint32_t number = 0;
    const auto finish = [&] {
        if (!current.fields.empty() && stanzas.size() < most_packages) {
            stanzas.push_back(std::move(current));
        }
        current = {};
    };
    for (const auto line : split_lines(text)) {
        ++number;
        if (trim(line).empty()) {
            finish();
            continue;
        }
        const auto colon = line.find(':');
        if (line.front() == ' ' || line.front() == '\t' || colon == std::string_view::npos) {
            continue;
        }
        const auto key = line.substr(0, colon);
        if (current.line == 0) {
            current.line = number;
        }
        if (wanted.count(key) != 0) {
            current.fields.emplace(key, trim(line.substr(colon + 1)));
        }
    }
    finish();
    return stanzas;
}

Package dpkg_package(const Stanza& stanza)
{
    Package package;
    package.name = field_of(stanza, "Package");
    package.version = field_of(stanza, "Version");
    package.arch = field_of(stanza, "Architecture");
    package.source = field_of(stanza, "Source");
    package.line = stanza.line;
    const auto status = field_of(stanza, "Status");
    if (status != "install ok installed" && !status.empty()) {
        package.state = status;
    }
    return package;
}

bool extract_dpkg(Source& source, Sink& sink)
{
    const std::string folder = "/var/lib/dpkg";
    std::vector<std::string> files;
    if (source.exists(folder + "/status")) {
        files.push_back(folder + "/status");
    }
    // Images without a package manager ("distroless") keep one file per package.
    for (const auto& entry : source.list(folder + "/status.d", sink)) {
        if (!entry.name.ends_with(".md5sums")) {
            files.push_back(folder + "/status.d/" + entry.name);
        }
    }
    for (const auto& file : files) {
        const auto text = source.text(file, sink);
        std::vector<Package> packages;
        for (const auto& stanza : stanzas_of(
                 text.value_or(""), {"Package", "Version", "Architecture", "Source", "Status"})) {
            auto package = dpkg_package(stanza);
            if (package.name.empty()) {
                sink.miss("stanzas without a name", fmt::format("{}:{}", file, stanza.line));
            } else if (!package.state.ends_with(" not-installed")) {
                packages.push_back(std::move(package));
            }
        }
        add_all(sink, packages, "deb", file);
    }
    return !files.empty();
}

bool extract_apk(Source& source, Sink& sink)
{
    for (const std::string file : {"/lib/apk/db/installed", "/usr/lib/apk/db/installed"}) {
        const auto text = source.text(file, sink);
        if (!text) {
            continue;
        }
        std::vector<Package> packages;
        for (const auto& stanza : stanzas_of(*text, {"P", "V", "A", "o"})) {
            Package package;
            package.name = field_of(stanza, "P");
            package.version = field_of(stanza, "V");
            package.arch = field_of(stanza, "A");
            const auto origin = field_of(stanza, "o");
            package.source = origin == package.name ? std::string{} : origin;
            package.line = stanza.line;
            if (package.name.empty()) {
                sink.miss("stanzas without a name", fmt::format("{}:{}", file, stanza.line));
            } else {
                packages.push_back(std::move(package));
            }
        }
        add_all(sink, packages, "apk", file);
        return true;
    }
    return false;
}

bool extract_rpm(Source& source, Sink& sink)
{
    for (const auto* folder : {"/var/lib/rpm", "/usr/lib/sysimage/rpm"}) {
        const auto path = fmt::format("{}/rpmdb.sqlite", folder);
        if (source.exists(path)) {
            std::vector<Package> packages;
            for (auto& one : read_rpm_database(source, path, sink)) {
                packages.push_back({.name = std::move(one.name),
                                    .version = std::move(one.version),
                                    .arch = std::move(one.arch),
                                    .state = {},
                                    .source = std::move(one.source)});
            }
            add_all(sink, packages, "rpm", path);
            return true;
        }
        for (const auto* name : {"Packages.db", "Packages"}) {
            const auto old = fmt::format("{}/{}", folder, name);
            if (source.exists(old)) {
                sink.miss("rpm databases of a form older than SQLite, which are not read", old);
                return true;
            }
        }
    }
    return false;
}

} // namespace

void extract_packages(Source& source, Sink& sink)
{
    bool any = false;
    for (const auto& manager : source.definition.packages) {
        if (manager == "dpkg") {
            any = extract_dpkg(source, sink) || any;
        } else if (manager == "apk") {
            any = extract_apk(source, sink) || any;
        } else if (manager == "rpm") {
            any = extract_rpm(source, sink) || any;
        }
    }
    if (!any) {
        sink.unsupported(
            fmt::format("there is no database of {}", join(source.definition.packages, ", ")));
    }
}

} // namespace stemma::analyzer
