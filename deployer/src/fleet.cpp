#include "stemma/deployer/fleet.hpp"

#include "stemma/deployer/libvirt_hypervisor.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace stemma::deployer {

namespace {

using std::chrono::steady_clock;

/// Shared with a thread that may outlive everybody who waits for it.
struct Opening {
    std::mutex mutex;
    std::condition_variable done;
    bool finished = false;
    std::unique_ptr<Hypervisor> hypervisor;
    std::string error;
};

void open_in_background(const std::shared_ptr<Opening>& opening,
                        const HostEntry& host,
                        const Cancel& cancel)
{
    // The process's Cancel outlives the thread, as does everything else it uses.
    std::thread([opening, host, &cancel] {
        std::unique_ptr<Hypervisor> hypervisor;
        std::string error;
        try {
            hypervisor = connect_host(host, cancel);
        } catch (const std::exception& failure) {
            error = failure.what();
        }
        const std::lock_guard lock(opening->mutex);
        opening->hypervisor = std::move(hypervisor);
        opening->error = std::move(error);
        opening->finished = true;
        opening->done.notify_all();
    }).detach();
}

std::string text_label(const Json& labels, std::string_view key)
{
    const auto found = labels.find(key);
    return found != labels.end() && found->is_string() ? found->get<std::string>() : std::string();
}

} // namespace

HostEntry entry_of(const lineage::HostInfo& info)
{
    HostEntry entry{.name = info.name,
                    .uri = info.uri,
                    .folder = text_label(info.labels, folder_label),
                    .accel = text_label(info.labels, accel_label),
                    .labels = {}};
    for (const auto& [key, value] : info.labels.items()) {
        if (!key.starts_with("stemma/") && value.is_string()) {
            entry.labels.emplace(key, value.get<std::string>());
        }
    }
    return entry;
}

std::unique_ptr<Hypervisor> connect_host(const HostEntry& host, const Cancel& cancel)
{
    HostStore store(host.folder,
                    [&cancel](const std::filesystem::path& path, const std::string& format) {
                        return digest_of_disk(path, format, &cancel);
                    });
    return std::make_unique<LibvirtHypervisor>(
        virt::Connection::open(host.uri),
        std::move(store),
        LibvirtHypervisor::Settings{.name = host.name, .accel = host.accel, .cancel = &cancel});
}

Fleet::Fleet(const std::vector<HostEntry>& hosts,
             std::chrono::milliseconds patience,
             const Cancel& cancel)
{
    std::map<std::string, std::shared_ptr<Opening>> openings;
    for (const auto& host : hosts) {
        openings[host.name] = std::make_shared<Opening>();
        open_in_background(openings[host.name], host, cancel);
    }
    const auto deadline = steady_clock::now() + patience;
    for (auto& [name, opening] : openings) {
        std::unique_lock lock(opening->mutex);
        while (!opening->finished && steady_clock::now() < deadline) {
            opening->done.wait_until(
                lock, std::min(deadline, steady_clock::now() + std::chrono::milliseconds(200)));
            cancel.check();
        }
        auto& slot = slots_[name];
        if (opening->finished) {
            slot.hypervisor = std::move(opening->hypervisor);
            slot.error = opening->error;
        } else {
            slot.error = "no answer in time";
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
    std::vector<ObservedHost> hosts;
    for (const auto& [name, slot] : slots_) {
        ObservedHost host;
        host.name = name;
        host.error = slot.error;
        if (slot.hypervisor) {
            try {
                host = slot.hypervisor->observe();
            } catch (const Error& error) {
                host.error = error.one_line();
            }
        }
        hosts.push_back(std::move(host));
    }
    return hosts;
}

} // namespace stemma::deployer
