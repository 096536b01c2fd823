// SPDX-License-Identifier: Apache-2.0
// oracle_rows FOLDER: 2,000 requests of a seeded simulation, written as requests.ndjson, and the report on them as report.json.
// oracle.py computes the report a second time from the first file and compares.
#include <cstdio>
#include <string>
#include <hotpath/core/random.hpp>
#include <hotpath/export/ndjson.hpp>
#include <hotpath/report/json.hpp>
#include "made.hpp"

using namespace made;

namespace {

model::request request(stats::xoshiro256& random, std::uint64_t index, double at) {
  const auto at_kernel = [](double t) { return made::kernel(t); };
  model::request r;
  r.index = index;
  r.warmup = index < 25;
  r.intended = {ms(at), model::stamp_source::schedule, true};
  double t = at + random.exponential(3);
  r.slot_free = user(t);
  if (random.below(3) == 0) {
    r.connect_begin = user(t + 0.1);
    t += 0.4 + 0.1 * random.unit();
    r.connected = user(t);
  }
  r.sent = user(t += 0.05 + (random.below(50) == 0 ? 15 : 0.2) * random.unit());
  const std::uint64_t end = random.below(20);
  const bool tokens_known = random.below(2) == 0, usage = random.below(10) != 0;
  std::int64_t tokens = 0;
  double last = t + 30 + random.exponential(40);
  r.first_content = at_kernel(last);
  if (random.below(5) != 0) r.first_output = at_kernel(last + (random.below(4) == 0 ? 5 : 0));
  for (std::uint64_t k = random.below(60); ; --k) {
    const auto n = static_cast<std::uint32_t>(1 + random.below(3));
    tokens += n;
    r.chunks.append({.at = ms(last), .tokens = tokens_known ? n : 0, .exact = random.below(12) != 0, .kernel = true});
    r.last_content = at_kernel(last);
    if (k == 0) break;
    last += random.below(150) == 0 ? 240 + 400 * random.unit() : 15 + 10 * random.unit();
  }
  r.closed = at_kernel(last + 0.3);
  r.status = end == 0 ? model::request_status::failed : end == 1 ? model::request_status::cancelled : model::request_status::ok;
  r.error = end == 0 ? (random.below(2) == 0 ? model::error_class::reset : model::error_class::truncated) : end == 1 ? model::error_class::cancelled : model::error_class::none;
  if (end > 1) r.finish_reason = random.below(2) == 0 ? "stop" : "length";
  if (usage) {
    r.completion_tokens = tokens;
    r.prompt_tokens = static_cast<std::int64_t>(100 + random.below(400));
    r.tokens_from = model::token_source::usage;
    r.usage_suspect = random.below(40) == 0;
  }
  return r;
}

bool write(const std::string& path, const std::string& text) {
  std::FILE* f = std::fopen(path.c_str(), "wb");
  if (f == nullptr) return false;
  const bool all = std::fwrite(text.data(), 1, text.size(), f) == text.size();
  return std::fclose(f) == 0 && all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto run = open_loop(64);
  run.slo.ttft = ms(90), run.slo.tpot = ms(20), run.slo.e2e = ms(1500);
  stats::xoshiro256 random{2024};
  serve::summarizer s;
  std::string rows;
  double at = 5;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const auto r = request(random, i, at += random.exponential(12));
    s.add(r);
    exports::ndjson_row(rows, r, {.chunks = true});
  }
  const std::string folder = argv[1];
  return write(folder + "/requests.ndjson", rows) && write(folder + "/report.json", report::json(s.finish(run))) ? 0 : 1;
}
