// SPDX-License-Identifier: Apache-2.0
// bench_metrics PAGE [SECONDS_PER_ROW] - reads one page of metrics in several ways; one line of JSON.
//   bench_metrics --make PAGE MIB writes such a page: vLLM's names, types, labels and edges, for as many engines as it takes.
//   parse:  every sample, its name, every label and its value        wanted: only the names that metrics/names.inc has
//   lines:  samples as the parser gives them, labels not split       page:   read_page(), up to a model::scrape
//   Bytes a second of the best repetition. tests/bench/metrics runs it beside prometheus_client.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <hotpath/metrics/page.hpp>

namespace metrics = hotpath::metrics;

namespace {

std::string made(std::size_t bytes) {
  const char* const seconds[] = {"0.3", "0.5", "0.8", "1.0", "1.5", "2.0", "2.5", "5.0", "10.0", "15.0", "20.0", "30.0", "40.0", "50.0", "60.0", "120.0", "240.0", "480.0", "960.0", "1920.0", "7680.0", "+Inf"};
  std::string out;
  std::uint64_t state = 1;
  const auto random = [&] { return (state = state * 6364136223846793005u + 1442695040888963407u) >> 33; };
  const char* const gauges[] = {"num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"};
  const char* const counters[] = {"prefix_cache_queries", "prefix_cache_hits", "external_prefix_cache_queries", "external_prefix_cache_hits", "mm_cache_queries", "mm_cache_hits",
                                  "num_preemptions", "prompt_tokens", "prompt_tokens_cached", "generation_tokens", "corrupted_requests"};
  const char* const histograms[] = {"request_prompt_tokens", "request_generation_tokens", "iteration_tokens_total", "request_max_num_generation_tokens", "request_params_n", "request_params_max_tokens",
                                    "time_to_first_token_seconds", "inter_token_latency_seconds", "request_time_per_output_token_seconds", "e2e_request_latency_seconds", "request_queue_time_seconds",
                                    "request_inference_time_seconds", "request_prefill_time_seconds", "request_decode_time_seconds", "request_prefill_kv_computed_tokens"};
  constexpr std::size_t per_engine = 48'000;  // bytes, about
  const std::size_t engines = (std::max<std::size_t>)(bytes / per_engine, 1);
  const auto labels = [&](std::size_t e) { return "{engine=\"" + std::to_string(e) + "\",model_name=\"meta-llama/Llama-3.1-8B-Instruct\""; };
  const auto family = [&](const char* name, const char* type) { out += std::string("# HELP vllm:") + name + " What this family counts, in a sentence.\n# TYPE vllm:" + name + " " + type + "\n"; };
  for (const char* g : gauges) {
    family(g, "gauge");
    for (std::size_t e = 0; e < engines; ++e) out += std::string("vllm:") + g + labels(e) + "} " + std::to_string(random() % 1000) + ".0\n";
  }
  for (const char* c : counters) {
    family(c, "counter");
    for (std::size_t e = 0; e < engines; ++e) out += std::string("vllm:") + c + "_total" + labels(e) + "} " + std::to_string(random() % 100'000'000) + ".0\n";
    for (std::size_t e = 0; e < engines; ++e) out += std::string("vllm:") + c + "_created" + labels(e) + "} 1.795320611196" + std::to_string(6000 + random() % 1000) + "e+09\n";
  }
  for (const char* h : histograms) {
    family(h, "histogram");
    for (std::size_t e = 0; e < engines; ++e) {
      std::uint64_t n = 0;
      for (const char* le : seconds) out += std::string("vllm:") + h + "_bucket" + labels(e) + ",le=\"" + le + "\"} " + std::to_string(n += random() % 1000) + ".0\n";
      out += std::string("vllm:") + h + "_count" + labels(e) + "} " + std::to_string(n) + ".0\nvllm:" + h + "_sum" + labels(e) + "} " + std::to_string(random()) + ".0918276450321\n";
      out += std::string("vllm:") + h + "_created" + labels(e) + "} 1.795320611196" + std::to_string(6000 + random() % 1000) + "e+09\n";
    }
  }
  return out;
}

double seconds_per_row = 1;

// Bytes a second of the fastest call.
template <class F>
double best(std::size_t bytes, F&& work) {
  using clock = std::chrono::steady_clock;
  double least = 1e9;
  const auto until = clock::now() + std::chrono::duration<double>(seconds_per_row);
  do {
    const auto begin = clock::now();
    work();
    least = (std::min)(least, std::chrono::duration<double>(clock::now() - begin).count());
  } while (clock::now() < until);
  return static_cast<double>(bytes) / least;
}

struct everything {
  std::uint64_t samples = 0, labels = 0, letters = 0;
  double sum = 0;
  void sample(const metrics::sample& s) {
    ++samples;
    letters += s.name.size();
    s.labels.for_each([&](const metrics::label& l) { ++labels, letters += l.name.size() + l.value.size(); });
    sum += s.value;
  }
};
struct lines {
  std::uint64_t samples = 0;
  double sum = 0;
  void sample(const metrics::sample& s) { ++samples, sum += s.value; }
};
struct wanted : lines {
  // What a reader of a few names does: the last answer is kept, as names come in runs.
  std::string_view last;
  bool answer = false;
  bool wants(std::string_view name) {
    if (name == last) return answer;
    last = name;
    return answer = name.starts_with("vllm:num_requests") || name.starts_with("vllm:time_to_first_token_seconds") || name.starts_with("vllm:prompt_tokens");
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--make") {
    const std::string page = made(static_cast<std::size_t>(std::atof(argv[3]) * (1 << 20)));
    std::ofstream(argv[2], std::ios::binary) << page;
    return 0;
  }
  if (argc < 2) return 2;
  if (argc > 2) seconds_per_row = std::atof(argv[2]);
  std::ifstream in(argv[1], std::ios::binary);
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  if (page.empty()) return std::fprintf(stderr, "bench_metrics: nothing in %s\n", argv[1]), 1;

  everything all;
  metrics::parsed p = metrics::parse(page, all);
  if (p.lost) return std::fprintf(stderr, "bench_metrics: the page is not whole\n"), 1;
  lines some;
  wanted few;
  const double parse = best(page.size(), [&] { all = {}, metrics::parse(page, all); });
  const double only_lines = best(page.size(), [&] { some = {}, metrics::parse(page, some); });
  const double filtered = best(page.size(), [&] { few = {}, metrics::parse(page, few); });
  std::size_t series = 0;
  const double whole = best(page.size(), [&] { series = metrics::read_page(page).series.size(); });
  std::printf("{\"bytes\": %zu, \"samples\": %llu, \"labels\": %llu, \"sum\": %.17g, \"parse\": %.0f, \"lines\": %.0f, \"wanted\": %.0f, \"page\": %.0f, \"series\": %zu}\n", page.size(),
              static_cast<unsigned long long>(all.samples), static_cast<unsigned long long>(all.labels), all.sum, parse, only_lines, filtered, whole, series);
}
