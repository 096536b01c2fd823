// SPDX-License-Identifier: Apache-2.0
// tools/progress.cpp - see progress.hpp.
#include "progress.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <hotpath/core/text.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/trace.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>

namespace tools {

using namespace hotpath;
namespace words = report::words;

namespace {
volatile sig_atomic_t interrupts = 0;
constexpr std::uint64_t long_file = 8 << 20;  // bytes of the file; less is read before a bar can be seen
}  // namespace

progress::progress(std::string what) : what_(std::move(what)), begun_(monotonic_now()), drawn_(begun_) {
  struct sigaction now {};
  now.sa_handler = [](int) { interrupts = 1; };
  now.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&now.sa_mask);
  sigaction(SIGINT, &now, nullptr);
}
progress::~progress() {
  clear();
  signal(SIGINT, SIG_DFL);
}

void progress::into(trace::read_options& o) { o.progress = tell, o.context = this, ends_ = true; }
void progress::into_writing(trace::read_options& o) { o.progress = tell, o.context = this, ends_ = false; }
void progress::clear() { screen_.clear(); }
void progress::check() {
  if (interrupts != 0) throw interrupted{};
}

void progress::tell(void* self, std::uint64_t done, std::uint64_t total) {
  progress& p = *static_cast<progress*>(self);
  if (interrupts != 0 && p.ends_) {
    p.clear();
    ::_exit(static_cast<int>(exit_code::interrupted));
  }
  if (p.screen_.usable()) p.draw(done, total);
}

void progress::draw(std::uint64_t done, std::uint64_t total) {
  const nanoseconds now = monotonic_now();
  if (total < long_file || (drawn_ != begun_ && (now - drawn_).ns < 100'000'000)) return;
  drawn_ = now;
  screen_.draw({progress_line(what_, done, total, now - begun_, screen_.size().columns, terminal_of(2).ascii)});
}

std::string progress_line(std::string_view what, std::uint64_t done, std::uint64_t total, nanoseconds elapsed, std::size_t width, bool ascii) {
  const double share = total == 0 ? 1 : (std::min)(1.0, static_cast<double>(done) / static_cast<double>(total)), rate = static_cast<double>(done) / (std::max)(elapsed.s(), 1e-3);
  std::string tail = "  " + words::fixed(share * 100, 0) + " %  " + words::bytes(static_cast<double>(done)) + " of " + words::bytes(static_cast<double>(total)) + "  " + words::bytes(rate) + "/s";
  if (rate > 0 && done < total) tail += "  " + words::duration(nanoseconds::from_s(static_cast<double>(total - done) / rate)) + " left";
  std::string name = text::printable(what, 24);
  constexpr std::size_t bar = 16;
  std::string line = name + "  ";
  if (width > name.size() + 2 + bar + tail.size()) {
    const auto full = static_cast<std::size_t>(share * bar + 0.5);
    for (std::size_t i = 0; i < bar; ++i) line += i < full ? (ascii ? "#" : "\u2588") : (ascii ? "." : "\u2591");
  }
  return line + tail;
}

bool is_nsys(const std::string& path) {
  if (path.ends_with(".nsys-rep") || path.ends_with(".qdrep") || path.ends_with(".qdstrm")) return true;  // its reader says what to do
  struct stat s {};
  if (::stat(path.c_str(), &s) == 0 && !S_ISREG(s.st_mode)) return false;   // what is read from a pipe is gone, and SQLite needs a file
  char first[16];
  std::FILE* const f = std::fopen(path.c_str(), "rb");
  const std::size_t n = f != nullptr ? std::fread(first, 1, sizeof first, f) : 0;
  if (f != nullptr) std::fclose(f);
  return trace::is_sqlite({first, n});
}

namespace {
bool is_damaged_gzip(const std::string& path, std::size_t (*unpack)(std::string_view, char*, std::size_t)) {
  std::string packed(1 << 16, '\0'), text(1 << 12, '\0');
  std::FILE* const f = std::fopen(path.c_str(), "rb");
  if (f == nullptr) return false;
  packed.resize(std::fread(packed.data(), 1, packed.size(), f));
  std::fclose(f);
  return packed.starts_with("\x1f\x8b") && unpack != nullptr && unpack(packed, text.data(), text.size()) == 0;
}
}  // namespace

result<model::timeline> read_trace(const std::string& path, progress* bar) {
  trace::read_options o;
  if (bar != nullptr) bar->into(o);
  if (is_nsys(path)) return trace::read_nsys(path, o);
  auto t = trace::read<inflater>(path, o);
  if (!t && t.error().code == errc::malformed && is_damaged_gzip(path, head_of)) return error{.code = errc::malformed, .detail = "this is a damaged gzip file: nothing of it can be unpacked", .source = text::printable(path)};
  return t;
}

}  // namespace tools
