// SPDX-License-Identifier: Apache-2.0
// Any bytes as an export of nsys: an error with words, or a timeline that holds together, whose summaries are those of the rows as they come.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <hotpath/kernel/stats.hpp>
#include <hotpath/report/stats.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>
#include <support/temp_dir.hpp>

namespace {
void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_nsys_sqlite: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hotpath;
  static const hotpath_test::temp_dir dir;
  static const std::string path = dir.file("x.sqlite");
  std::FILE* const f = std::fopen(path.c_str(), "wb");
  require(f != nullptr && std::fwrite(data, 1, size, f) == size && std::fclose(f) == 0, "cannot write");

  trace::read_options o{.threads = 1};
  o.names = {.bytes = 200, .distinct = 1000};
  const auto t = trace::read_nsys(path, o);
  std::vector<kernel::stats_collector> sums(2);
  const auto about = trace::scan_nsys<kernel::stats_collector>(path, sums, {.syncs = false, .brief = true}, o);
  require(access((path + "-journal").c_str(), F_OK) != 0 && access((path + "-wal").c_str(), F_OK) != 0, "left something beside the file");
  if (!t) {
    require(t.error().code != errc::internal && t.error().source == path && !t.error().detail.empty(), t.error().message());
    return 0;
  }
  for (const model::gpu_event& e : t->gpu)
    require(e.duration.ns >= 0 && e.name < t->names.size() && e.detail < t->details.size() && e.process < t->processes.size(), "a GPU event");
  const auto track = [&](std::uint32_t i) { return i == model::no_index || i < t->tracks.size(); };
  for (const model::api_call& a : t->api) require(a.duration.ns >= 0 && a.name < t->names.size() && track(a.track), "a call");
  for (const model::annotation& a : t->annotations) require(a.duration.ns >= 0 && a.name < t->names.size() && a.domain < t->names.size() && track(a.track), "a range");
  for (const model::sync_event& s : t->syncs) require(s.duration.ns >= 0 && s.name < t->names.size() && s.process < t->processes.size(), "a synchronization");
  for (const model::track& k : t->tracks) require(k.process < t->processes.size() && k.name < t->names.size(), "a track");
  if (!about) return 0;  // the rows that it reads are others: of columns, and only of some tables
  for (std::size_t i = 0; i < sizeof kernel::stats_report_names / sizeof kernel::stats_report_names[0]; ++i) {
    const auto r = static_cast<kernel::stats_report>(i);
    const auto whole = kernel::stats_of(*t, r), brief = sums[0].table(r, *about);
    if (t->names.refused() == 0 && about->names.refused() == 0) require(report::stats_csv(whole) == report::stats_csv(brief), name_of(r));
    require(!report::stats_json({&whole, 1}, *t).empty() && !report::stats_text(whole).empty(), "no text");
  }
  return 0;
}
