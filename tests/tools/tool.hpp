// SPDX-License-Identifier: Apache-2.0
// tests/tools/tool.hpp - `hotpath` run in a folder of its own, as a user would.
#pragma once
#include <doctest/doctest.h>
#include <filesystem>
#include <string>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/scripted_server.hpp>
#include <support/temp_dir.hpp>
#include <vector>

struct tool {
  hotpath_test::temp_dir dir;

  hotpath_test::finished operator()(std::vector<std::string> argv, hotpath_test::process_options o = {}) const {
    argv.insert(argv.begin(), HOTPATH_TOOL);
    o.directory = dir.path();
    return hotpath_test::run(argv, o);
  }
  // What is wrong with a JSON text by docs/schema/<schema>.schema.json, members that it does not name included; "": nothing.
  std::string faults(const std::string& schema, const std::string& json) const {
    const std::string root = hotpath_test::source_dir();
    const auto done = hotpath_test::run({"python3", root + "/tests/report/validate_schema.py", root + "/docs/schema/" + schema + ".schema.json", "--closed", dir.write("checked.json", json)});
    return done.code == 0 ? "" : done.out + done.err;
  }
  // A short run in `run/` of the folder. On a machine that is busy with other work the client may have been the limit, and the
  // run says so, exit 5: then it is made again.
  hotpath_test::finished profile(const scripted::server& server, std::vector<std::string> more = {}, hotpath_test::process_options o = {}) const {
    std::vector<std::string> argv = {"serve-profile", "--endpoint", server.url(), "--output", "run", "--traffic", "synthetic:input=16,output=8"};
    argv.insert(argv.end(), more.begin(), more.end());
    for (int attempt = 1;; ++attempt) {
      auto done = (*this)(argv, o);
      const bool limited = done.code == 5 && (done.out + done.err).find("the load client was the limit") != std::string::npos;
      if (!limited || attempt == 5) return done;
      std::filesystem::remove_all(dir.file("run"));
    }
  }
};

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// stdout empty, one line on stderr that holds the words, and the code.
inline void check_refused(const hotpath_test::finished& f, int code, std::string_view words) {
  CAPTURE(f.err);
  CHECK(f.code == code);
  CHECK(f.out == "");
  CHECK(f.err.starts_with("hotpath: "));
  CHECK(f.err.find('\n') == f.err.size() - 1);
  CHECK(has(f.err, words));
}

// Answers of 8 chunks within 150 ms: short, and slow enough for a client that shares its core.
constexpr scripted::pace quick{.delay_ns = scripted::ms(10), .gap_ns = scripted::ms(20), .chunks = 8};
