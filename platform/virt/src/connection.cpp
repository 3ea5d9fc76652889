#include "stemma/virt/connection.hpp"

#include "stemma/virt/uri.hpp"
#include "stemma/virt/xml.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "event_loop.hpp"

namespace stemma::virt {

namespace {

struct Text {
    explicit Text(char* owned) : text(owned) {}
    ~Text() { std::free(text); } // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;
    char* text;
};

ErrorCode code_of(int libvirt_code) noexcept
{
    switch (libvirt_code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_NETWORK:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
    case VIR_ERR_NO_DOMAIN_SNAPSHOT:
    case VIR_ERR_NO_DOMAIN_CHECKPOINT:
    case VIR_ERR_NO_DOMAIN_BACKUP:
    case VIR_ERR_NO_DOMAIN_METADATA:
        return ErrorCode::not_found;
    case VIR_ERR_DOM_EXIST:
    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_STORAGE_VOL_EXIST:
    case VIR_ERR_RESOURCE_BUSY:
        return ErrorCode::conflict;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_OPERATION_UNSUPPORTED:
    case VIR_ERR_ARGUMENT_UNSUPPORTED:
    case VIR_ERR_CONFIG_UNSUPPORTED:
        return ErrorCode::unsupported;
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA:
        return ErrorCode::config;
    default:
        return ErrorCode::remote;
    }
}

std::string hint_for_open(std::string_view uri, int libvirt_code)
{
    if (libvirt_code == VIR_ERR_AUTH_FAILED || libvirt_code == VIR_ERR_AUTH_CANCELLED) {
        return "one of the two did not accept the other's key or certificate: it may be unknown, "
               "expired, or for another name";
    }
    if (libvirt_code == VIR_ERR_NO_CONNECT) {
        return "no libvirt driver answers to this URI; usual ones are qemu:///system and "
               "qemu+ssh://HOST/system";
    }
    if (is_local(uri)) {
        return "is libvirtd running? `systemctl start libvirtd`, or as root `libvirtd -d`; "
               "`stemma doctor` tells more";
    }
    return "try `virsh -c " + safe_uri(uri) + " hostname` to see whether the host can be reached";
}

/// libvirt prints every error itself unless it is told not to.
void keep_quiet(void* /*data*/, virErrorPtr /*error*/) {}

std::shared_ptr<virConnect> adopt(virConnectPtr connection)
{
    return {connection, [](virConnectPtr p) { virConnectClose(p); }};
}

} // namespace

Error last_error(std::string_view what)
{
    const virErrorPtr error = virGetLastError();
    if (error == nullptr) {
        return {ErrorCode::remote, fmt::format("cannot {}: libvirt gave no reason", what)};
    }
    return {code_of(error->code),
            fmt::format("cannot {}: {}", what, error->message == nullptr ? "" : error->message)};
}

Connection::Connection(std::shared_ptr<_virConnect> handle, std::string uri)
    : handle_(std::move(handle)), uri_(std::move(uri))
{
}

Connection Connection::open(const std::string& uri, const Options& options)
{
    virSetErrorFunc(nullptr, keep_quiet);
    ensure_event_loop();
    // No authentication callback that asks: a pipeline has nobody to ask.
    auto* handle = virConnectOpenAuth(
        without_questions(uri).c_str(), nullptr, options.read_only ? unsigned{VIR_CONNECT_RO} : 0U);
    if (handle == nullptr) {
        const int code = virGetLastErrorCode();
        const auto error = last_error("connect to " + safe_uri(uri));
        throw Error(ErrorCode::remote, error.message(), hint_for_open(uri, code));
    }
    Connection connection(adopt(handle), uri);
    // A driver in this process (the test driver) has no link that could die.
    if (virConnectSetKeepAlive(handle, options.keepalive_s, options.keepalive_count) < 0 &&
        virGetLastErrorCode() != VIR_ERR_NO_SUPPORT) {
        throw last_error("watch over the connection to " + safe_uri(uri));
    }
    return connection;
}

bool Connection::alive() const
{
    return virConnectIsAlive(raw()) == 1;
}

HostFacts Connection::facts() const
{
    HostFacts facts;
    if (const Text name(virConnectGetHostname(raw())); name.text != nullptr) {
        facts.host_name = name.text;
    }
    if (const char* type = virConnectGetType(raw()); type != nullptr) {
        facts.driver = type;
    }
    unsigned long version = 0;
    if (virConnectGetLibVersion(raw(), &version) == 0) {
        facts.libvirt_version =
            fmt::format("{}.{}.{}", version / 1000000, version / 1000 % 1000, version % 1000);
    }
    virNodeInfo node{};
    if (virNodeGetInfo(raw(), &node) != 0) {
        throw last_error("ask " + safe_uri(uri_) + " about its machine");
    }
    facts.memory_mib = node.memory / 1024;
    facts.cpus = node.cpus;
    if (const Text text(virConnectGetCapabilities(raw())); text.text != nullptr) {
        facts.uuid = parse_xml(text.text, "capabilities of " + safe_uri(uri_)).text_at("host/uuid");
    }
    return facts;
}

std::vector<Domain> Connection::domains() const
{
    virDomainPtr* list = nullptr;
    const int count = virConnectListAllDomains(raw(), &list, 0);
    if (count < 0) {
        throw last_error("list the domains of " + safe_uri(uri_));
    }
    std::vector<Domain> domains;
    domains.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        domains.emplace_back(handle_, list[i]);
    }
    std::free(list); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    std::ranges::sort(domains, {}, [](const Domain& domain) { return domain.name(); });
    return domains;
}

std::optional<Domain> Connection::find_by_uuid(const std::string& uuid) const
{
    auto* found = virDomainLookupByUUIDString(raw(), uuid.c_str());
    if (found == nullptr) {
        const auto code = virGetLastErrorCode();
        if (code == VIR_ERR_NO_DOMAIN ||
            code == VIR_ERR_INVALID_ARG) { // the latter: no UUID at all
            return std::nullopt;
        }
        throw last_error("look for domain " + uuid);
    }
    return Domain(handle_, found);
}

std::optional<Domain> Connection::find_by_name(const std::string& name) const
{
    auto* found = virDomainLookupByName(raw(), name.c_str());
    if (found == nullptr) {
        if (virGetLastErrorCode() == VIR_ERR_NO_DOMAIN) {
            return std::nullopt;
        }
        throw last_error("look for domain " + name);
    }
    return Domain(handle_, found);
}

Domain Connection::define(const std::string& xml) const
{
    auto* made = virDomainDefineXMLFlags(raw(), xml.c_str(), VIR_DOMAIN_DEFINE_VALIDATE);
    if (made == nullptr) {
        throw last_error("define a domain");
    }
    return {handle_, made};
}

Domain Connection::create_transient(const std::string& xml) const
{
    auto* made = virDomainCreateXML(raw(), xml.c_str(), VIR_DOMAIN_START_VALIDATE);
    if (made == nullptr) {
        throw last_error("start a transient domain");
    }
    return {handle_, made};
}

std::string Connection::domain_capabilities(const std::string& type) const
{
    const Text text(
        virConnectGetDomainCapabilities(raw(), nullptr, nullptr, nullptr, type.c_str(), 0));
    if (text.text == nullptr) {
        throw last_error("learn what guests of type " + type + " can have");
    }
    return text.text;
}

} // namespace stemma::virt
