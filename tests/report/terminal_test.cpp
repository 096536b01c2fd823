// SPDX-License-Identifier: Apache-2.0
// The screen against a terminal of our own: a pseudo terminal whose output is played on a grid that wraps, scrolls and reflows.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cstdlib>
#include <hotpath/report/terminal.hpp>
#include <support/temp_dir.hpp>
#include "support/data.hpp"

using namespace hotpath;

namespace {

// What a VT100 does with what the screen sends; ASCII only. Anything it does not know fails the test.
class grid {
 public:
  grid(std::size_t columns, std::size_t rows) : columns_(columns), rows_(rows), lines_(rows) {}
  void feed(const std::string& bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const char c = bytes[i];
      if (c == '\r') x_ = 0;
      else if (c == '\n') down();
      else if (c == '\x1b') i = escape(bytes, i);
      else {
        REQUIRE(static_cast<unsigned char>(c) >= 0x20);
        if (x_ == columns_) x_ = 0, lines_[y_].wrapped = true, down();
        put(c);
      }
    }
  }
  // As tmux, GNOME's and others do it: wrapped lines are joined, and broken anew at the new width.
  void resize(std::size_t columns) {
    std::vector<row> joined;
    std::size_t cursor = 0;
    bool join = false;
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (!join) joined.push_back({});
      joined.back().text += lines_[i].text;
      join = lines_[i].wrapped;
      if (i == y_) cursor = joined.size() - 1;
    }
    std::vector<row> broken;
    std::size_t at = 0;
    for (std::size_t i = 0; i < joined.size(); ++i) {
      if (i == cursor) at = broken.size();
      std::string rest = joined[i].text;
      do {
        broken.push_back({rest.substr(0, columns), rest.size() > columns});
        rest.erase(0, columns);
      } while (!rest.empty());
    }
    columns_ = columns, lines_ = std::move(broken), y_ = at, x_ = 0;
    while (y_ >= rows_) lines_.erase(lines_.begin()), --y_;  // into the scrollback
    lines_.resize(rows_);
  }
  std::string text() const {
    std::string out;
    for (const row& r : lines_) {
      std::string t = r.text;
      while (t.ends_with(' ')) t.pop_back();
      out += t + "\n";
    }
    while (out.ends_with("\n\n")) out.pop_back();
    return out;
  }
  bool cursor() const { return cursor_; }

 private:
  struct row {
    std::string text;
    bool wrapped = false;
  };
  void put(char c) {
    std::string& t = lines_[y_].text;
    if (t.size() <= x_) t.resize(x_ + 1, ' ');
    t[x_++] = c;
  }
  void down() {
    if (++y_ < rows_) return;
    lines_.erase(lines_.begin()), lines_.emplace_back(), --y_;
  }
  std::size_t escape(const std::string& b, std::size_t i) {
    REQUIRE(b[i + 1] == '[');
    std::size_t end = i + 2;
    while (b[end] == '?' || (b[end] >= '0' && b[end] <= ';')) ++end;
    const std::string arg = b.substr(i + 2, end - i - 2);
    const std::size_t n = arg.empty() || arg[0] == '?' ? 1 : static_cast<std::size_t>(std::atoi(arg.c_str()));
    switch (b[end]) {
      case 'A': y_ = n < y_ ? y_ - n : 0; break;
      case 'K': REQUIRE(arg == "2"); lines_[y_] = {}; break;
      case 'J':
        REQUIRE(arg.empty());
        lines_[y_].text.resize(x_ < lines_[y_].text.size() ? x_ : lines_[y_].text.size());
        for (std::size_t k = y_ + 1; k < rows_; ++k) lines_[k] = {};
        break;
      case 'h':
      case 'l':
        REQUIRE(arg == "?25");
        cursor_ = b[end] == 'h';
        break;
      case 'm': break;
      default: FAIL("unknown sequence " << arg << b[end]);
    }
    return end;
  }
  std::size_t columns_, rows_, x_ = 0, y_ = 0;
  std::vector<row> lines_;
  bool cursor_ = true;
};

// Both ends of a pseudo terminal without output processing.
struct pty {
  int ours = -1, theirs = -1;
  grid shown;
  pty(std::size_t columns, std::size_t rows) : shown(columns, rows) {
    ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(ours >= 0);
    REQUIRE(grantpt(ours) == 0);
    REQUIRE(unlockpt(ours) == 0);
    theirs = open(ptsname(ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(theirs >= 0);
    REQUIRE(fcntl(ours, F_SETFL, O_NONBLOCK) == 0);
    size(columns, rows);
    setenv("TERM", "xterm", 1);
  }
  ~pty() { close(ours), close(theirs); }
  void size(std::size_t columns, std::size_t rows) const {
    const winsize w{static_cast<unsigned short>(rows), static_cast<unsigned short>(columns), 0, 0};
    REQUIRE(ioctl(theirs, TIOCSWINSZ, &w) == 0);
  }
  void resize(std::size_t columns, std::size_t rows) { size(columns, rows), shown.resize(columns); }
  std::string drain() {  // ONLCR makes \r\r\n of \r\n, which is the same
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = read(ours, bytes, sizeof bytes)) > 0;) all.append(bytes, static_cast<std::size_t>(n));
    shown.feed(all);
    return all;
  }
  void say(const char* words) {
    REQUIRE(write(theirs, words, std::char_traits<char>::length(words)) > 0);
    drain();
  }
};

std::vector<std::string> lines(std::size_t n, std::size_t width, char c = 'x') {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(std::to_string(i) + std::string(width - std::to_string(i).size(), c));
  return out;
}
std::string page(const std::vector<std::string>& l) {
  std::string out;
  for (const std::string& s : l) out += s + "\n";
  return out;
}

}  // namespace

TEST_CASE("report: a screen draws each page over the one before, whatever their sizes, and leaves nothing") {
  if (!hotpath_test::pty_or_skip()) return;
  pty t(40, 12);
  t.say("before\r\n");
  report::screen s{t.theirs};
  REQUIRE(s.usable());
  CHECK(s.size().columns == 40);
  CHECK(s.size().rows == 12);
  for (const auto& [n, width] : {std::pair<std::size_t, std::size_t>{3, 39}, {6, 10}, {6, 40}, {1, 1}, {9, 40}, {2, 5}}) {
    const auto l = lines(n, width);
    s.draw(l);
    t.drain();
    CHECK(t.shown.text() == "before\n" + page(l));
    CHECK(!t.shown.cursor());
  }
  s.clear();
  t.drain();
  CHECK(t.shown.text() == "before\n");
  CHECK(t.shown.cursor());
  s.clear();  // once more does nothing
  CHECK(t.drain() == "");
  t.say("after\r\n");
  s.draw({"\x1b[1;31mred\x1b[0m", "two"});
  t.drain();
  CHECK(t.shown.text() == "before\nafter\nred\ntwo\n");
}

TEST_CASE("report: a screen that is higher than its terminal shows its first lines and does not scroll") {
  if (!hotpath_test::pty_or_skip()) return;
  pty t(20, 6);
  report::screen s{t.theirs};
  for (int k = 0; k < 5; ++k) {
    s.draw(lines(30, 10));
    t.drain();
    CHECK(t.shown.text() == page(lines(5, 10)));
  }
}

TEST_CASE("report: a resize leaves no ghost of the page before") {
  if (!hotpath_test::pty_or_skip()) return;
  for (const std::size_t width : {30u, 21u, 20u, 11u, 80u}) {
    pty t(40, 30);
    t.say("before\r\n");
    report::screen s{t.theirs};
    s.draw(lines(5, 39, 'a'));
    t.drain();
    t.resize(width, 30);
    const auto l = lines(4, width - 1, 'b');
    s.draw(l);
    t.drain();
    CHECK(t.shown.text() == "before\n" + page(l));
  }
}

TEST_CASE("report: no screen where there is no terminal, or a dumb one") {
  if (!hotpath_test::pty_or_skip()) return;
  int both[2];
  REQUIRE(pipe(both) == 0);
  report::screen none{both[1]};
  CHECK(!none.usable());
  none.draw({"x"});
  none.clear();
  close(both[1]);
  char c;
  CHECK(read(both[0], &c, 1) == 0);
  close(both[0]);
  pty t(40, 12);
  for (const char* term : {"dumb", ""}) {
    setenv("TERM", term, 1);
    report::screen dumb{t.theirs};
    CHECK(!dumb.usable());
  }
  unsetenv("TERM");
  CHECK(!report::screen{t.theirs}.usable());
  CHECK(t.drain() == "");
  setenv("TERM", "xterm", 1);
}

TEST_CASE("report: a signal that nobody handles shows the cursor and has its effect; one that is handled stays its handler's") {
  if (!hotpath_test::pty_or_skip()) return;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV}) {
    CAPTURE(signal);
    pty t(40, 12);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      for (const int s : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV}) ::signal(s, SIG_DFL);  // not the test's own
      report::screen s{t.theirs};
      s.draw({"one"});
      raise(signal);
      _exit(77);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
    t.drain();
    CHECK(t.shown.cursor());
  }
  pty t(40, 12);
  struct sigaction mine {}, before {}, now {};
  mine.sa_handler = [](int) {};
  REQUIRE(sigaction(SIGTERM, &mine, &before) == 0);
  {
    report::screen s{t.theirs};
    s.draw({"one"});
    REQUIRE(sigaction(SIGTERM, nullptr, &now) == 0);
    CHECK((now.sa_handler == mine.sa_handler));
  }
  REQUIRE(sigaction(SIGTERM, nullptr, &now) == 0);
  CHECK((now.sa_handler == mine.sa_handler));
  sigaction(SIGTERM, &before, nullptr);
  REQUIRE(sigaction(SIGTSTP, nullptr, &now) == 0);
  CHECK((now.sa_handler == SIG_DFL));  // given back
}

TEST_CASE("report: after a stop the page begins afresh below what others wrote") {
  if (!hotpath_test::pty_or_skip()) return;
  pty t(40, 12);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    setpgid(0, 0);  // an orphaned group would not stop for SIGTSTP; a stop by SIGSTOP is not ours to see
    signal(SIGTSTP, SIG_DFL);
    report::screen s{t.theirs};
    s.draw({"one", "two"});
    raise(SIGTSTP);
    s.draw({"three"});
    s.clear();
    _exit(0);
  }
  setpgid(child, child);
  int status = 0;
  REQUIRE(waitpid(child, &status, WUNTRACED) == child);
  if (WIFSTOPPED(status)) {
    t.drain();
    CHECK(t.shown.text() == "one\ntwo\n");
    CHECK(t.shown.cursor());
    t.say("shell\r\n");
    REQUIRE(kill(child, SIGCONT) == 0);
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 0);
    t.drain();
    CHECK(t.shown.text() == "one\ntwo\nshell\n");  // "three" came and went below
    CHECK(t.shown.cursor());
  } else {
    CHECK(WEXITSTATUS(status) == 0);
    MESSAGE("SIGTSTP does not stop a process here");
  }
}
