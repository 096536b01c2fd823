// SPDX-License-Identifier: Apache-2.0
// log.hpp - log lines in the shape of vLLM 0.32, on stderr, so that what reads a vLLM's log reads this server's:
//   (APIServer pid=31365) INFO 11-22 04:03:35 [service.hpp:67] Added request cmpl-8d6acd1ce65d36ae-0-bacb8132.
//   Neither prompts nor answers are ever logged.
#pragma once
#include <cstdio>
#include <ctime>
#include <string>
#include <string_view>
#include <unistd.h>

namespace server {

enum class role { api, core };

class log {
 public:
  bool debug_lines = false, requests = false, iterations = false;
  double stats_seconds = 10;  // 0: no statistics

  void info(role who, std::string_view text, const char* file = __builtin_FILE(), int line = __builtin_LINE()) const { write(who, "INFO", text, file, line); }
  void debug(role who, std::string_view text, const char* file = __builtin_FILE(), int line = __builtin_LINE()) const {
    if (debug_lines) write(who, "DEBUG", text, file, line);
  }
  // As uvicorn writes them: no time, no role.
  void access(std::string_view peer, int port, std::string_view method, std::string_view path, int status) const {
    if (!requests) return;
    std::fprintf(stderr, "INFO:     %.*s:%d - \"%.*s %.*s HTTP/1.1\" %d %s\n", static_cast<int>(peer.size()), peer.data(), port, static_cast<int>(method.size()), method.data(),
                 static_cast<int>(path.size()), path.data(), status, status == 200 ? "OK" : status == 503 ? "Service Unavailable" : status == 404 ? "Not Found" : "Bad Request");
  }

 private:
  static void write(role who, const char* level, std::string_view text, std::string_view file, int line) {
    char stamp[32];
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    std::strftime(stamp, sizeof stamp, "%m-%d %H:%M:%S", &local);
    std::string out = who == role::api ? "(APIServer pid=" : "(EngineCore pid=";
    (((out += std::to_string(getpid())) += ") ") += level) += ' ';
    (((out += stamp) += " [") += file.substr(file.rfind('/') + 1)) += ':';
    ((out += std::to_string(line)) += "] ") += text;
    out += '\n';
    std::fwrite(out.data(), 1, out.size(), stderr);  // one write: lines of different threads do not mix
  }
};

}  // namespace server
