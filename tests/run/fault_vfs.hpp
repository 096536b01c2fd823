// SPDX-License-Identifier: Apache-2.0
// tests/run/fault_vfs.hpp - SQLite's file system with a fault in it: fails from the n-th write on, or remembers what a power cut leaves.
//   One instance at a time; while it lives it is SQLite's default VFS.
//     fault_vfs fs;  fs.fail_from = 17;       // the 17th write, sync, truncation or deletion and all after it (once: only that one)
//     fs.record = dir;  ...  fs.cut(random); // the files as a power cut at this moment may leave them
#pragma once
#include <sqlite3.h>
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace store_test {

class fault_vfs {
 public:
  std::int64_t fail_from = INT64_MAX;
  bool once = false;
  std::int64_t operations = 0;                 // that change a file, so far
  std::string record;                          // the folder whose files are remembered; empty: none
  std::function<void(fault_vfs&)> after_sync;  // called on the thread that synced

  fault_vfs() {
    self_ = this;
    real_ = sqlite3_vfs_find(nullptr);
    vfs_ = *real_;
    vfs_.zName = "fault";
    vfs_.pNext = nullptr;
    vfs_.szOsFile = static_cast<int>(sizeof(file)) + real_->szOsFile;
    vfs_.xOpen = open;
    vfs_.xDelete = remove;
    sqlite3_vfs_register(&vfs_, 1);
  }
  ~fault_vfs() {
    sqlite3_vfs_unregister(&vfs_);
    sqlite3_vfs_register(real_, 1);
    self_ = nullptr;
  }
  fault_vfs(const fault_vfs&) = delete;

  // What was synced, and of what was not a random choice of 512-byte sectors.
  std::map<std::string, std::string> cut(std::mt19937_64& random) {
    std::lock_guard hold{mutex_};
    std::map<std::string, std::string> files;
    for (const auto& [name, d] : disks_) {
      std::string bytes = d.synced;
      for (const change& c : d.unsynced) {
        if (c.truncate) {
          if (random() % 2 != 0) bytes.resize(static_cast<std::size_t>(c.at));
          continue;
        }
        for (std::size_t i = 0; i < c.data.size();) {
          const std::size_t sector = std::min(c.data.size() - i, 512 - (static_cast<std::size_t>(c.at) + i) % 512);
          if (random() % 2 != 0) put(bytes, static_cast<std::size_t>(c.at) + i, c.data.substr(i, sector));
          i += sector;
        }
      }
      if (!d.deleted || random() % 2 != 0) files[name] = std::move(bytes);
    }
    return files;
  }

 private:
  struct change {
    std::int64_t at = 0;
    std::string data;
    bool truncate = false;
  };
  struct disk {
    std::string synced;
    std::vector<change> unsynced;
    bool deleted = false;
  };
  struct file {
    sqlite3_file base;
    const char* name;  // of the main file, log or journal; nullptr: a temporary file
  };

  static void put(std::string& bytes, std::size_t at, const std::string& data) {
    if (bytes.size() < at + data.size()) bytes.resize(at + data.size());
    bytes.replace(at, data.size(), data);
  }
  static sqlite3_file* real(sqlite3_file* f) {
    return reinterpret_cast<sqlite3_file*>(reinterpret_cast<char*>(f) + sizeof(file));
  }
  static disk& disk_of(sqlite3_file* f) { return self_->disks_[reinterpret_cast<file*>(f)->name]; }
  static bool recorded(const char* name) {
    return name != nullptr && !self_->record.empty() && std::string(name).rfind(self_->record, 0) == 0;
  }
  static bool recorded(sqlite3_file* f) { return recorded(reinterpret_cast<file*>(f)->name); }

  static bool fails() {
    std::lock_guard hold{self_->mutex_};
    const std::int64_t n = ++self_->operations;
    return self_->once ? n == self_->fail_from : n >= self_->fail_from;
  }

  static int open(sqlite3_vfs*, const char* name, sqlite3_file* f, int flags, int* out) {
    auto* mine = reinterpret_cast<file*>(f);
    mine->base.pMethods = nullptr;
    mine->name = name;
    const int rc = self_->real_->xOpen(self_->real_, name, real(f), flags, out);
    if (real(f)->pMethods == nullptr) return rc;
    static const sqlite3_io_methods methods = {2,        close,   read,     write,   truncate, sync,   size,
                                               lock,     unlock,  reserved, control, sector,   traits, map,
                                               shm_lock, barrier, unmap,    nullptr, nullptr};
    mine->base.pMethods = &methods;
    if (rc == SQLITE_OK && recorded(f)) {
      std::lock_guard hold{self_->mutex_};
      disk& d = disk_of(f);
      if (std::exchange(d.deleted, false)) d = {};
    }
    return rc;
  }
  static int remove(sqlite3_vfs*, const char* name, int sync_directory) {
    if (fails()) return SQLITE_IOERR_DELETE;
    const int rc = self_->real_->xDelete(self_->real_, name, sync_directory);
    if (recorded(name)) {
      std::lock_guard hold{self_->mutex_};
      self_->disks_[name].deleted = true;
      if (sync_directory != 0) self_->disks_.erase(name);
    }
    return rc;
  }
  static int write(sqlite3_file* f, const void* data, int n, sqlite3_int64 at) {
    if (fails()) return SQLITE_FULL;
    const int rc = real(f)->pMethods->xWrite(real(f), data, n, at);
    if (rc == SQLITE_OK && recorded(f)) {
      std::lock_guard hold{self_->mutex_};
      disk_of(f).unsynced.push_back({at, std::string(static_cast<const char*>(data), static_cast<std::size_t>(n)), false});
    }
    return rc;
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 to) {
    if (fails()) return SQLITE_IOERR_TRUNCATE;
    const int rc = real(f)->pMethods->xTruncate(real(f), to);
    if (rc == SQLITE_OK && recorded(f)) {
      std::lock_guard hold{self_->mutex_};
      disk_of(f).unsynced.push_back({to, {}, true});
    }
    return rc;
  }
  static int sync(sqlite3_file* f, int flags) {
    if (fails()) return SQLITE_IOERR_FSYNC;
    const int rc = real(f)->pMethods->xSync(real(f), flags);
    if (rc == SQLITE_OK && recorded(f)) {
      {
        std::lock_guard hold{self_->mutex_};
        disk& d = disk_of(f);
        for (const change& c : d.unsynced) {
          if (c.truncate)
            d.synced.resize(static_cast<std::size_t>(c.at));
          else
            put(d.synced, static_cast<std::size_t>(c.at), c.data);
        }
        d.unsynced.clear();
      }
      if (self_->after_sync) self_->after_sync(*self_);
    }
    return rc;
  }

  static int close(sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); }
  static int read(sqlite3_file* f, void* to, int n, sqlite3_int64 at) { return real(f)->pMethods->xRead(real(f), to, n, at); }
  static int size(sqlite3_file* f, sqlite3_int64* n) { return real(f)->pMethods->xFileSize(real(f), n); }
  static int lock(sqlite3_file* f, int l) { return real(f)->pMethods->xLock(real(f), l); }
  static int unlock(sqlite3_file* f, int l) { return real(f)->pMethods->xUnlock(real(f), l); }
  static int reserved(sqlite3_file* f, int* out) { return real(f)->pMethods->xCheckReservedLock(real(f), out); }
  static int control(sqlite3_file* f, int op, void* arg) {
    return op == SQLITE_FCNTL_SIZE_HINT ? SQLITE_OK
                                        : real(f)->pMethods->xFileControl(real(f), op, arg);  // the hint writes past us
  }
  static int sector(sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); }
  // Not those of the real disk, which may promise that what is overwritten nearby survives.
  static int traits(sqlite3_file*) { return 0; }
  static int map(sqlite3_file* f, int page, int n, int extend, void volatile** out) {
    return real(f)->pMethods->xShmMap(real(f), page, n, extend, out);
  }
  static int shm_lock(sqlite3_file* f, int at, int n, int flags) { return real(f)->pMethods->xShmLock(real(f), at, n, flags); }
  static void barrier(sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); }
  static int unmap(sqlite3_file* f, int drop) { return real(f)->pMethods->xShmUnmap(real(f), drop); }

  static inline fault_vfs* self_ = nullptr;
  sqlite3_vfs* real_ = nullptr;
  sqlite3_vfs vfs_{};
  std::mutex mutex_;
  std::map<std::string, disk> disks_;
};

}  // namespace store_test
