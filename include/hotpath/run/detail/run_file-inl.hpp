// SPDX-License-Identifier: Apache-2.0
// hotpath/run/detail/run_file-inl.hpp - bodies of run_file.hpp.
#pragma once
#include <hotpath/run/detail/run_file.hpp>

#include <cerrno>
#include <climits>
#include <cstdio>  // renameat2
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace hotpath::inline HOTPATH_ABI::run::detail {

HOTPATH_FN std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    if (c == '\n')
      out += "\\n";
    else if (b < 0x20 || b == 0x7f)
      (out += "\\x") += {"0123456789abcdef"[b >> 4], "0123456789abcdef"[b & 15]};
    else
      out += c;
  }
  return out;
}

HOTPATH_FN error path_error(errc code, const std::string& shown, std::string detail, std::string hint) {
  error e;
  e.code = code;
  e.source = shown;
  e.detail = std::move(detail);
  e.hint = std::move(hint);
  return e;
}

HOTPATH_FN error os_error(const std::string& shown, std::string_view what, int number) {
  const errc code = number == ENOENT ? errc::not_found
                    : number == EACCES || number == EPERM || number == EROFS || number == ENOTDIR || number == EISDIR ||
                            number == ELOOP || number == ENAMETOOLONG
                        ? errc::unreadable
                        : errc::io;
  return path_error(code, shown, std::string(what) + ": " + std::generic_category().message(number));
}

// Every missing directory of `dir`, 0700: chmod, because the umask may have taken even the owner's bits.
inline result<void> make_directories(const std::string& dir, const std::string& shown) {
  for (std::size_t at = dir.find_first_not_of('/'); at != std::string::npos;) {
    const std::size_t slash = dir.find('/', at);
    const std::string part = dir.substr(0, slash);
    if (mkdir(part.c_str(), 0700) == 0) {
      if (chmod(part.c_str(), 0700) != 0) return os_error(shown, "cannot make the directory private", errno);
    } else if (errno != EEXIST) {
      const int number = errno;
      struct stat st;  // a directory on the way may be there and not ours to make: EACCES, EROFS
      if (stat(part.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
        return os_error(shown, "cannot make the directory " + printable(part), number);
    }
    at = slash == std::string::npos ? slash : dir.find_first_not_of('/', slash);
  }
  return {};
}

inline result<run_path> split_path(const std::string& path) {
  run_path run;
  run.shown = printable(path);
  if (path.empty()) return path_error(errc::usage, {}, "the name of the run's file is empty");
  if (path.find('\0') != std::string::npos) return path_error(errc::usage, run.shown, "a file name cannot contain a zero byte");
  const std::size_t slash = path.rfind('/');
  run.directory = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  run.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (run.name.empty() || run.name == "." || run.name == "..")
    return path_error(errc::unreadable, run.shown, "is a directory, want a file", "name a file in it");
  return run;
}

HOTPATH_FN result<run_path> resolve_for_writing(const std::string& path) {
  auto run = split_path(path);
  if (!run) return run;
  // SQLite opens name-journal beside the file, and the kernel stops at NAME_MAX: said before anything is made.
  constexpr std::size_t longest = NAME_MAX - (sizeof("-journal") - 1);
  if (run->name.size() > longest)
    return path_error(errc::over_limit, run->shown,
                      "the file name has " + std::to_string(run->name.size()) + " bytes, want at most " + std::to_string(longest),
                      "SQLite keeps files beside it whose names are 8 bytes longer");
  if (auto made = make_directories(run->directory, run->shown); !made) return made.error();
  char* real = realpath(run->directory.c_str(), nullptr);
  if (real == nullptr) return os_error(run->shown, "cannot use the directory", errno);
  run->directory = real;
  std::free(real);
  if (kind_of(run->absolute()) == file_kind::directory)
    return path_error(errc::unreadable, run->shown, "is a directory, want a file", "name a file in it");
  return run;
}

HOTPATH_FN result<run_path> resolve_for_reading(const std::string& path) {
  auto run = split_path(path);
  if (!run) return run;
  char* real = realpath(path.c_str(), nullptr);
  if (real == nullptr) {
    const int number = errno;
    // The file alone is missing: a write-ahead log that stayed behind is said, not passed over.
    if (number == ENOENT && size_of(path + "-wal") != 0)
      return path_error(errc::not_found, run->shown, "no such file, but its write-ahead log " + run->shown + "-wal is there",
                        "put the two back together, or remove the log");
    return os_error(run->shown, "cannot open the run", number);
  }
  const std::string absolute = real;
  std::free(real);
  const std::size_t slash = absolute.rfind('/');
  run->directory = slash == 0 ? "/" : absolute.substr(0, slash);
  run->name = absolute.substr(slash + 1);
  const file_kind kind = kind_of(absolute);
  if (kind == file_kind::directory)
    return path_error(errc::unreadable, run->shown, "is a directory, want a run's file", "name the file in it");
  if (kind != file_kind::regular) return path_error(errc::unreadable, run->shown, "is not a regular file");
  return run;
}

HOTPATH_FN file_kind kind_of(const std::string& absolute) {
  struct stat st;
  if (lstat(absolute.c_str(), &st) != 0) return file_kind::none;
  return S_ISREG(st.st_mode)   ? file_kind::regular
         : S_ISDIR(st.st_mode) ? file_kind::directory
         : S_ISLNK(st.st_mode) ? file_kind::link
                               : file_kind::other;
}

HOTPATH_FN std::uint64_t size_of(const std::string& absolute) {
  struct stat st;
  return lstat(absolute.c_str(), &st) == 0 && S_ISREG(st.st_mode) ? static_cast<std::uint64_t>(st.st_size) : 0;
}

HOTPATH_FN result<void> create_private(const run_path& run) {
  const int fd = open(run.absolute().c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return os_error(run.shown, "cannot make the file", errno);
  const int bad = fchmod(fd, 0600) != 0 ? errno : 0;
  close(fd);
  if (bad == 0) return {};
  unlink(run.absolute().c_str());
  return os_error(run.shown, "cannot make the file private", bad);
}

HOTPATH_FN void sync_directory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

HOTPATH_FN result<bool> rename_free(const run_path& run, const std::string& from, const std::string& to) {
#ifdef SYS_renameat2
  if (syscall(SYS_renameat2, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 1u /* RENAME_NOREPLACE */) == 0) return true;
  if (errno == EEXIST) return false;
  if (errno != EINVAL && errno != ENOSYS) return os_error(run.shown, "cannot be renamed to " + printable(to), errno);
#endif
  if (kind_of(to) != file_kind::none) return false;  // a file system without that flag: nearly as good
  if (rename(from.c_str(), to.c_str()) == 0) return true;
  return os_error(run.shown, "cannot be renamed to " + printable(to), errno);
}

// ---- the writer's lock --------------------------------------------------------------------------------------------------
inline struct flock whole_file(short type) {
  struct flock l {};
  l.l_type = type;
  l.l_whence = SEEK_SET;
  return l;
}

inline long pid_in(int fd) {
  char text[24] = {};
  return pread(fd, text, sizeof text - 1, 0) > 0 ? std::strtol(text, nullptr, 10) : 0;
}

HOTPATH_FN result<writer_lock> writer_lock::take(const run_path& run) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string path = run.absolute("-lock");
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
      return os_error(run.shown, errno == ELOOP ? "its lock file is a symbolic link" : "cannot write in this directory", errno);
    writer_lock lock{fd, {}};  // without the name: closes, removes nothing
    struct flock l = whole_file(F_WRLCK);
    if (fcntl(fd, F_OFD_SETLK, &l) != 0) {
      if (errno != EAGAIN && errno != EACCES) return os_error(run.shown, "this file system cannot lock files", errno);
      const long pid = pid_in(fd);
      return path_error(
          errc::unreadable, run.shown,
          pid > 0 ? "process " + std::to_string(pid) + " is writing this run" : "another process is writing this run",
          "wait for it, or choose another file");
    }
    // The holder before us may have removed the name between open and lock: then the lock is on a file that nobody else will find.
    struct stat ours, named;
    if (fstat(fd, &ours) != 0 || lstat(path.c_str(), &named) != 0 || ours.st_ino != named.st_ino || ours.st_dev != named.st_dev)
      continue;
    lock.path_ = std::move(path);
    const std::string pid = std::to_string(getpid()) + "\n";
    // Without its pid the lock holds all the same; the refusal then says "another process".
    if (fchmod(fd, 0600) != 0 || ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) return lock;
    return lock;
  }
  return path_error(errc::unreadable, run.shown, "its lock file is replaced again and again", "choose another file");
}

HOTPATH_FN writer_lock& writer_lock::operator=(writer_lock&& other) noexcept {
  if (this != &other) {
    release();
    fd_ = other.fd_;
    path_ = std::move(other.path_);
    other.fd_ = -1;
  }
  return *this;
}

HOTPATH_FN void writer_lock::release() {
  if (fd_ < 0) return;
  if (!path_.empty()) unlink(path_.c_str());
  close(fd_);
  fd_ = -1;
}

HOTPATH_FN std::optional<long> writer_of(const run_path& run) {
  const int fd = open(run.absolute("-lock").c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  struct flock l = whole_file(F_RDLCK);
  std::optional<long> pid;
  if (fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK) pid = pid_in(fd);
  close(fd);
  return pid;
}

// ---- the write-ahead log (format: sqlite.org/fileformat2.html, section 4) ----------------------------------------------
namespace wal {
inline std::uint32_t big(const unsigned char* p) {
  return static_cast<std::uint32_t>(p[0]) << 24 | static_cast<std::uint32_t>(p[1]) << 16 | static_cast<std::uint32_t>(p[2]) << 8 |
         p[3];
}
inline std::uint32_t little(const unsigned char* p) {
  return static_cast<std::uint32_t>(p[3]) << 24 | static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[1]) << 8 |
         p[0];
}
struct sum {
  std::uint32_t a = 0, b = 0;
  void add(const unsigned char* p, std::size_t n, bool big_endian) {  // n: a multiple of 8
    for (std::size_t i = 0; i < n; i += 8) {
      a += (big_endian ? big(p + i) : little(p + i)) + b;
      b += (big_endian ? big(p + i + 4) : little(p + i + 4)) + a;
    }
  }
};
inline bool read_all(int fd, unsigned char* to, std::size_t n) {
  for (std::size_t got = 0; got < n;) {
    const ssize_t k = read(fd, to + got, n - got);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return false;
    got += static_cast<std::size_t>(k);
  }
  return true;
}

// The words for what is left out; empty: nothing is.
inline std::string damage_in(int fd) {
  unsigned char head[32];
  if (!read_all(fd, head, sizeof head)) return {};
  const bool big_endian = (head[3] & 1) != 0;
  const std::uint32_t page = big(head + 8);
  sum s;
  s.add(head, 24, big_endian);
  if ((big(head) & ~1u) != 0x377f0682u || big(head + 4) != 3007000u || page < 512 || page > 65536 || (page & (page - 1)) != 0 ||
      s.a != big(head + 24) || s.b != big(head + 28))
    return "its head is damaged";
  std::vector<unsigned char> frame(24 + page);
  std::uint64_t at = sizeof head, bad_at = 0, commits = 0;
  for (; read_all(fd, frame.data(), frame.size()); at += frame.size()) {
    const unsigned char* f = frame.data();
    const bool ours = big(f + 8) == big(head + 16) && big(f + 12) == big(head + 20);  // salts: this generation of the log
    if (bad_at == 0) {
      s.add(f, 8, big_endian);
      s.add(f + 24, page, big_endian);
      if (ours && s.a == big(f + 16) && s.b == big(f + 20)) continue;
      bad_at = at;
    }
    if (ours && big(f + 4) != 0) ++commits;
  }
  return commits < 2
             ? std::string()
             : "damaged at byte " + std::to_string(bad_at) + ", " + std::to_string(commits) + " commits from there on are lost";
}
}  // namespace wal

HOTPATH_FN std::optional<std::string> wal_damage(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  const std::string words = wal::damage_in(fd);
  close(fd);
  if (words.empty()) return std::nullopt;
  return words;
}

}  // namespace hotpath::inline HOTPATH_ABI::run::detail
