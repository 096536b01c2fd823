// SPDX-License-Identifier: Apache-2.0
// hotpath/report/terminal-inl.hpp - bodies of report/terminal.hpp
#pragma once
#include <cerrno>
#include <cstdlib>
#include <string_view>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <hotpath/report/detail/page.hpp>
#include <hotpath/report/terminal.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

// What a signal handler may know: which terminal has its cursor hidden, and that the process was stopped meanwhile.
struct hidden_cursor {
  light_atomic<int> descriptor{-1};
  light_atomic<int> stopped{0};
};
inline hidden_cursor& the_cursor() {
  static hidden_cursor one;  // made before the first handler is set
  return one;
}
inline constexpr int cursor_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTSTP};

// Shows the cursor, then lets the signal do what it does by itself.
HOTPATH_FN void show_cursor_and_yield(int signal) {
  const int saved = errno;
  hidden_cursor& c = the_cursor();
  if (const int fd = c.descriptor.load_relaxed(); fd >= 0) {
    c.stopped.store_relaxed(1);
    [[maybe_unused]] const auto n = ::write(fd, "\x1b[?25h", 6);
  }
  struct sigaction ours {}, usual {};
  usual.sa_handler = SIG_DFL;
  ::sigaction(signal, &usual, &ours);
  sigset_t one, before;
  sigemptyset(&one), sigaddset(&one, signal);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &one, &before);  // here it ends the process, or stops it until SIGCONT
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::sigaction(signal, &ours, nullptr);
  errno = saved;
}

HOTPATH_FN void guard_cursor(bool on) {
  for (const int s : cursor_signals) {
    struct sigaction now {};
    ::sigaction(s, nullptr, &now);
    const bool ours = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == show_cursor_and_yield;
    const bool nobodys = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL;
    if (on ? !nobodys : !ours) continue;
    struct sigaction next {};
    next.sa_handler = on ? show_cursor_and_yield : SIG_DFL;
    next.sa_flags = SA_RESTART;
    sigemptyset(&next.sa_mask);
    ::sigaction(s, &next, nullptr);
  }
}

inline std::size_t columns_without_colour(std::string_view line) {
  std::string plain;
  for (std::size_t i = 0; i < line.size(); ++i)
    if (line[i] != '\x1b') plain += line[i];
    else if ((i = line.find('m', i)) == std::string_view::npos) break;
  return columns_of(plain);
}

}  // namespace detail

HOTPATH_FN terminal_size size_of(int descriptor, terminal_size otherwise) {
  winsize w{};
  if (::ioctl(descriptor, TIOCGWINSZ, &w) != 0) return otherwise;
  return {w.ws_col != 0 ? w.ws_col : otherwise.columns, w.ws_row != 0 ? w.ws_row : otherwise.rows};
}

HOTPATH_FN screen::screen(int descriptor) : descriptor_(descriptor) {
  const char* const term = std::getenv("TERM");
  usable_ = ::isatty(descriptor) == 1 && term != nullptr && *term != '\0' && std::string_view(term) != "dumb";
}

HOTPATH_FN screen::~screen() { clear(); }

// Back to where the page began, as the terminal shows it now: a line that is wider than it has become takes several rows.
HOTPATH_FN void screen::erase(std::string& out, std::size_t columns, std::size_t rows) {
  std::size_t up = 0;
  for (const std::size_t n : drawn_) up += n <= columns ? 1 : (n + columns - 1) / columns;
  if (up >= rows) up = rows > 0 ? rows - 1 : 0;
  out += '\r';
  if (up != 0) out += "\x1b[" + std::to_string(up) + "A";
  drawn_.clear();
}

HOTPATH_FN void screen::draw(const std::vector<std::string>& lines) {
  if (!usable_) return;
  const terminal_size now = size();
  std::string out;
  detail::hidden_cursor& c = detail::the_cursor();
  if (c.descriptor.load_relaxed() < 0) {
    c.descriptor.store_relaxed(descriptor_);
    detail::guard_cursor(true);
    out += "\x1b[?25l";
  } else if (c.stopped.load_relaxed() != 0) {  // others have written since; the page stays where it was
    out += "\x1b[?25l";
    drawn_.clear();
  }
  c.stopped.store_relaxed(0);
  erase(out, now.columns, now.rows);
  for (const std::string& line : lines) {
    if (drawn_.size() + 1 >= now.rows && !drawn_.empty()) break;
    out += "\x1b[2K" + line + "\r\n";  // erased first: after a full line the cursor is past its end, or on its last column
    drawn_.push_back(detail::columns_without_colour(line));
  }
  out += "\x1b[J";
  for (std::size_t done = 0; done < out.size();) {
    const ::ssize_t n = ::write(descriptor_, out.data() + done, out.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    done += static_cast<std::size_t>(n);
  }
}

HOTPATH_FN void screen::clear() {
  detail::hidden_cursor& c = detail::the_cursor();
  if (!usable_ || c.descriptor.load_relaxed() != descriptor_) return;
  const terminal_size now = size();
  std::string out;
  erase(out, now.columns, now.rows);
  out += "\x1b[J\x1b[?25h";
  [[maybe_unused]] const auto n = ::write(descriptor_, out.data(), out.size());
  c.descriptor.store_relaxed(-1);
  detail::guard_cursor(false);
}

}  // namespace hotpath::inline HOTPATH_ABI::report
