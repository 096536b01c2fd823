// SPDX-License-Identifier: Apache-2.0
// hotpath/run/detail/run_file.hpp - the files of one run on disk: where they are, who may read them, who is writing.
//   x.db is the run; x.db-wal and x.db-shm are SQLite's while it is written; x.db-lock holds the pid of the writer. The lock is an
//   open-file-description lock: the kernel drops it with the process, so a file left by kill -9 blocks nobody.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::run::detail {

// For messages: control bytes as \n or \x1b, so that an error stays one line whatever the file is called.
std::string printable(std::string_view text);

struct run_path {
  std::string shown;      // as the caller gave it, printable
  std::string directory;  // absolute, without symbolic links
  std::string name;       // the last component: plain bytes

  // The name that SQLite gets. Absolute: "file:x", ":memory:" and "-x" are then file names like any other.
  std::string absolute(std::string_view suffix = {}) const {
    return (directory == "/" ? "/" : directory + "/") + name + std::string(suffix);
  }
};

// Errors name the path as given, and say what to do.
error path_error(errc code, const std::string& shown, std::string detail, std::string hint = {});
error os_error(const std::string& shown, std::string_view what, int number);  // errno's words; the code fits the number

// Of a run to be written. Makes missing directories, 0700 whatever the umask. The last component is not followed when it is a link.
result<run_path> resolve_for_writing(const std::string& path);
// Of a run to be read: links are followed; what is not a regular file is an error.
result<run_path> resolve_for_reading(const std::string& path);

enum class file_kind { none, regular, directory, link, other };
file_kind kind_of(const std::string& absolute);
std::uint64_t size_of(const std::string& absolute);  // 0: not there

result<void> create_private(const run_path& run);   // empty, 0600 whatever the umask; an existing file or link is an error
void sync_directory(const std::string& directory);  // makes the entry of a new file durable; best effort
// Never over another file. false: `to` exists.
result<bool> rename_free(const run_path& run, const std::string& from, const std::string& to);

class writer_lock {
 public:
  // An error that names the pid when another process, or another store of this one, holds it.
  static result<writer_lock> take(const run_path& run);
  writer_lock(writer_lock&& other) noexcept : fd_(other.fd_), path_(std::move(other.path_)) { other.fd_ = -1; }
  writer_lock& operator=(writer_lock&& other) noexcept;
  ~writer_lock() { release(); }
  void release();  // removes the file, then unlocks

 private:
  writer_lock(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_ = -1;
  std::string path_;
};

// The process that is writing the run: nullopt = nobody, 0 = somebody whose pid is not known.
std::optional<long> writer_of(const run_path& run);

// What SQLite would silently leave out of a write-ahead log that nobody is writing: damage to its head, or damage before at least
// two further commits. (One unfinished commit at the end is what a power cut leaves, and is none.) nullopt: nothing is left out.
std::optional<std::string> wal_damage(const std::string& wal);

}  // namespace hotpath::inline HOTPATH_ABI::run::detail

#if HOTPATH_HEADER_ONLY
#include <hotpath/run/detail/run_file-inl.hpp>
#endif
