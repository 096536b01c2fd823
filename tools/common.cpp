// SPDX-License-Identifier: Apache-2.0
// tools/common.cpp - see cli.hpp.
#include "cli.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <hotpath/core/text.hpp>
#include <hotpath/metrics/names.hpp>

namespace tools {

using namespace hotpath;

namespace {
bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool set(const char* name) {
  const char* v = std::getenv(name);
  return v != nullptr && *v != '\0';
}

error bad_value(std::string_view flag, const error& why) {
  error e = why;
  e.code = errc::usage;
  e.source = flag;
  return e;
}
}  // namespace

// ---- speaking

void say(std::string_view words) { write_all(2, "hotpath: " + text::printable(words, 4096) + "\n"); }

exit_code fail(const error& e, exit_code code) {
  say(e.message());
  return code;
}

exit_code usage(const std::string& words) {
  say(words);
  return exit_code::usage;
}

exit_code code_of(const error& e) {
  switch (e.code) {
    case errc::usage: return exit_code::usage;
    case errc::unreachable: return exit_code::unreachable;
    case errc::internal: return exit_code::internal;
    default: return exit_code::unusable;
  }
}

namespace {
int stdout_errno = 0;   // the first failure; what follows is not tried
bool write_stdout(std::string_view bytes) {
  if (stdout_errno == 0 && !write_all(1, bytes)) stdout_errno = errno;
  return stdout_errno == 0;
}
}  // namespace

bool print(std::string_view data) {
  const bool known = stdout_errno != 0;
  if (write_stdout(data) || nobody_reads()) return true;
  if (!known) say(std::string("stdout: cannot write: ") + std::strerror(stdout_errno));
  return false;
}

bool nobody_reads() { return stdout_errno == EPIPE; }

exit_code ending(exit_code code) { return stdout_errno == 0 || nobody_reads() ? code : exit_code::internal; }

terminal terminal_of(int descriptor) {
  terminal t;
  t.is_terminal = isatty(descriptor) == 1;
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view(term) == "dumb" || *term == '\0';
  t.color = t.is_terminal && !dumb && !set("NO_COLOR");
  winsize size{};
  std::uint64_t columns = 0;
  if (const char* c = std::getenv("COLUMNS"); c != nullptr && text::to_number(c, columns) && columns > 0) t.width = static_cast<std::size_t>(columns);
  else if (t.is_terminal && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) t.width = size.ws_col;
  // The first of these that is set names the character set; none is what containers have, with terminals that speak UTF-8.
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (!set(name)) continue;
    const std::string locale = text::lower(std::getenv(name));
    t.ascii = locale.find("utf-8") == std::string::npos && locale.find("utf8") == std::string::npos;
    break;
  }
  return t;
}

// ---- files

namespace {
error cannot_write(const std::string& path, int why) {
  return {.code = errc::unreadable, .detail = std::string("cannot write: ") + std::strerror(why), .source = path};
}

// Why the entry of a folder cannot become our file: 0 where it can, or where there is none yet. A file whose mode lets nobody write stays, whoever asks.
int why_not_replaced(const std::string& path, const struct stat& s) {
  if (S_ISDIR(s.st_mode)) return EISDIR;
  if (S_ISLNK(s.st_mode)) return ELOOP;
  if (S_ISREG(s.st_mode) && (s.st_mode & 0222) == 0) return EACCES;
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) != 0 ? errno : 0;
}
}  // namespace

bool is_gzip_name(std::string_view path) { return text::lower(path).ends_with(".gz"); }

result<void> may_write(const std::string& path, const std::vector<std::string>& inputs, bool gzip) {
  if (path == "-") return {};
  struct stat s {}, in {};
  if (::stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode))
    for (const std::string& input : inputs)
      if (::stat(input.c_str(), &in) == 0 && in.st_dev == s.st_dev && in.st_ino == s.st_ino)
        return error{.code = errc::usage, .detail = "would replace the input " + input, .source = path, .hint = "name another file"};
  const std::string name = text::lower(path);
  for (const std::string_view packed : {".zst", ".bz2", ".xz", ".lz4", ".br", ".zip", ".7z", ".gz"})
    if (name.ends_with(packed) && !(gzip && packed == ".gz"))
      return error{.code = errc::usage, .detail = "its name asks for " + std::string(packed) + ", which is not written here", .source = path, .hint = gzip ? "want .gz, or a name without it" : "want a name without it"};
  if (::lstat(path.c_str(), &s) != 0) return {};
  if (const int why = why_not_replaced(path, s); why != 0) return cannot_write(path, why);
  return {};
}

output_file::~output_file() {
  if (descriptor_ > 2) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

error output_file::trouble() const { return cannot_write(path_ == "-" ? "stdout" : path_, errno_); }

result<void> output_file::open() {
  if (path_ == "-") {
    descriptor_ = 1;
    return {};
  }
  struct stat s {};
  const bool there = ::lstat(path_.c_str(), &s) == 0;
  if (there) errno_ = why_not_replaced(path_, s);
  if (errno_ != 0) return trouble();
  if (there && !S_ISREG(s.st_mode)) {  // a pipe or a device: as it is
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  } else {
    temporary_ = path_ + ".XXXXXX";
    descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    if (descriptor_ < 0) temporary_.clear();
  }
  if (descriptor_ >= 0) return {};
  errno_ = errno;
  return trouble();
}

bool output_file::write(std::string_view bytes) {
  if (errno_ != 0) return false;
  const bool standard = path_ == "-";
  if (standard ? write_stdout(bytes) : write_all(descriptor_, bytes)) return true;
  errno_ = standard ? stdout_errno : errno;
  return false;
}

result<void> output_file::close() {
  if (errno_ == EPIPE && path_ == "-") return {};  // nobody reads any more
  if (errno_ == 0 && !temporary_.empty()) {
    if (::fsync(descriptor_) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) errno_ = errno;
    else temporary_.clear();
  }
  if (errno_ != 0) return trouble();
  return {};
}

namespace {
result<std::string> read_key_file(const std::string& path) {
  const auto no = [&](std::string detail, std::string hint = {}) {
    return error{.code = errc::unreadable, .detail = std::move(detail), .source = "--api-key-file " + path, .hint = std::move(hint)};
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return no(std::strerror(errno));
  struct stat s {};
  char bytes[8193];
  const bool known = ::fstat(fd, &s) == 0;
  const ssize_t n = known && S_ISREG(s.st_mode) ? ::read(fd, bytes, sizeof bytes) : -1;
  ::close(fd);
  if (n < 0) return no("is not a readable file");
  if ((s.st_mode & 077) != 0) return no("others may read it", "chmod 600 " + path);
  if (n > 8192) return no("is longer than 8 KiB, which is no key");
  const std::string key(text::trim(std::string_view(bytes, static_cast<std::size_t>(n))));
  if (key.empty()) return no("is empty");
  return key;
}
}  // namespace

result<std::vector<net::header>> read_headers(const std::vector<std::string>& lines, const given& key_env, const given& key_file) {
  const auto wrong = [](std::string_view flag, std::string detail, std::string hint = {}) {
    return error{.code = errc::usage, .detail = std::move(detail), .source = std::string(flag), .hint = std::move(hint)};
  };
  std::vector<net::header> out;
  for (const std::string& line : lines) {
    auto h = net::parse_header(line);
    if (!h) return wrong("--header", h.error().detail, h.error().hint);
    out.push_back(*h);
  }
  if (key_env && key_file) return wrong("--api-key-env and --api-key-file", "give one of them");
  std::string key;
  if (key_env) {
    const char* v = std::getenv(key_env->c_str());
    if (v == nullptr || *v == '\0') return wrong("--api-key-env", "the environment has no variable " + *key_env, "name the variable, not the key");
    key = v;
  }
  if (key_file) {
    auto k = read_key_file(*key_file);
    if (!k) return k.error();
    key = *k;
  }
  if (key.empty()) return out;
  auto h = net::parse_header("Authorization: Bearer " + key);
  if (!h) return wrong(key_env ? "--api-key-env" : "--api-key-file", "the key has a character that no HTTP header may have");
  out.push_back(*h);
  return out;
}

std::string file_of_run(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode)) return path + (path.ends_with('/') ? "" : "/") + "serve_profile.db";
  return path;
}

// ---- reading values

result<std::string> format_of(const output_flags& o, std::vector<std::string_view> allowed) {
  if (o.json && o.format && *o.format != "json") return error{.code = errc::usage, .detail = "--json and --format " + *o.format + " contradict each other"};
  if (!o.json && !o.format) return std::string(allowed.front());
  const std::string wanted = o.json ? "json" : *o.format;
  if (std::find(allowed.begin(), allowed.end(), wanted) != allowed.end()) return wanted;
  std::string all;
  for (const auto a : allowed) all += (all.empty() ? "" : a == allowed.back() ? " or " : ", ") + std::string(a);
  return error{.code = errc::usage, .detail = "\"" + wanted + "\" is not a format of this command, want " + all, .source = "--format"};
}

result<std::uint64_t> read_count(std::string_view flag, std::string_view value, std::uint64_t lo, std::uint64_t hi) {
  auto n = text::parse_uint(value, lo, hi);
  if (!n) return bad_value(flag, n.error());
  return n;
}

result<double> read_number(std::string_view flag, std::string_view value, double lo, double hi) {
  auto n = text::parse_double(value, lo, hi);
  if (!n) return bad_value(flag, n.error());
  return n;
}

result<nanoseconds> read_seconds(std::string_view flag, std::string_view value) {
  double seconds = 0;
  if (text::to_number(value, seconds)) {
    auto n = text::parse_double(value, 0, 1e9);
    if (!n) return bad_value(flag, n.error());
    return nanoseconds::from_s(seconds);
  }
  auto d = text::parse_duration(value);
  if (!d) return bad_value(flag, {.detail = "\"" + text::printable(value, 64) + "\" is not a time, want seconds (30, 0.5) or a duration (500ms, 2m)"});
  return d;
}

result<time_span> read_range(std::string_view flag, std::string_view value) {
  const auto wrong = [&](std::string_view why) {
    std::string what = "\"" + text::printable(value, 64) + "\" ";
    return error{.code = errc::usage, .detail = what.append(why), .source = std::string(flag), .hint = "want 20..60 (milliseconds) or 20ms-60ms, since the first GPU event; either end may be left out"};
  };
  const std::size_t dots = value.find(".."), dash = value.find('-');
  if (dots == std::string_view::npos && dash == std::string_view::npos) return wrong("is no range");
  const bool numbers = dots != std::string_view::npos;
  const std::string_view ends[] = {text::trim(value.substr(0, numbers ? dots : dash)), text::trim(value.substr(numbers ? dots + 2 : dash + 1))};
  time_span out;
  for (const std::size_t i : {0u, 1u}) {
    if (ends[i].empty()) continue;
    double ms = 0;
    auto& end = i == 0 ? out.from : out.to;
    if (numbers && text::to_number(ends[i], ms)) {
      if (!(ms >= 0) || ms > 1e12) return wrong("is no range of times from 0 on");
      end = nanoseconds::from_s(ms / 1e3);
    } else if (const auto t = text::parse_duration(ends[i])) {
      end = *t;
    } else {
      return wrong("is no range");
    }
  }
  if (!out.from && !out.to) return wrong("has neither end");
  if (out.from && out.to && *out.from >= *out.to) return wrong("ends before it begins");
  return out;
}

result<model::slo> read_slo(std::string_view value) {
  model::slo slo;
  std::optional<error> bad;
  text::split(value, ',', [&](std::string_view part) {
    if (bad) return;
    std::string_view limit = part;
    const std::string_view name = text::trim(text::take(limit, '='));
    std::optional<nanoseconds>* const field = name == "ttft" ? &slo.ttft : name == "tpot" ? &slo.tpot : name == "e2e" ? &slo.e2e : nullptr;
    if (field == nullptr || part.find('=') == std::string_view::npos) {
      bad = error{.detail = "\"" + text::printable(part, 64) + "\" is not a limit, want ttft=TIME, tpot=TIME or e2e=TIME, such as ttft=500ms,tpot=50ms"};
    } else if (*field) {
      bad = error{.detail = std::string(name) + " is given twice"};
    } else if (auto d = text::parse_duration(text::trim(limit)); !d) {
      bad = error{.detail = std::string(name) + ": " + d.error().detail};
    } else if (d->ns <= 0) {
      bad = error{.detail = std::string(name) + " must be above 0"};
    } else {
      *field = *d;
    }
  });
  if (bad) return bad_value("--slo", *bad);
  return slo;
}

result<std::string> read_engine(const std::string& value) {
  if (value == "auto") return std::string();
  if (std::find(metrics::engine_names.begin(), metrics::engine_names.end(), value) != metrics::engine_names.end()) return value;
  return error{.code = errc::usage, .detail = "\"" + text::printable(value, 64) + "\" is not an engine, want auto, vllm, sglang, trtllm, llamacpp, dynamo or generic", .source = "--engine"};
}

result<std::optional<double>> read_gate(const given& value) {
  if (!value) return std::optional<double>{};
  if (value->empty()) return std::optional<double>{0.99};
  std::string_view number = *value;
  const bool percent = number.ends_with('%');
  if (percent) number.remove_suffix(1);
  double share = 0;
  if (!text::to_number(number, share) || !(share > 0) || share > (percent ? 100 : 1))
    return error{.code = errc::usage, .detail = "\"" + text::printable(*value, 64) + "\" is not a share of the requests, want 0.99 or 99%", .source = "--gate"};
  return std::optional<double>{percent ? share / 100 : share};
}

// ---- secrets

std::vector<std::string> without_secrets(int argc, const char* const* argv) {
  std::vector<std::string> out(argv, argv + argc);
  if (argc > 0) out[0] = out[0].substr(out[0].rfind('/') + 1);  // where it is installed is nobody's business
  for (std::size_t i = 1; i < out.size(); ++i) {
    // "--flag value" or "--flag=value"
    std::size_t begin = out[i].starts_with("--") ? out[i].find('=') + 1 : 0;  // npos + 1 is 0
    const std::string flag = begin != 0 ? out[i].substr(0, begin - 1) : out[i - 1];
    std::string& a = out[i];
    if (flag == "--header") {  // every value: which header of a private gateway is a key cannot be known from its name
      const std::size_t colon = a.find(':', begin);
      a = a.substr(0, colon == std::string::npos ? begin : colon + 1) + std::string(text::redacted);
    } else if (flag == "--endpoint" || a.find("://") != std::string::npos) {
      a = a.substr(0, begin) + text::redact_url(std::string_view(a).substr(begin));
    }
  }
  return out;
}

void wipe_secrets(int argc, char** argv) {
  const std::vector<std::string> clean = without_secrets(argc, argv);
  for (std::size_t i = 1; i < clean.size(); ++i) {
    char* a = argv[i];
    for (std::size_t k = 0; k < clean[i].size() && *a == clean[i][k]; ++k) ++a;
    std::memset(a, '*', std::strlen(a));
  }
}

}  // namespace tools
