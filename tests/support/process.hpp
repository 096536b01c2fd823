// SPDX-License-Identifier: Apache-2.0
// tests/support/process.hpp - runs a program as a user would: no shell, its own environment, a deadline; POSIX only.
//
//     auto done = hotpath_test::run({HOTPATH_TOOL, "version"});
//     CHECK(done.code == 0); CHECK(done.out == "hotpath 0.1.0\n"); CHECK(done.err.empty());
//
//     hotpath_test::process p({HOTPATH_TOOL, "serve-profile", …});    // in the background
//     p.wait_for_err("recording"); p.signal(SIGINT); auto done = p.finish();
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotpath_test {

struct finished {
  int code = -1;         // exit status; 128 + n: ended by signal n; -1: killed by the deadline
  std::string out, err;
};

struct process_options {
  std::string input = {};                                          // all of stdin
  std::vector<std::pair<std::string, std::string>> environment = {};  // added; an empty value removes the name
  std::string directory = {};                                       // to start in
  int seconds = 60;                                               // then it is killed
  std::vector<int> closed = {};                                   // descriptors that it starts without
};

class process {
 public:
  explicit process(std::vector<std::string> argv, process_options options = {}) : options_(std::move(options)) {
    std::vector<std::string> environment;
    for (char** e = environ; *e != nullptr; ++e) {
      const std::string_view name = std::string_view(*e).substr(0, std::string_view(*e).find('='));
      bool replaced = false;
      for (const auto& [k, v] : options_.environment) replaced = replaced || k == name;
      if (!replaced) environment.emplace_back(*e);
    }
    for (const auto& [k, v] : options_.environment)
      if (!v.empty()) environment.push_back(k + "=" + v);

    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) fail("pipe");
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, err[1], 2);
    for (const int fd : options_.closed) posix_spawn_file_actions_addclose(&actions, fd);
    if (!options_.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, options_.directory.c_str());
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;  // what the test's own program ignores is not to be inherited
    sigemptyset(&defaults), sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    const int rc = posix_spawnp(&pid_, argv[0].c_str(), &actions, &attributes, pointers(argv).data(), pointers(environment).data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    close(in[0]), close(out[1]), close(err[1]);
    in_ = in[1], out_ = out[0], err_ = err[0];
    for (int fd : {in_, out_, err_}) fcntl(fd, F_SETFL, O_NONBLOCK);
    deadline_ = now() + options_.seconds;
    if (rc != 0) errno = rc, fail(argv[0]);
  }
  process(const process&) = delete;
  process& operator=(const process&) = delete;
  ~process() {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    for (int fd : {in_, out_, err_}) close_fd(fd);
  }

  pid_t pid() const { return pid_; }
  void signal(int number) const { kill(pid_, number); }
  // Nobody reads its stdout any more.
  void close_out() { close_fd(out_), out_ = -1; }
  const std::string& out() const { return done_.out; }
  const std::string& err() const { return done_.err; }

  // Waits until its stderr (or stdout) holds `text`. False: it ended, or the deadline passed.
  bool wait_for_err(std::string_view text) { return wait_for(done_.err, text); }
  bool wait_for_out(std::string_view text) { return wait_for(done_.out, text); }

  // Until it ends.
  finished finish() {
    while (exchange()) {
    }
    int status = 0;
    while (now() < deadline_ && waitpid(pid_, &status, WNOHANG) == 0) pause_ms(5);
    if (now() >= deadline_) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      pid_ = -1;
      return std::move(done_);
    }
    pid_ = -1;
    done_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return std::move(done_);
  }

 private:
  static double now() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  }
  static void pause_ms(int ms) { poll(nullptr, 0, ms); }
  static void close_fd(int fd) {
    if (fd >= 0) close(fd);
  }
  [[noreturn]] static void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }
  static std::vector<char*> pointers(std::vector<std::string>& strings) {
    std::vector<char*> out;
    for (auto& s : strings) out.push_back(s.data());
    out.push_back(nullptr);
    return out;
  }
  bool wait_for(const std::string& where, std::string_view text) {
    while (where.find(text) == std::string::npos)
      if (!exchange()) return where.find(text) != std::string::npos;
    return true;
  }
  // One round of feeding stdin and collecting output; false: both outputs are closed, or time is up.
  bool exchange() {
    if (out_ < 0 && err_ < 0) return false;
    if (in_ >= 0 && sent_ == options_.input.size()) close_fd(in_), in_ = -1;
    pollfd fds[] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {in_, POLLOUT, 0}};
    const double left = deadline_ - now();
    if (left <= 0 || poll(fds, 3, static_cast<int>(left * 1000) + 1) == 0) return false;
    collect(out_, fds[0].revents, done_.out);
    collect(err_, fds[1].revents, done_.err);
    if (in_ >= 0 && fds[2].revents != 0) {
      // A program that has closed its stdin must not end the test.
      struct sigaction ignore {}, before {};
      ignore.sa_handler = SIG_IGN;
      sigaction(SIGPIPE, &ignore, &before);
      const ssize_t n = write(in_, options_.input.data() + sent_, options_.input.size() - sent_);
      sigaction(SIGPIPE, &before, nullptr);
      if (n > 0) sent_ += static_cast<std::size_t>(n);
      else if (errno != EAGAIN) close_fd(in_), in_ = -1;
    }
    return true;
  }
  static void collect(int& fd, short events, std::string& into) {
    if (fd < 0 || events == 0) return;
    char bytes[16384];
    const ssize_t n = read(fd, bytes, sizeof bytes);
    if (n > 0) into.append(bytes, static_cast<std::size_t>(n));
    else if (n == 0 || errno != EAGAIN) close(fd), fd = -1;
  }

  process_options options_;
  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::size_t sent_ = 0;
  double deadline_ = 0;
  finished done_;
};

inline finished run(std::vector<std::string> argv, process_options options = {}) { return process(std::move(argv), std::move(options)).finish(); }

}  // namespace hotpath_test
