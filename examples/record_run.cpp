// SPDX-License-Identifier: Apache-2.0
// Records a run into one file and prints its report: what `hotpath serve-profile` does, in ten lines.
//   record_run http://127.0.0.1:8000 out.db
#include <cstdio>
#include <hotpath/report.hpp>
#include <hotpath/run.hpp>
#include <hotpath/run/store_sqlite.hpp>
#include <hotpath/serve.hpp>

using namespace hotpath;

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: record_run URL FILE\n", stderr), 2;
  auto done = run::record<run::store_sqlite>(argv[2], {.client = {.url = argv[1]}, .traffic = "synthetic:input=64,output=32",
                                                       .plan = replay::closed({.streams = 8, .requests = 64})});
  if (!done) return std::fprintf(stderr, "%s\n", done.error().message().c_str()), 4;

  auto stored = run::stored_run::open(argv[2]);
  if (!stored) return std::fprintf(stderr, "%s\n", stored.error().message().c_str()), 3;
  serve::summarizer all;
  (void)stored->for_each_request([&](const model::request& r) { all.add(r); });
  (void)stored->for_each_client_interval([&](const model::client_interval& i) { all.add(i); });
  const std::string text = report::json(all.finish(stored->info()));
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 6;
}
