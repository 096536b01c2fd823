// SPDX-License-Identifier: Apache-2.0
// tools/export.cpp - hotpath export RUN: one row per request.
#include <hotpath/export.hpp>
#include <hotpath/run/store_sqlite.hpp>

#include "cli.hpp"

namespace tools {

using namespace hotpath;

namespace {
template <class Writer>
result<void> stream(run::stored_run& run, Writer&& out) {
  auto read = run.for_each_request([&](const model::request& r) { out.add(r); });
  out.finish();
  return read;
}
}  // namespace

exit_code export_requests(const export_flags& flags) {
  const auto format = format_of(flags.out, {"csv", "ndjson", "json"});  // json: one object a line, for --json
  if (!format) return fail(format.error(), exit_code::usage);
  if (*format == "csv" && flags.chunks) return usage("--chunks needs --format ndjson: a row of CSV has no room for a list");
  if (*format != "csv" && flags.formula_guard) return usage("--formula-guard is for --format csv");

  const std::string path = file_of_run(flags.run);
  if (flags.output)
    if (auto may = may_write(*flags.output, {path, path + "-wal", path + "-shm"}); !may) return fail(may.error(), code_of(may.error()));
  auto run = run::stored_run::open(path);
  if (!run) return fail(run.error(), code_of(run.error()));
  if (flags.text && !run->info().text_stored) return usage("--text: this run holds no prompts and answers (it was recorded without --store-text)");
  output_file file{flags.output.value_or("-")};
  if (auto opened = file.open(); !opened) return fail(opened.error(), exit_code::unusable);

  const exports::request_options options{.wall_start = run->info().wall_start, .text = flags.text, .chunks = flags.chunks, .formula_guard = flags.formula_guard};
  const auto sink = [&](std::string_view bytes) { return file.write(bytes); };
  const auto read = *format == "csv" ? stream(*run, exports::csv{sink, options}) : stream(*run, exports::ndjson{sink, options});
  if (auto closed = file.close(); !closed) return fail(closed.error(), exit_code::partial);
  if (!read) return fail(read.error(), exit_code::partial);
  if (run->partial()) {
    say("the run is partial: it is still going on, its process was killed, or rows were lost");
    return exit_code::partial;
  }
  return exit_code::ok;
}

}  // namespace tools
