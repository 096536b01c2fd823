// SPDX-License-Identifier: Apache-2.0
// tools/version.cpp - hotpath version.
#include <sqlite3.h>

#include <hotpath/core/json.hpp>
#include <hotpath/version.hpp>

#include "cli.hpp"

namespace tools {

exit_code version(const output_flags& flags) {
  const auto format = format_of(flags, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  std::string out = "hotpath " HOTPATH_VERSION_STRING "\n";
  if (*format == "json") {
    out.clear();
    hotpath::json::writer w{out, 2};
    w.object_begin(), w.member("schema", "hotpath.version/1"), w.member("version", HOTPATH_VERSION_STRING);
    w.member("sqlite", sqlite3_libversion()), w.member("compiler", __VERSION__), w.object_end();
    out += '\n';
  }
  print(out);
  return exit_code::ok;
}

}  // namespace tools
