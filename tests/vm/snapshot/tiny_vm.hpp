#pragma once

#include "stemma/analyzer/take.hpp"
#include "stemma/core/error.hpp"
#include "stemma/core/file.hpp"
#include "stemma/core/process.hpp"
#include "stemma/virt/connection.hpp"
#include "stemma/virt/domain_xml.hpp"
#include "stemma/virt/guest_client.hpp"
#include "stemma/virt/xml.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

/// What the tests of snapshots share: one tiny VM on a libvirt of their own, and a place to keep.
namespace stemma::tiny {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// Events in memory.
class Notebook final : public lineage::Recorder {
public:
    lineage::AppendResult record(std::span<const model::EventDraft> drafts) override
    {
        events.insert(events.end(), drafts.begin(), drafts.end());
        return {drafts.size(), 0, events.size()};
    }
    using Recorder::record;
    std::vector<model::EventDraft> events;
};

/// A libvirt daemon of its own with one tiny guest, made once for all cases.
class Bench {
public:
    static Bench& get()
    {
        static Bench bench;
        return bench;
    }

    [[nodiscard]] const std::string& uri() const { return uri_; }
    [[nodiscard]] virt::Domain domain() const { return *connection_->find_by_name("tiny"); }
    [[nodiscard]] virt::DomainDescription description() const
    {
        return virt::describe_domain(domain().xml());
    }
    [[nodiscard]] const virt::Connection& connection() const { return *connection_; }
    [[nodiscard]] fs::path folder() const { return folder_.path(); }
    [[nodiscard]] fs::path work() const { return folder_.path() / "work"; }

    void start()
    {
        if (!domain().active()) {
            domain().start();
        }
        in_guest("true");
    }

    /// Runs a shell line in the guest, once its helper answers; its output.
    std::string in_guest(const std::string& line)
    {
        const auto deadline = std::chrono::steady_clock::now() + 120s;
        for (;;) {
            try {
                virt::GuestClient client(
                    virt::connect_unix((folder_.path() / "tiny.sock").string()), ++epoch_, nullptr);
                (void)client.hello(2s);
                std::string out;
                (void)client.request({.body = {{"op", "exec"},
                                               {"argv", Json::array({"sh", "-c", line})},
                                               {"timeout_ms", 20000}},
                                      .patience = 30s,
                                      .sink = [&](char, std::string_view bytes) { out += bytes; }});
                return out;
            } catch (const Error&) {
                if (std::chrono::steady_clock::now() > deadline) {
                    throw;
                }
                std::this_thread::sleep_for(200ms);
            }
        }
    }

    /// What a capture leaves where it should leave nothing.
    [[nodiscard]] std::vector<std::string> debris() const
    {
        std::vector<std::string> found;
        for (const auto& entry : fs::directory_iterator(folder_.path())) {
            if (entry.path().filename().string().starts_with(".stemma")) {
                found.push_back(entry.path().string());
            }
        }
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(work(), none)) {
            if (entry.path().extension() != ".lock") {
                found.push_back(entry.path().string());
            }
        }
        if (domain().backup_xml()) {
            found.emplace_back("a backup job");
        }
        return found;
    }

private:
    Bench()
    {
        const std::string support = STEMMA_VM_SUPPORT;
        run_checked(
            {.argv = {support + "/tiny-image", folder_.path().string(), STEMMA_GUEST_PROGRAM}});
        const auto up = run_checked(
            {.argv = {support + "/libvirt-host", "up", host_folder(), "snapshot-test"}});
        uri_ = up.out.substr(0, up.out.find('\n'));
        connection_.emplace(virt::Connection::open(uri_));
        const auto disk = folder_.path() / "disk.qcow2";
        run_checked({.argv = {"qemu-img",
                              "create",
                              "-q",
                              "-f",
                              "qcow2",
                              "-b",
                              (folder_.path() / "tiny.qcow2").string(),
                              "-F",
                              "qcow2",
                              disk.string()}});
        (void)connection_->define(domain_xml(disk));
    }

    ~Bench()
    {
        connection_.reset();
        try {
            run({.argv = {
                     std::string(STEMMA_VM_SUPPORT) + "/libvirt-host", "down", host_folder()}});
        } catch (const Error&) {
            // the folder goes anyway
        }
    }

    [[nodiscard]] std::string host_folder() const { return (folder_.path() / "host").string(); }

    [[nodiscard]] std::string domain_xml(const fs::path& disk) const
    {
        virt::XmlWriter xml;
        xml.open("domain", {{"type", "qemu"}}).element("name", "tiny");
        xml.element("memory", "96", {{"unit", "MiB"}}).element("vcpu", "1");
        xml.open("os").element("type", "hvm", {{"arch", "x86_64"}, {"machine", "pc"}});
        xml.element("kernel", (folder_.path() / "kernel").string());
        xml.element("initrd", (folder_.path() / "initrd").string());
        xml.element(
            "cmdline",
            "console=ttyS0 quiet mitigations=off no_timer_check cryptomgr.notests panic=-1");
        xml.close().open("devices").open("disk", {{"type", "file"}, {"device", "disk"}});
        xml.empty("driver", {{"name", "qemu"}, {"type", "qcow2"}});
        xml.empty("source", {{"file", disk.string()}});
        xml.empty("target", {{"dev", "vda"}, {"bus", "virtio"}}).close();
        xml.empty("controller", {{"type", "usb"}, {"model", "none"}});
        xml.empty("memballoon", {{"model", "none"}}).open("channel", {{"type", "unix"}});
        xml.empty("source", {{"mode", "bind"}, {"path", (folder_.path() / "tiny.sock").string()}});
        xml.empty("target", {{"type", "virtio"}, {"name", "org.stemma.guest.0"}}).close();
        return xml.close().close().finish();
    }

    TemporaryFolder folder_{"vm-snapshot"};
    std::string uri_;
    std::optional<virt::Connection> connection_;
    std::uint64_t epoch_ = 1;
};

inline bool can_run_vms()
{
    for (const auto* program : {"libvirtd", "qemu-system-x86_64", "qemu-img", "mke2fs", "cpio"}) {
        if (!find_program(program)) {
            WARN("[stemma-skip] " << program << " is not installed");
            return false;
        }
    }
    if (::geteuid() != 0) {
        WARN("[stemma-skip] a libvirt daemon of its own needs root");
        return false;
    }
    return true;
}

struct Shop {
    SystemClock clock;
    Cancel cancel;
    NullLog log;
    Progress progress{ProgressMode::none};
    Notebook notebook;
    TemporaryFolder folder{"vm-snapshots"};
    analyzer::SnapshotFolder snapshots{folder.path()};

    analyzer::Taken take(const std::optional<std::string>& parent = std::nullopt,
                         bool keep_disk = false,
                         std::optional<analyzer::PointMethod> method = std::nullopt)
    {
        auto& bench = Bench::get();
        analyzer::Taker taker(
            {clock, cancel, log, progress, notebook}, snapshots, analyzer::default_definition());
        return taker.take({bench.domain().uuid(), "tiny", "here", "", parent},
                          bench.uri(),
                          {.work_folder = bench.work(), .keep_disk = keep_disk, .method = method});
    }
};

} // namespace stemma::tiny
