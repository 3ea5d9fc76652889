#include "torn_disk.hpp"

#include "stemma/core/file.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <new>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace stemma::lineage::test {

namespace {

constexpr std::size_t sector = 512;

/// One write that was not synced yet, and what it replaced.
struct Undo {
    std::size_t offset = 0;
    std::string before; ///< shorter than the write where the file was extended
    std::size_t length = 0;
    std::size_t old_size = 0;
};

/// Bytes `from` to `until` of a write are as they were before it.
void take_back(const Undo& undo, std::size_t from, std::size_t until, std::string& data)
{
    for (std::size_t i = from; i < until && undo.offset + i < data.size(); ++i) {
        data[undo.offset + i] = i < undo.before.size() ? undo.before[i] : '\0';
    }
}

} // namespace

struct TornDisk::State {
    Loss loss;
    sqlite3_vfs vfs{};
    sqlite3_vfs* real = nullptr;
    std::map<std::string, std::vector<Undo>> unsynced;
    std::uint64_t writes = 0;
    std::uint64_t room = ~0ULL;

    [[nodiscard]] bool has_room(std::uint64_t bytes);
    void note(const std::string& path, sqlite3_file* file, std::size_t offset, std::size_t length);
    void wrote();
    void lose_power();
};

namespace {

struct TornFile {
    sqlite3_file base;
    TornDisk::State* state;
    std::string* path; ///< null: a file that does not matter
    sqlite3_file* real;
};

TornFile& torn(sqlite3_file* file)
{
    return *reinterpret_cast<TornFile*>(
        file); // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast): SQLite's inheritance
}

int on_close(sqlite3_file* file)
{
    auto& self = torn(file);
    const int code =
        self.real->pMethods != nullptr ? self.real->pMethods->xClose(self.real) : SQLITE_OK;
    delete self.path;
    return code;
}
int on_read(sqlite3_file* file, void* into, int amount, sqlite3_int64 offset)
{
    return torn(file).real->pMethods->xRead(torn(file).real, into, amount, offset);
}
int on_write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset)
{
    auto& self = torn(file);
    if (self.path != nullptr && !self.state->has_room(static_cast<std::uint64_t>(amount))) {
        return SQLITE_FULL;
    }
    if (self.path != nullptr) {
        self.state->note(*self.path,
                         self.real,
                         static_cast<std::size_t>(offset),
                         static_cast<std::size_t>(amount));
    }
    const int code = self.real->pMethods->xWrite(self.real, from, amount, offset);
    if (self.path != nullptr) {
        self.state->wrote();
    }
    return code;
}
int on_truncate(sqlite3_file* file, sqlite3_int64 size)
{
    return torn(file).real->pMethods->xTruncate(torn(file).real, size);
}
int on_sync(sqlite3_file* file, int)
{
    auto& self = torn(file);
    if (self.path != nullptr) {
        self.state->unsynced[*self.path].clear();
    }
    return SQLITE_OK; // the real disk is not the one that is tested
}
int on_size(sqlite3_file* file, sqlite3_int64* size)
{
    return torn(file).real->pMethods->xFileSize(torn(file).real, size);
}
int on_lock(sqlite3_file* file, int level)
{
    return torn(file).real->pMethods->xLock(torn(file).real, level);
}
int on_unlock(sqlite3_file* file, int level)
{
    return torn(file).real->pMethods->xUnlock(torn(file).real, level);
}
int on_check_lock(sqlite3_file* file, int* held)
{
    return torn(file).real->pMethods->xCheckReservedLock(torn(file).real, held);
}
int on_control(sqlite3_file* file, int operation, void* argument)
{
    return torn(file).real->pMethods->xFileControl(torn(file).real, operation, argument);
}
int on_sector(sqlite3_file*)
{
    return sector;
}
int on_characteristics(sqlite3_file*)
{
    return 0; // promises nothing: no atomic writes, no order, no safe append
}
int on_shm_map(sqlite3_file* file, int page, int size, int extend, volatile void** out)
{
    return torn(file).real->pMethods->xShmMap(torn(file).real, page, size, extend, out);
}
int on_shm_lock(sqlite3_file* file, int offset, int n, int flags)
{
    return torn(file).real->pMethods->xShmLock(torn(file).real, offset, n, flags);
}
void on_shm_barrier(sqlite3_file* file)
{
    torn(file).real->pMethods->xShmBarrier(torn(file).real);
}
int on_shm_unmap(sqlite3_file* file, int remove)
{
    return torn(file).real->pMethods->xShmUnmap(torn(file).real, remove);
}

/// Version 2: with shared memory for WAL, without memory mapping, so that every read and write
/// comes by.
const sqlite3_io_methods methods = {2,
                                    on_close,
                                    on_read,
                                    on_write,
                                    on_truncate,
                                    on_sync,
                                    on_size,
                                    on_lock,
                                    on_unlock,
                                    on_check_lock,
                                    on_control,
                                    on_sector,
                                    on_characteristics,
                                    on_shm_map,
                                    on_shm_lock,
                                    on_shm_barrier,
                                    on_shm_unmap,
                                    nullptr,
                                    nullptr};

int on_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out)
{
    auto& state = *static_cast<TornDisk::State*>(vfs->pAppData);
    auto& self = torn(file);
    self.base.pMethods = nullptr;
    self.state = &state;
    self.path = nullptr;
    self.real = reinterpret_cast<sqlite3_file*>(
        reinterpret_cast<char*>(file) +
        sizeof(
            TornFile)); // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast): SQLite's inheritance
    const int code = state.real->xOpen(state.real, name, self.real, flags, out);
    if (code == SQLITE_OK) {
        if ((flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
            self.path = new std::string(name);
            state.unsynced[*self.path];
        }
        self.base.pMethods = &methods;
    }
    return code;
}

} // namespace

void TornDisk::State::note(const std::string& path,
                           sqlite3_file* file,
                           std::size_t offset,
                           std::size_t length)
{
    sqlite3_int64 size = 0;
    file->pMethods->xFileSize(file, &size);
    Undo undo{offset, "", length, static_cast<std::size_t>(size)};
    if (offset < undo.old_size) {
        undo.before.resize(std::min(length, undo.old_size - offset));
        file->pMethods->xRead(file,
                              undo.before.data(),
                              static_cast<int>(undo.before.size()),
                              static_cast<sqlite3_int64>(offset));
    }
    unsynced[path].push_back(std::move(undo));
}

bool TornDisk::State::has_room(std::uint64_t bytes)
{
    if (room == ~0ULL) {
        return true;
    }
    if (room < bytes) {
        room = 0;
        return false;
    }
    room -= bytes;
    return true;
}

void TornDisk::State::wrote()
{
    if (++writes == loss.write) {
        lose_power();
    }
}

void TornDisk::State::lose_power()
{
    std::mt19937_64 random(loss.seed);
    for (const auto& [path, undos] : unsynced) {
        if (!std::filesystem::exists(path)) {
            continue;
        }
        std::string data = read_file(path);
        const auto keep_all = random() % 4 == 0;
        const auto lose_all = random() % 4 == 0;
        for (auto undo = undos.rbegin(); undo != undos.rend(); ++undo) {
            bool whole = true;
            for (std::size_t at = 0; at < undo->length; at += sector) {
                const bool lost = lose_all || (!keep_all && random() % 2 == 0);
                whole = whole && lost;
                if (lost) {
                    take_back(*undo, at, std::min(at + sector, undo->length), data);
                }
            }
            if (whole && data.size() > undo->old_size) {
                data.resize(undo->old_size);
            }
        }
        write_file(loss.folder / std::filesystem::path(path).filename(), data);
    }
    loss.lost();
}

TornDisk::TornDisk(Loss loss) : state_(std::make_unique<State>())
{
    state_->loss = std::move(loss);
    state_->real = sqlite3_vfs_find(nullptr);
    state_->vfs = *state_->real;
    state_->vfs.zName = "torn-disk";
    state_->vfs.pAppData = state_.get();
    state_->vfs.szOsFile = static_cast<int>(sizeof(TornFile)) + state_->real->szOsFile;
    state_->vfs.xOpen = on_open;
    sqlite3_vfs_register(&state_->vfs, 1);
}

TornDisk::~TornDisk()
{
    sqlite3_vfs_unregister(&state_->vfs);
    sqlite3_vfs_register(state_->real, 1);
}

void TornDisk::set_room(std::uint64_t bytes)
{
    state_->room = bytes;
}

std::uint64_t TornDisk::writes() const
{
    return state_->writes;
}

} // namespace stemma::lineage::test
