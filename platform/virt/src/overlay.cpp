#include "stemma/virt/overlay.hpp"

#include "stemma/virt/connection.hpp"
#include "stemma/virt/xml.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <thread>

namespace stemma::virt {

namespace {

using namespace std::chrono_literals;

/// True once the job of that disk has copied all there was.
bool is_ready(const Domain& domain, const std::string& target)
{
    virDomainBlockJobInfo info{};
    const int found = virDomainGetBlockJobInfo(domain.raw(), target.c_str(), &info, 0);
    if (found < 0) {
        throw last_error("look at the block job of " + target);
    }
    // Both are zero while QEMU still counts what is to be done.
    return found > 0 && info.end != 0 && info.cur == info.end;
}

bool has_job(const Domain& domain, const std::string& target)
{
    virDomainBlockJobInfo info{};
    return virDomainGetBlockJobInfo(domain.raw(), target.c_str(), &info, 0) > 0;
}

void begin_merge(const Domain& domain, const std::string& target, const std::string& base)
{
    constexpr unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE;
    if (virDomainBlockCommit(domain.raw(), target.c_str(), base.c_str(), nullptr, 0, flags) != 0) {
        throw last_error("merge the overlay of " + target);
    }
}

/// A reader of the file below that was just killed holds its lock for a moment longer.
void begin_merge_soon(const Domain& domain, const std::string& target, const std::string& base)
{
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    for (;;) {
        try {
            begin_merge(domain, target, base);
            return;
        } catch (const Error&) {
            if (std::chrono::steady_clock::now() > deadline) {
                throw;
            }
            std::this_thread::sleep_for(100ms);
        }
    }
}

} // namespace

void put_overlay(const Domain& domain,
                 const std::string& target,
                 const std::vector<std::string>& others,
                 const std::string& file)
{
    XmlWriter xml;
    xml.open("domainsnapshot").open("disks");
    for (const auto& other : others) {
        xml.empty("disk", {{"name", other}, {"snapshot", "no"}});
    }
    xml.open("disk", {{"name", target}, {"snapshot", "external"}, {"type", "file"}});
    xml.empty("driver", {{"type", "qcow2"}});
    xml.empty("source", {{"file", file}});
    const auto text = xml.close().close().close().finish();
    constexpr unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY |
                               VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                               VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
    auto* snapshot = virDomainSnapshotCreateXML(domain.raw(), text.c_str(), flags);
    if (snapshot == nullptr) {
        throw last_error("put an overlay on " + target + " of " + domain.name());
    }
    virDomainSnapshotFree(snapshot);
}

std::vector<std::string> files_of_disk(const std::string& domain_xml, const std::string& target)
{
    std::vector<std::string> files;
    const auto root = parse_xml(domain_xml, "libvirt's domain XML");
    for (const auto* disk : root.all("devices/disk")) {
        if (disk->attribute_at("target", "dev") != target) {
            continue;
        }
        for (const auto* layer = disk; layer != nullptr; layer = layer->find("backingStore")) {
            const auto* source = layer->find("source");
            if (source != nullptr) {
                files.push_back(
                    source->attribute(source->attribute("file").empty() ? "dev" : "file"));
            }
        }
    }
    return files;
}

void settle(const Domain& domain, const std::string& target)
{
    // A job's speed is set in its turn, behind whatever changes the domain. A disk without a job
    // refuses it (operation invalid, invalid argument); only a turn that never comes is a failure.
    if (virDomainBlockJobSetSpeed(domain.raw(), target.c_str(), 0, 0) != 0 &&
        virGetLastErrorCode() == VIR_ERR_OPERATION_TIMEOUT) {
        throw last_error("wait for what " + domain.name() + " is being asked by others");
    }
}

void merge_overlay(const Domain& domain,
                   const std::string& target,
                   const std::string& base,
                   std::chrono::seconds patience)
{
    if (!has_job(domain, target)) { // a killed process may have begun it
        begin_merge_soon(domain, target, base);
    }
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!is_ready(domain, target)) {
        if (std::chrono::steady_clock::now() > deadline) {
            (void)virDomainBlockJobAbort(domain.raw(), target.c_str(), 0);
            throw Error(ErrorCode::remote,
                        "the overlay of " + target + " of " + domain.name() +
                            " was not merged in time");
        }
        std::this_thread::sleep_for(20ms);
    }
    // The counters reach their end a moment before QEMU is ready to let go.
    constexpr unsigned pivot = VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT;
    while (virDomainBlockJobAbort(domain.raw(), target.c_str(), pivot) != 0) {
        const auto error = last_error("let " + domain.name() + " go on with its merged disk");
        if (virGetLastErrorCode() != VIR_ERR_BLOCK_COPY_ACTIVE ||
            std::chrono::steady_clock::now() > deadline) {
            throw Error(error);
        }
        std::this_thread::sleep_for(20ms);
    }
}

} // namespace stemma::virt
