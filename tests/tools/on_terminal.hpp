// SPDX-License-Identifier: Apache-2.0
// tests/tools/on_terminal.hpp - a program on a pseudo terminal, where a person would sit.
#pragma once
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <string>
#include <string_view>
#include <vector>

// `hotpath` with all of its streams on a pseudo terminal, until it ends or the text is there and `then` was done.
struct on_terminal {
  std::string shown;
  int code = -1;
  on_terminal(const std::vector<std::string>& argv, const std::string& directory, unsigned short columns, const std::vector<std::string>& environment, std::string_view wait_for = {}, int signal = 0) {
    const int ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(ours >= 0);
    REQUIRE(grantpt(ours) == 0);
    REQUIRE(unlockpt(ours) == 0);
    const std::string theirs = ptsname(ours);
    const int keep = open(theirs.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);  // without an open end, a read before the child's start fails
    const winsize size{40, columns, 0, 0};
    REQUIRE(ioctl(keep, TIOCSWINSZ, &size) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd <= 2; ++fd) posix_spawn_file_actions_addopen(&actions, fd, theirs.c_str(), O_RDWR | O_NOCTTY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    std::vector<std::string> words = argv, env = environment;
    env.push_back("PATH=/usr/bin:/bin");
    std::vector<char*> arguments, variables;
    for (std::string& w : words) arguments.push_back(w.data());
    for (std::string& w : env) variables.push_back(w.data());
    arguments.push_back(nullptr), variables.push_back(nullptr);
    pid_t pid = -1;
    REQUIRE(posix_spawn(&pid, words[0].c_str(), &actions, nullptr, arguments.data(), variables.data()) == 0);
    posix_spawn_file_actions_destroy(&actions);
    bool sent = wait_for.empty();
    int status = 0;
    for (int rounds = 0; rounds < 6000; ++rounds) {  // a minute at the most
      pollfd p{ours, POLLIN, 0};
      if (poll(&p, 1, 10) > 0) {
        char bytes[4096];
        const ssize_t n = read(ours, bytes, sizeof bytes);
        if (n > 0) shown.append(bytes, static_cast<std::size_t>(n));
        if (!sent && shown.find(wait_for) != std::string::npos) sent = true, kill(pid, signal);
        continue;
      }
      if (waitpid(pid, &status, WNOHANG) == pid) {
        code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        break;
      }
    }
    if (code < 0) kill(pid, SIGKILL), waitpid(pid, nullptr, 0);
    close(keep), close(ours);
  }
};
