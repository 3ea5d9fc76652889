#include "stemma/virt/migrate.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <libxml/parser.h>
#include <libxml/tree.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>

namespace stemma::virt {

namespace {

/// Ends a migration whose target is gone: the source would send for as long as TCP tries again, a
/// quarter of an hour, and its daemon does not talk to the target.
class TargetGuard {
public:
    /// Both are borrowed; calls go over the domain's connection, beside the one that migrates.
    TargetGuard(const Domain& domain, const Connection& target)
        : thread_([this, &domain, &target] { watch(domain, target); })
    {
    }
    TargetGuard(const TargetGuard&) = delete;
    TargetGuard& operator=(const TargetGuard&) = delete;
    ~TargetGuard()
    {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

private:
    void watch(const Domain& domain, const Connection& target)
    {
        std::unique_lock lock(mutex_);
        while (!changed_.wait_for(lock, std::chrono::milliseconds(500), [&] { return over_; })) {
            if (!target.alive()) {
                // Again and again: a phase of the migration may not be one that can be ended.
                virDomainAbortJob(domain.raw());
            }
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    bool over_ = false;
    std::thread thread_; // last: it uses the others
};

/// libvirt's list of typed values.
class Parameters {
public:
    Parameters() = default;
    ~Parameters() { virTypedParamsFree(list_, count_); }
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    void add(const char* key, const std::string& value)
    {
        if (!value.empty() &&
            virTypedParamsAddString(&list_, &count_, &room_, key, value.c_str()) < 0) {
            throw last_error("prepare a migration");
        }
    }
    [[nodiscard]] virTypedParameterPtr list() const noexcept { return list_; }
    [[nodiscard]] unsigned count() const noexcept { return static_cast<unsigned>(count_); }

private:
    virTypedParameterPtr list_ = nullptr;
    int count_ = 0;
    int room_ = 0;
};

unsigned flags_for(const MigrationRequest& request)
{
    unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE |
                     VIR_MIGRATE_ABORT_ON_ERROR;
    if (request.disks.empty()) {
        // libvirt cannot know that a local folder is shared; whoever leaves out the disks does.
        flags |= VIR_MIGRATE_UNSAFE;
    } else {
        flags |= VIR_MIGRATE_NON_SHARED_INC;
    }
    if (!request.peer_uri.empty()) {
        flags |= VIR_MIGRATE_PEER2PEER;
    }
    return flags;
}

void replace_in(xmlNodePtr node, const std::map<std::string, std::string>& moved)
{
    for (auto* attribute = node->properties; attribute != nullptr; attribute = attribute->next) {
        const std::unique_ptr<xmlChar, void (*)(void*)> value(
            xmlNodeListGetString(node->doc, attribute->children, 1), xmlFree);
        const auto found =
            value ? moved.find(reinterpret_cast<const char*>(value.get())) : moved.end();
        if (found != moved.end()) {
            xmlSetProp(
                node, attribute->name, reinterpret_cast<const xmlChar*>(found->second.c_str()));
        }
    }
    for (auto* child = node->children; child != nullptr; child = child->next) {
        if (child->type == XML_ELEMENT_NODE) {
            replace_in(child, moved);
        } else if (child->type == XML_TEXT_NODE && child->content != nullptr) {
            const auto found = moved.find(reinterpret_cast<const char*>(child->content));
            if (found != moved.end()) {
                xmlNodeSetContent(child, reinterpret_cast<const xmlChar*>(found->second.c_str()));
            }
        }
    }
}

} // namespace

void migrate(const Domain& domain, const Connection& target, const MigrationRequest& request)
{
    Parameters parameters;
    parameters.add(VIR_MIGRATE_PARAM_DEST_XML, request.live_xml);
    parameters.add(VIR_MIGRATE_PARAM_PERSIST_XML, request.persistent_xml);
    if (!request.data_address.empty()) {
        parameters.add(VIR_MIGRATE_PARAM_URI, "tcp://" + request.data_address);
    }
    for (const auto& disk : request.disks) {
        parameters.add(VIR_MIGRATE_PARAM_MIGRATE_DISKS, disk);
    }
    const auto flags = flags_for(request);
    const auto what = "migrate " + domain.name() + " to " + safe_uri(target.uri());
    if (!request.peer_uri.empty()) {
        if (virDomainMigrateToURI3(domain.raw(),
                                   request.peer_uri.c_str(),
                                   parameters.list(),
                                   parameters.count(),
                                   flags) != 0) {
            throw last_error(what);
        }
        return;
    }
    const TargetGuard guard(domain, target);
    auto* arrived =
        virDomainMigrate3(domain.raw(), target.raw(), parameters.list(), parameters.count(), flags);
    if (arrived == nullptr) {
        throw last_error(what);
    }
    virDomainFree(arrived);
}

std::string migratable_xml(const Domain& domain)
{
    char* text =
        virDomainGetXMLDesc(domain.raw(), VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE);
    if (text == nullptr) {
        throw last_error("read the XML of " + domain.name());
    }
    std::string xml(text);
    std::free(text); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    return xml;
}

std::string with_paths(const std::string& xml, const std::map<std::string, std::string>& moved)
{
    const std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
        xmlReadMemory(xml.data(),
                      static_cast<int>(xml.size()),
                      nullptr,
                      nullptr,
                      XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING),
        xmlFreeDoc);
    auto* root = document ? xmlDocGetRootElement(document.get()) : nullptr;
    if (root == nullptr) {
        throw Error(ErrorCode::corrupt, "not a domain's XML");
    }
    replace_in(root, moved);
    xmlChar* text = nullptr;
    int size = 0;
    xmlDocDumpMemory(document.get(), &text, &size);
    const std::unique_ptr<xmlChar, void (*)(void*)> owned(text, xmlFree);
    return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

std::optional<JobProgress> job_progress(const Domain& domain)
{
    virDomainJobInfo info{};
    if (virDomainGetJobInfo(domain.raw(), &info) != 0) {
        throw last_error("look at the job of " + domain.name());
    }
    if (info.type == VIR_DOMAIN_JOB_NONE) {
        return std::nullopt;
    }
    return JobProgress{.done = info.dataProcessed, .total = info.dataTotal};
}

} // namespace stemma::virt
