// SPDX-License-Identifier: Apache-2.0
// tests/support/scripted_server_main.cpp - the scripted server as a process of its own: client and server share no CPU accounting.
//   scripted_server [--listen 127.0.0.1|::1|unix:PATH] [--port N] [--delay-ms X] [--gap-ms X] [--jitter-ms X] [--chunks N]
//                   [--per-write N] [--tokens-per-chunk N] [--capacity K] [--quantum-us X] [--fault NAME] [--model NAME] [--truth FILE] [--list]
//   Prints its port (or path) as the first line. Ends on SIGTERM, SIGINT, or when its stdin is a pipe that closes; --truth then
//   gets one JSON line per request. Its CPU time goes to stderr.
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "scripted_server.hpp"

namespace {

int usage(const char* what) {
  std::fprintf(stderr, "scripted_server: %s; options are in the head of scripted_server_main.cpp\n", what);
  return 2;
}

int serve(scripted::options o, const char* truth_file) {
  sigset_t signals;  // blocked before the server's thread starts, so that they wait for the signalfd
  sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT}) sigaddset(&signals, s);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  std::FILE* file = truth_file == nullptr ? nullptr : std::fopen(truth_file, "w");
  if (truth_file != nullptr && file == nullptr) return usage("cannot write the truth file");

  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  scripted::server server(o);
  if (server.port() != 0) std::printf("%u\n", server.port());
  else std::printf("%s\n", server.url().c_str());
  std::fflush(stdout);

  struct stat in{};
  const bool from_pipe = fstat(0, &in) == 0 && (S_ISFIFO(in.st_mode) || S_ISSOCK(in.st_mode));
  pollfd watched[2] = {{signalfd(-1, &signals, SFD_CLOEXEC), POLLIN, 0}, {from_pipe ? 0 : -1, POLLIN, 0}};
  while (poll(watched, 2, -1) > 0 && watched[0].revents == 0) {
    char ignored[256];
    if (watched[1].revents != 0 && read(0, ignored, sizeof ignored) <= 0) break;
  }
  server.stop();
  if (file != nullptr) {
    for (const auto& t : server.truths()) std::fprintf(file, "%s\n", scripted::to_json(t).c_str());
    std::fclose(file);
  }
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  std::fprintf(stderr, "scripted_server: %.3f CPU-s, %ld KiB\n",
               static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6, used.ru_maxrss);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  scripted::options o;
  o.keep_requests = false;
  const char* truth_file = nullptr;
  for (int i = 1; i < argc; i += 2) {
    const auto is = [&](const char* name) { return std::strcmp(argv[i], name) == 0; };
    if (is("--list")) {
      for (const auto& preset : scripted::presets()) std::puts(preset.first.c_str());
      return 0;
    }
    if (i + 1 == argc) return usage("an option without a value");
    const char* value = argv[i + 1];
    if (is("--listen")) o.listen = value;
    else if (is("--port")) o.port = static_cast<std::uint16_t>(std::atoi(value));
    else if (is("--delay-ms")) o.pace.delay_ns = scripted::ms(std::atof(value));
    else if (is("--gap-ms")) o.pace.gap_ns = scripted::ms(std::atof(value));
    else if (is("--jitter-ms")) o.pace.jitter_ns = scripted::ms(std::atof(value));
    else if (is("--chunks")) o.pace.chunks = std::atoi(value);
    else if (is("--per-write")) o.pace.per_write = std::atoi(value);
    else if (is("--tokens-per-chunk")) o.pace.tokens_per_chunk = std::atoi(value);
    else if (is("--capacity")) o.capacity = static_cast<std::uint32_t>(std::atoi(value));
    else if (is("--quantum-us")) o.quantum_ns = scripted::us(std::atof(value));
    else if (is("--fault")) o.fault = value;
    else if (is("--model")) o.model = value;
    else if (is("--truth")) truth_file = value;
    else return usage("unknown option");
  }
  o.keep_truths = truth_file != nullptr;
  try {
    return serve(o, truth_file);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
