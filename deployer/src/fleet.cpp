#include "stemma/deployer/fleet.hpp"

#include "stemma/core/text.hpp"
#include "stemma/deployer/background.hpp"
#include "stemma/deployer/libvirt_hypervisor.hpp"
#include "stemma/deployer/pool_store.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "looks.hpp"
#include "patient_hypervisor.hpp"

namespace stemma::deployer {

namespace {

using std::chrono::steady_clock;

constexpr std::string_view folder_label = "stemma/folder";
constexpr std::string_view pool_label = "stemma/pool";
constexpr std::string_view accel_label = "stemma/accel";
constexpr std::string_view address_label = "stemma/migrate_address";
constexpr std::string_view memory_label = "stemma/memory_mib";
constexpr std::string_view keepalive_label = "stemma/keepalive_s";
constexpr std::string_view deadline_label = "stemma/deadline_s";
constexpr std::string_view drained_label = "stemma/drained";

std::string text_label(const Json& labels, std::string_view key)
{
    const auto found = labels.find(key);
    return found != labels.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_label(const Json& labels, std::string_view key, std::uint64_t otherwise)
{
    return parse_unsigned(text_label(labels, key)).value_or(otherwise);
}

std::function<std::shared_ptr<Hypervisor>()> opener(const HostEntry& host, const Cancel& cancel)
{
    return [host, &cancel] { // the process's Cancel outlives every thread
        return std::shared_ptr<Hypervisor>(hypervisor_over(open_connection(host), host, cancel));
    };
}

/// What `work` gives, or an error after the host's deadline.
template <typename T>
T in_time(const HostEntry& host, const Cancel& cancel, std::function<T()> work)
{
    Background<T> running(std::move(work));
    auto value = running.wait_until(steady_clock::now() + host.deadline, &cancel);
    if (!value) {
        throw Error(
            ErrorCode::remote,
            fmt::format("host {} did not answer within {} s", host.name, host.deadline.count()),
            "`virsh -c " + virt::safe_uri(host.uri) + " hostname` shows whether it hangs");
    }
    return std::move(*value);
}

} // namespace

HostEntry entry_of(const lineage::HostInfo& info)
{
    HostEntry entry;
    entry.name = info.name;
    entry.uri = info.uri;
    entry.folder = text_label(info.labels, folder_label);
    entry.pool = text_label(info.labels, pool_label);
    entry.accel = text_label(info.labels, accel_label);
    entry.migrate_address = text_label(info.labels, address_label);
    entry.memory_mib = number_label(info.labels, memory_label, 0);
    entry.keepalive = std::chrono::seconds(number_label(
        info.labels, keepalive_label, static_cast<std::uint64_t>(entry.keepalive.count())));
    entry.deadline = std::chrono::seconds(number_label(
        info.labels, deadline_label, static_cast<std::uint64_t>(entry.deadline.count())));
    entry.drained = text_label(info.labels, drained_label) == "yes";
    for (const auto& [key, value] : info.labels.items()) {
        if (!key.starts_with(own_labels) && value.is_string()) {
            entry.labels.emplace(key, value.get<std::string>());
        }
    }
    return entry;
}

Json labels_of(const HostEntry& entry)
{
    const HostEntry usual;
    Json labels = entry.labels;
    const auto note = [&](std::string_view key, const std::string& value) {
        if (!value.empty()) {
            labels[std::string(key)] = value;
        }
    };
    note(folder_label, entry.folder);
    note(pool_label, entry.pool);
    note(accel_label, entry.accel);
    note(address_label, entry.migrate_address);
    note(memory_label, entry.memory_mib == 0 ? "" : std::to_string(entry.memory_mib));
    note(keepalive_label,
         entry.keepalive == usual.keepalive ? "" : std::to_string(entry.keepalive.count()));
    note(deadline_label,
         entry.deadline == usual.deadline ? "" : std::to_string(entry.deadline.count()));
    note(drained_label, entry.drained ? "yes" : "");
    return labels;
}

virt::Connection open_connection(const HostEntry& host)
{
    return virt::Connection::open(host.uri,
                                  {.read_only = false,
                                   .keepalive_s = static_cast<int>(host.keepalive.count()),
                                   .keepalive_count = 3});
}

std::unique_ptr<Hypervisor>
hypervisor_over(virt::Connection connection, const HostEntry& host, const Cancel& cancel)
{
    std::unique_ptr<HostStore> store;
    if (host.pool.empty()) {
        store = std::make_unique<FolderStore>(
            host.folder, [&cancel](const std::filesystem::path& path, const std::string& format) {
                return digest_of_disk(path, format, &cancel);
            });
    } else {
        store =
            std::make_unique<PoolStore>(virt::StoragePool::find(connection, host.pool),
                                        PoolStore::Settings{.host = host.name, .cancel = &cancel});
    }
    return std::make_unique<LibvirtHypervisor>(
        std::move(connection),
        std::move(store),
        LibvirtHypervisor::Settings{.name = host.name,
                                    .accel = host.accel,
                                    .migrate_address = host.migrate_address,
                                    .memory_mib = host.memory_mib,
                                    .cancel = &cancel});
}

virt::Connection open_in_time(const HostEntry& host, const Cancel& cancel)
{
    return in_time<virt::Connection>(host, cancel, [host] { return open_connection(host); });
}

std::unique_ptr<Hypervisor> connect_host(const HostEntry& host, const Cancel& cancel)
{
    return with_deadlines(in_time<std::shared_ptr<Hypervisor>>(host, cancel, opener(host, cancel)),
                          host.deadline,
                          &cancel);
}

Fleet::Fleet(const std::vector<HostEntry>& hosts,
             std::chrono::milliseconds patience,
             const Cancel& cancel)
    : cancel_(cancel)
{
    using Opening = Background<std::shared_ptr<Hypervisor>>;
    std::map<std::string, Opening> openings;
    const auto begin = steady_clock::now();
    for (const auto& host : hosts) {
        openings.emplace(host.name, Opening(opener(host, cancel)));
    }
    for (const auto& host : hosts) {
        auto& slot = slots_[host.name];
        slot.deadline = std::min<std::chrono::milliseconds>(host.deadline, patience);
        slot.drained = host.drained;
        try {
            auto opened = openings.at(host.name).wait_until(begin + slot.deadline, &cancel);
            if (opened) {
                slot.hypervisor = with_deadlines(std::move(*opened), host.deadline, &cancel);
            } else {
                slot.error = fmt::format(
                    "no answer within {} s",
                    std::chrono::duration_cast<std::chrono::seconds>(slot.deadline).count());
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            slot.error = error.one_line();
        }
    }
}

Hypervisor* Fleet::find(std::string_view name) const
{
    const auto found = slots_.find(name);
    return found == slots_.end() ? nullptr : found->second.hypervisor.get();
}

std::map<std::string, Hypervisor*> Fleet::hosts() const
{
    std::map<std::string, Hypervisor*> hosts;
    for (const auto& [name, slot] : slots_) {
        if (slot.hypervisor) {
            hosts.emplace(name, slot.hypervisor.get());
        }
    }
    return hosts;
}

std::vector<ObservedHost> Fleet::observe() const
{
    std::map<std::string, Background<ObservedHost>> looks;
    for (const auto& [name, slot] : slots_) {
        if (slot.hypervisor) {
            looks.emplace(name, begin_look(slot.hypervisor));
        }
    }
    // Every look ends by its own deadline; a little more lets it say so itself.
    const auto begin = steady_clock::now();
    std::vector<ObservedHost> hosts;
    for (const auto& [name, slot] : slots_) {
        ObservedHost host;
        host.error = slot.error;
        if (const auto look = looks.find(name); look != looks.end()) {
            host =
                seen_until(look->second, begin + slot.deadline + std::chrono::seconds(1), cancel_);
        }
        host.name = name;
        host.drained = slot.drained;
        hosts.push_back(std::move(host));
    }
    return hosts;
}

std::vector<std::unique_ptr<Lease>> Fleet::lease(const std::string& release) const
{
    using Taking = Background<std::unique_ptr<Lease>>;
    std::vector<std::unique_ptr<Lease>> leases;
    std::optional<Error> refusal;
    const auto start = [&](const Slot& slot) {
        return Taking([host = slot.hypervisor, release] { return host->lease(release); });
    };
    const auto finish = [&](Taking& taking, const Slot& slot, steady_clock::time_point begin) {
        try {
            auto taken =
                taking.wait_until(begin + slot.deadline + std::chrono::seconds(1), &cancel_);
            if (taken && *taken) {
                leases.push_back(std::move(*taken));
            }
        } catch (const Error& error) {
            if (error.code() != ErrorCode::remote) {
                refusal = error;
            }
        }
    };
    // The first host alone: of two that begin at once one is refused there, and neither elsewhere.
    const auto first = std::ranges::find_if(
        slots_, [](const auto& entry) { return entry.second.hypervisor != nullptr; });
    if (first == slots_.end()) {
        return leases;
    }
    auto gate = start(first->second);
    finish(gate, first->second, steady_clock::now());
    std::vector<std::pair<const Slot*, Taking>> others;
    for (auto entry = std::next(first); !refusal && entry != slots_.end(); ++entry) {
        if (entry->second.hypervisor) {
            others.emplace_back(&entry->second, start(entry->second));
        }
    }
    const auto begin = steady_clock::now();
    for (auto& [slot, taking] : others) {
        finish(taking, *slot, begin);
    }
    if (refusal) {
        throw Error(*refusal);
    }
    return leases;
}

std::vector<Outcome<std::vector<std::string>>> Fleet::end_leases(const std::string& release) const
{
    using Owners = std::vector<std::string>;
    std::map<std::string, Background<Owners>> endings;
    for (const auto& [name, slot] : slots_) {
        if (slot.hypervisor) {
            endings.emplace(name, Background<Owners>([host = slot.hypervisor, release] {
                                return host->end_leases(release);
                            }));
        }
    }
    const auto begin = steady_clock::now();
    std::vector<Outcome<Owners>> outcomes;
    for (const auto& [name, slot] : slots_) {
        Outcome<Owners> outcome{.item = name, .value = {}, .error = {}};
        try {
            if (const auto ending = endings.find(name); ending != endings.end()) {
                outcome.value = ending->second.wait_until(
                    begin + slot.deadline + std::chrono::seconds(1), &cancel_);
            }
            if (!outcome.value) {
                outcome.error =
                    Error(ErrorCode::remote, slot.error.empty() ? "no answer in time" : slot.error);
            }
        } catch (const Error& error) {
            if (error.code() == ErrorCode::interrupted) {
                throw;
            }
            outcome.error = error;
        }
        outcomes.push_back(std::move(outcome));
    }
    return outcomes;
}

} // namespace stemma::deployer
