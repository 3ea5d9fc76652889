#include "stemma/virt/storage.hpp"

#include "stemma/core/text.hpp"
#include "stemma/virt/xml.hpp"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <algorithm>
#include <cstdlib>

namespace stemma::virt {

namespace {

/// libvirt's messages carry at most this much of a stream.
constexpr std::size_t piece_size = 262120;
constexpr int at_hole = -3;

std::string take(char* owned)
{
    std::string text(owned);
    std::free(owned); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    return text;
}

/// A stream that is ended or aborted, whatever happens in between.
class Stream {
public:
    explicit Stream(virConnectPtr connection) : handle_(virStreamNew(connection, 0))
    {
        if (handle_ == nullptr) {
            throw last_error("open a stream");
        }
    }
    ~Stream()
    {
        if (!ended_) {
            virStreamAbort(handle_);
        }
        virStreamFree(handle_);
    }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    void finish(std::string_view what)
    {
        ended_ = true;
        if (virStreamFinish(handle_) < 0) {
            throw last_error(what);
        }
    }
    [[nodiscard]] virStreamPtr raw() const noexcept { return handle_; }

private:
    virStreamPtr handle_;
    bool ended_ = false;
};

void send_all(virStreamPtr stream, std::span<const std::byte> bytes, const std::string& what)
{
    while (!bytes.empty()) {
        const auto size = std::min(bytes.size(), piece_size);
        const int sent = virStreamSend(stream, reinterpret_cast<const char*>(bytes.data()), size);
        if (sent < 0) {
            throw last_error(what);
        }
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
}

std::string volume_xml(const NewVolume& wanted)
{
    XmlWriter xml;
    xml.open("volume");
    xml.element("name", wanted.name);
    xml.element("capacity", std::to_string(wanted.capacity), {{"unit", "bytes"}});
    xml.element("allocation", "0", {{"unit", "bytes"}});
    xml.open("target").empty("format", {{"type", wanted.format}}).close();
    if (!wanted.backing.empty()) {
        xml.open("backingStore");
        xml.element("path", wanted.backing);
        xml.empty("format", {{"type", wanted.backing_format}});
        xml.close();
    }
    xml.close();
    return xml.finish();
}

std::string pool_xml(virStoragePoolPtr pool)
{
    char* text = virStoragePoolGetXMLDesc(pool, 0);
    if (text == nullptr) {
        throw last_error("read what a storage pool is");
    }
    return take(text);
}

std::vector<virStoragePoolPtr> all_pools(const Connection& connection)
{
    virStoragePoolPtr* list = nullptr;
    const int count = virConnectListAllStoragePools(connection.raw(), &list, 0);
    if (count < 0) {
        throw last_error("list the storage pools of " + safe_uri(connection.uri()));
    }
    std::vector<virStoragePoolPtr> pools(list, list + count);
    std::free(list); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    return pools;
}

virStoragePoolPtr
define_pool(const Connection& connection, const std::string& folder, const std::string& name)
{
    XmlWriter xml;
    xml.open("pool", {{"type", "dir"}});
    xml.element("name", name);
    xml.open("target").element("path", folder).close();
    xml.close();
    auto* made = virStoragePoolDefineXML(connection.raw(), xml.finish().c_str(), 0);
    if (made == nullptr) {
        throw last_error("make a storage pool of " + folder);
    }
    return made;
}

} // namespace

StorageVolume::StorageVolume(std::shared_ptr<_virConnect> connection, _virStorageVol* owned)
    : connection_(std::move(connection)),
      handle_(owned, [](virStorageVolPtr volume) { virStorageVolFree(volume); }),
      name_(virStorageVolGetName(owned))
{
}

std::string StorageVolume::path() const
{
    char* text = virStorageVolGetPath(raw());
    if (text == nullptr) {
        throw last_error("learn the path of volume " + name());
    }
    return take(text);
}

VolumeFacts StorageVolume::facts() const
{
    char* text = virStorageVolGetXMLDesc(raw(), 0);
    if (text == nullptr) {
        throw last_error("look at volume " + name());
    }
    const auto root = parse_xml(take(text), "XML of volume " + name());
    const auto number = [&](std::string_view path) {
        return parse_unsigned(root.text_at(path)).value_or(0);
    };
    return {.name = root.text_at("name"),
            .path = root.text_at("target/path"),
            .format = root.attribute_at("target/format", "type"),
            .backing = root.text_at("backingStore/path"),
            .capacity = number("capacity"),
            .allocation = number("allocation"),
            .written = root.text_at("target/timestamps/mtime") + "/" +
                       root.text_at("target/timestamps/btime")};
}

void StorageVolume::upload(std::uint64_t offset, std::uint64_t length, const Source& source) const
{
    const auto what = "write to volume " + name();
    Stream stream(connection_.get());
    if (virStorageVolUpload(raw(), stream.raw(), offset, length, 0) < 0) {
        throw last_error(what);
    }
    for (auto piece = source(); !piece.empty(); piece = source()) {
        send_all(stream.raw(), piece, what);
    }
    stream.finish(what);
}

void StorageVolume::download(std::uint64_t offset, std::uint64_t length, const Sink& sink) const
{
    const auto what = "read volume " + name();
    Stream stream(connection_.get());
    if (virStorageVolDownload(
            raw(), stream.raw(), offset, length, VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM) < 0) {
        throw last_error(what);
    }
    std::vector<std::byte> buffer(piece_size);
    for (;;) {
        const int got = virStreamRecvFlags(stream.raw(),
                                           reinterpret_cast<char*>(buffer.data()),
                                           buffer.size(),
                                           VIR_STREAM_RECV_STOP_AT_HOLE);
        if (got == at_hole) {
            long long hole = 0;
            if (virStreamRecvHole(stream.raw(), &hole, 0) < 0) {
                throw last_error(what);
            }
            sink({}, static_cast<std::uint64_t>(hole));
        } else if (got < 0) {
            throw last_error(what);
        } else if (got == 0) {
            break;
        } else {
            const auto size = static_cast<std::size_t>(got);
            sink(std::span(buffer).first(size), size);
        }
    }
    stream.finish(what);
}

void StorageVolume::remove() const
{
    if (virStorageVolDelete(raw(), 0) < 0 && virGetLastErrorCode() != VIR_ERR_NO_STORAGE_VOL) {
        throw last_error("remove volume " + name());
    }
}

StoragePool::StoragePool(std::shared_ptr<_virConnect> connection, _virStoragePool* owned)
    : connection_(std::move(connection)),
      handle_(owned, [](virStoragePoolPtr pool) { virStoragePoolFree(pool); }),
      name_(virStoragePoolGetName(owned))
{
    const auto root = parse_xml(pool_xml(handle_.get()), "XML of a storage pool");
    const auto type = root.attribute("type");
    folder_ = root.text_at("target/path");
    if (type != "dir" && type != "fs" && type != "netfs") {
        throw Error(ErrorCode::unsupported,
                    fmt::format("the volumes of storage pool {} ({}) are no files of a folder",
                                name(),
                                type),
                    "use a pool of type dir, fs or netfs, or --folder DIR");
    }
}

StoragePool StoragePool::find(const Connection& connection, const std::string& name)
{
    auto* found = virStoragePoolLookupByName(connection.raw(), name.c_str());
    if (found == nullptr) {
        throw last_error("find storage pool " + name + " of " + safe_uri(connection.uri()));
    }
    StoragePool pool(connection.shared(), found);
    pool.start_if_stopped();
    return pool;
}

StoragePool StoragePool::ensure(const Connection& connection,
                                const std::string& folder,
                                const std::string& name)
{
    std::optional<StoragePool> there;
    bool taken = false;
    for (auto* owned : all_pools(connection)) {
        const std::shared_ptr<_virStoragePool> pool(owned, virStoragePoolFree);
        const auto path =
            parse_xml(pool_xml(owned), "XML of a storage pool").text_at("target/path");
        taken = taken || virStoragePoolGetName(owned) == name;
        if (path == folder && virStoragePoolRef(owned) == 0) {
            there = StoragePool(connection.shared(), owned);
        }
    }
    if (there) {
        there->start_if_stopped();
        return *there;
    }
    // The folder is part of the name where somebody else's pool has it.
    auto own = name;
    for (const char letter : taken ? folder : std::string()) {
        own += letter == '/' ? '-' : letter;
    }
    StoragePool made(connection.shared(), define_pool(connection, folder, own));
    virStoragePoolSetAutostart(made.handle_.get(), 1);
    if (virStoragePoolBuild(made.handle_.get(), 0) < 0) {
        const auto error = last_error("make the folder " + folder + " of storage pool " + own);
        virStoragePoolUndefine(made.handle_.get());
        throw Error(error);
    }
    made.start_if_stopped();
    return made;
}

void StoragePool::start_if_stopped() const
{
    if (virStoragePoolIsActive(handle_.get()) != 1 && virStoragePoolCreate(handle_.get(), 0) < 0 &&
        virGetLastErrorCode() != VIR_ERR_OPERATION_INVALID) { // somebody else was faster
        throw last_error("start storage pool " + name());
    }
}

void StoragePool::require_space(std::uint64_t bytes) const
{
    virStoragePoolInfo info{};
    const auto ask = [&] {
        if (virStoragePoolGetInfo(handle_.get(), &info) < 0) {
            throw last_error("learn how full storage pool " + name() + " is");
        }
    };
    ask();
    if (info.available < bytes) { // libvirt knows what was free when it looked last
        refresh();
        ask();
    }
    if (info.available < bytes) {
        throw Error(ErrorCode::io,
                    fmt::format("{} has {} MiB free, and {} MiB are needed",
                                folder_,
                                info.available >> 20U,
                                (bytes >> 20U) + 1),
                    "make room there: `stemma host gc` removes bases that nothing uses");
    }
}

void StoragePool::refresh() const
{
    if (virStoragePoolRefresh(handle_.get(), 0) < 0) {
        throw last_error("look through storage pool " + name());
    }
}

std::vector<StorageVolume> StoragePool::volumes() const
{
    virStorageVolPtr* list = nullptr;
    const int count = virStoragePoolListAllVolumes(handle_.get(), &list, 0);
    if (count < 0) {
        throw last_error("list storage pool " + name());
    }
    std::vector<StorageVolume> volumes;
    volumes.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) {
        volumes.emplace_back(connection_, list[i]);
    }
    std::free(list); // NOLINT(cppcoreguidelines-no-malloc): libvirt's allocation
    std::ranges::sort(volumes, {}, [](const StorageVolume& volume) { return volume.name(); });
    return volumes;
}

std::vector<std::string> StoragePool::volume_names() const
{
    std::vector<std::string> names;
    for (const auto& volume : volumes()) {
        names.push_back(volume.name());
    }
    return names;
}

std::optional<StorageVolume> StoragePool::volume(const std::string& name) const
{
    auto* found = virStorageVolLookupByName(handle_.get(), name.c_str());
    if (found == nullptr) {
        if (virGetLastErrorCode() == VIR_ERR_NO_STORAGE_VOL) {
            return std::nullopt;
        }
        throw last_error("look for volume " + name);
    }
    return StorageVolume(connection_, found);
}

StorageVolume StoragePool::create(const NewVolume& wanted) const
{
    auto* made = virStorageVolCreateXML(handle_.get(), volume_xml(wanted).c_str(), 0);
    if (made == nullptr) {
        throw last_error("make volume " + wanted.name + " in storage pool " + name());
    }
    return {connection_, made};
}

StorageVolume StoragePool::clone(const NewVolume& wanted, const StorageVolume& from) const
{
    auto* made =
        virStorageVolCreateXMLFrom(handle_.get(), volume_xml(wanted).c_str(), from.raw(), 0);
    if (made == nullptr) {
        throw last_error("copy volume " + from.name() + " in storage pool " + name());
    }
    return {connection_, made};
}

} // namespace stemma::virt
