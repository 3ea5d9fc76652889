#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <array>
#include <map>
#include <set>

#include "sink.hpp"

namespace stemma::analyzer {

namespace {

constexpr std::size_t most_units = 100'000;
constexpr std::array<std::string_view, 11> suffixes = {".service",
                                                       ".timer",
                                                       ".socket",
                                                       ".target",
                                                       ".mount",
                                                       ".automount",
                                                       ".swap",
                                                       ".path",
                                                       ".slice",
                                                       ".scope",
                                                       ".device"};

bool is_unit(std::string_view name)
{
    for (const auto suffix : suffixes) {
        if (name.size() > suffix.size() && name.ends_with(suffix)) {
            return true;
        }
    }
    return false;
}

/// What is known of one unit; "" places are not known.
struct Unit {
    bool masked = false;
    bool can_be_enabled = false;     ///< its file has an [Install] section
    std::set<std::string> wanted_by; ///< units whose .wants or .requires folder links to it
    std::string alias_of;
    std::string place; ///< the link or file that says so
};

class Units {
public:
    Units(Source& source, Sink& sink) : source_(source), sink_(sink) {}

    void run()
    {
        bool any = false;
        // The vendor's folder first: what the administrator says comes after it.
        for (const auto* folder : {"/usr/lib/systemd/system",
                                   "/lib/systemd/system",
                                   "/usr/local/lib/systemd/system",
                                   "/etc/systemd/system"}) {
            const auto entries = source_.list(folder, sink_);
            any = any || !entries.empty();
            for (const auto& entry : entries) {
                take(folder, entry);
            }
        }
        if (!any) {
            sink_.unsupported("there is no folder of systemd units");
            return;
        }
        for (const auto& [name, unit] : units_) {
            print(name, unit);
        }
        print_default_target();
    }

private:
    void take(const std::string& folder, const volume::FolderEntry& entry)
    {
        if (units_.size() >= most_units || source_.late()) {
            sink_.miss("units beyond the budget", fmt::format("{}/{}", folder, entry.name));
            return;
        }
        const auto path = fmt::format("{}/{}", folder, entry.name);
        if (entry.kind == volume::NodeKind::directory) {
            take_wants(folder, entry.name);
        } else if (!is_unit(entry.name)) {
            return;
        } else if (entry.kind == volume::NodeKind::symlink) {
            take_link(entry.name, path);
        } else if (const auto text = source_.text(path, sink_)) {
            auto& unit = units_[entry.name];
            unit.place = path;
            unit.masked = text->empty(); // an empty file masks too
            unit.can_be_enabled =
                text->starts_with("[Install]") || text->find("\n[Install]") != std::string::npos;
        }
    }

    void take_link(const std::string& name, const std::string& path)
    {
        const auto target = source_.link(path, sink_);
        const auto slash = target.rfind('/');
        const auto last = slash == std::string::npos ? target : target.substr(slash + 1);
        auto& unit = units_[name];
        unit.place = path;
        if (target == "/dev/null") {
            unit.masked = true;
        } else if (last != name) {
            unit.alias_of = last;
        }
    }

    void take_wants(const std::string& folder, const std::string& name)
    {
        const auto dot = name.rfind('.');
        const std::string kind = dot == std::string::npos ? std::string() : name.substr(dot);
        if (kind != ".wants" && kind != ".requires") {
            return;
        }
        const std::string place = fmt::format("{}/{}", folder, name);
        for (const auto& entry : source_.list(place, sink_)) {
            if (!is_unit(entry.name)) {
                continue;
            }
            auto& unit = units_[entry.name];
            unit.wanted_by.insert(name.substr(0, dot));
            if (unit.place.empty()) {
                unit.place = fmt::format("{}/{}", place, entry.name);
            }
        }
    }

    void print(const std::string& name, const Unit& unit)
    {
        const Adder add{sink_, "unit", unit.place};
        if (unit.masked) {
            add(name, "masked", "true", ValueType::boolean);
        }
        if (!unit.alias_of.empty()) {
            add(name, "alias_of", unit.alias_of);
            return;
        }
        if (unit.can_be_enabled || !unit.wanted_by.empty()) {
            const bool enabled = !unit.masked && !unit.wanted_by.empty();
            add(name, "enabled", enabled ? "true" : "false", ValueType::boolean);
        }
        for (const auto& by : unit.wanted_by) {
            add.element(name, "wanted_by", by);
        }
    }

    void print_default_target()
    {
        const std::string path = "/etc/systemd/system/default.target";
        const auto target = source_.link(path, sink_);
        if (!target.empty()) {
            Adder{sink_, "unit", path}("default.target", "target", target, ValueType::path);
        }
    }

    Source& source_;
    Sink& sink_;
    std::map<std::string, Unit> units_;
};

} // namespace

void extract_units(Source& source, Sink& sink)
{
    Units(source, sink).run();
}

} // namespace stemma::analyzer
