#include "stemma/deployer/metrics.hpp"

#include "stemma/core/text.hpp"

#include <initializer_list>
#include <set>
#include <utility>

namespace stemma::deployer {

namespace {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Backslash, quote and line feed are escaped; what is not UTF-8 is shown as \xNN first.
std::string label_value(std::string_view value)
{
    std::string escaped;
    for (const char c : is_utf8(value) ? std::string(value) : printable(value)) {
        if (c == '\n') {
            escaped += "\\n";
            continue;
        }
        if (c == '\\' || c == '"') {
            escaped += '\\';
        }
        escaped += c;
    }
    return escaped;
}

class Text {
public:
    void head(std::string_view name, std::string_view type, std::string_view help)
    {
        text_ += fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
    }
    void sample(std::string_view name, const Labels& labels, std::uint64_t value)
    {
        text_ += name;
        const char* separator = "{";
        for (const auto& [key, label] : labels) {
            text_ += fmt::format("{}{}=\"{}\"", separator, key, label_value(label));
            separator = ",";
        }
        text_ += fmt::format("{} {}\n", labels.size() == 0 ? "" : "}", value);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }

private:
    std::string text_;
};

void add_hosts(const WatchFigures& figures, Text& text)
{
    text.head("stemma_host_up", "gauge", "Whether the host answered at the last look.");
    for (const auto& host : figures.hosts) {
        text.sample("stemma_host_up", {{"host", host.name}}, host.reachable ? 1 : 0);
    }
}

void add_vms(const WatchFigures& figures, Text& text)
{
    std::map<std::pair<std::string, std::string>, std::uint64_t> counts;
    text.head("stemma_vm_state", "gauge", "1 for the state of each VM in the lineage.");
    for (const auto& [uuid, vm] : figures.vms) {
        text.sample("stemma_vm_state",
                    {{"vm", vm.name},
                     {"uuid", uuid},
                     {"host", vm.host},
                     {"release", vm.release},
                     {"state", vm.state}},
                    1);
        ++counts[{vm.host, vm.state}];
    }
    text.head("stemma_vms", "gauge", "VMs in the lineage by host and state.");
    for (const auto& [key, count] : counts) {
        text.sample("stemma_vms", {{"host", key.first}, {"state", key.second}}, count);
    }
}

void add_drift(const WatchFigures& figures, Text& text)
{
    std::set<std::tuple<std::string, std::string, std::string>> seen; // a series has one sample
    text.head("stemma_drift", "gauge", "1 for each way in which a VM differs from its release.");
    for (const auto& drift : figures.drift) {
        if (seen.emplace(drift.host, drift.vm, drift.kind).second) {
            text.sample(
                "stemma_drift", {{"host", drift.host}, {"vm", drift.vm}, {"kind", drift.kind}}, 1);
        }
    }
}

} // namespace

std::string prometheus_text(const WatchFigures& figures)
{
    Text text;
    add_hosts(figures, text);
    add_vms(figures, text);
    add_drift(figures, text);
    text.head("stemma_looks_total", "counter", "Looks at all hosts.");
    text.sample("stemma_looks_total", {}, figures.looks);
    text.head("stemma_last_look_timestamp_seconds", "gauge", "When the last look ended.");
    const auto since_epoch = figures.last_look.time_since_epoch();
    text.sample("stemma_last_look_timestamp_seconds",
                {},
                static_cast<std::uint64_t>(
                    std::chrono::duration_cast<std::chrono::seconds>(since_epoch).count()));
    text.head("stemma_repairs_total", "counter", "Attempts to bring a release back.");
    text.sample("stemma_repairs_total", {{"result", "ok"}}, figures.repairs);
    text.sample("stemma_repairs_total", {{"result", "failed"}}, figures.failed_repairs);
    return text.take();
}

} // namespace stemma::deployer
