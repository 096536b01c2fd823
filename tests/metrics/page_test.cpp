// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <hotpath/core/json.hpp>
#include <limits>
#include "look.hpp"

using namespace hotpath;
using namespace look;

namespace {
constexpr double inf = std::numeric_limits<double>::infinity();
std::string histogram(const std::string& name, const std::string& labels, std::initializer_list<std::pair<const char*, double>> buckets, double count, double sum) {
  std::string out;
  const std::string comma = labels.empty() ? "" : ",";
  for (const auto& [le, n] : buckets) out += name + "_bucket{" + labels + comma + "le=\"" + le + "\"} " + std::to_string(n) + "\n";
  return out + name + "_count{" + labels + "} " + std::to_string(count) + "\n" + name + "_sum{" + labels + "} " + std::to_string(sum) + "\n";
}
}  // namespace

TEST_CASE("metrics: a page of vLLM is read by meaning") {
  const auto s = metrics::read_page(
      "# TYPE vllm:num_requests_running gauge\n"
      "vllm:num_requests_running{engine=\"0\",model_name=\"tiny\"} 3.0\n"
      "vllm:num_requests_waiting{model_name=\"tiny\",engine=\"0\"} 2.0\n"
      "vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"tiny\"} 0.25\n"
      "vllm:prompt_tokens_total{engine=\"0\",model_name=\"tiny\"} 100\n"
      "vllm:prompt_tokens_created{engine=\"0\",model_name=\"tiny\"} 1.5e9\n"
      "vllm:request_success_total{engine=\"0\",finished_reason=\"stop\",model_name=\"tiny\"} 7\n"
      "vllm:request_success_total{engine=\"0\",finished_reason=\"length\",model_name=\"tiny\"} 5\n"
      "vllm:cache_config_info{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"4096\",num_cpu_blocks=\"None\"} 1.0\n"
      "process_cpu_seconds_total 4\n");
  CHECK(s.ok());
  CHECK(s.engine == "vllm");
  CHECK(all(s.problems) == "");
  CHECK(s.lost.total() == 0);
  const std::string tiny = "model_name=tiny, engine=0";
  CHECK(value(s, running, tiny) == 3);
  CHECK(value(s, waiting, tiny) == 2);
  CHECK(value(s, kv_usage, tiny) == 0.25);
  CHECK(value(s, prompt_tokens, tiny) == 100);
  CHECK(value(s, requests_finished, tiny) == 12);
  CHECK(value(s, kv_blocks, tiny) == 4096);
  CHECK(value(s, kv_block_tokens, tiny) == 16);
  CHECK(find(s, running)->name == "vllm:num_requests_running");
  CHECK(find(s, prompt_tokens)->created == nanoseconds{1'500'000'000'000'000'000});
  CHECK_FALSE(find(s, requests_finished)->created);
  CHECK(s.series.size() == 7);
}

TEST_CASE("metrics: histograms are put together by the number that le is, in any order") {
  // "1" and "1.0" would be two edges as text; the sum stands first, as SGLang writes it.
  const auto s = metrics::read_page(
      "vllm:time_to_first_token_seconds_sum 2.5\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"+Inf\"} 9\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"10.0\"} 8\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"0.5\"} 3\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"1\"} 4\n"
      "vllm:time_to_first_token_seconds_count 9\n"
      "vllm:time_to_first_token_seconds_created 1.7e9\n");
  CHECK(all(s.problems) == "");
  const auto* m = find(s, ttft, "");
  REQUIRE(m != nullptr);
  CHECK(m->value == 9);
  CHECK(m->sum == 2.5);
  CHECK(m->created);
  REQUIRE(m->buckets.size() == 4);
  CHECK(m->buckets[0].upper == 0.5);
  CHECK(m->buckets[1].upper == 1);
  CHECK(m->buckets[1].cumulative == 4);
  CHECK(m->buckets[2].upper == 10);
  CHECK(m->buckets[3].upper == inf);
}

TEST_CASE("metrics: F-MET-02 a login page instead of metrics is said to be none, with its first bytes") {
  const auto s = metrics::read_page("<!DOCTYPE html>\n<html><body>\x1b[31mPlease log in</body></html>\n");
  CHECK_FALSE(s.ok());
  CHECK(s.error == "not Prometheus text; it begins with \"<!DOCTYPE html>\\n<html><body>\\x1b[31mPlease log in</body>\xe2\x80\xa6\"");
  CHECK(s.series.empty());
  // With a line that happens to look like a sample.
  CHECK_FALSE(metrics::read_page("<html>\nversion 1\n</html>\n").ok());
  CHECK_FALSE(metrics::read_page("404 page not found\n").ok());
  CHECK_FALSE(metrics::read_page("{\"detail\": \"Not Found\"").ok());
  CHECK_FALSE(metrics::read_page("\"not closed").ok());
  CHECK_FALSE(metrics::read_page("[1, 2").ok());
  CHECK_FALSE(metrics::read_page(std::string_view("\0\0\0", 3)).ok());
}

TEST_CASE("metrics: F-MET-03 an empty page is a scrape without samples, not zeros") {
  for (const std::string_view page : {"", "\n\n", "# HELP a b\n", "# EOF\n"}) {
    const auto s = metrics::read_page(page);
    CHECK(s.ok());
    CHECK(s.series.empty());
    CHECK(s.engine == "");
    CHECK(s.problems.size() == 1);
  }
  CHECK(all(metrics::read_page("").problems) == "the page is empty\n");
  CHECK(all(metrics::read_page("go_threads 7\n").problems) == "no known name of an engine is on this page\n");
}

TEST_CASE("metrics: F-MET-04 a page cut in the middle of a line keeps what came before, and says what is lost") {
  const auto s = metrics::read_page("vllm:num_requests_running 3\nvllm:num_requests_waiting{engine=\"0");
  CHECK(s.ok());
  CHECK(value(s, running) == 3);
  CHECK(find(s, waiting) == nullptr);
  CHECK(s.lost.truncated == 1);
  CHECK(says(s.problems, "1 line is lost, the first is line 2: a quote is not closed on this line"));
}

TEST_CASE("metrics: F-MET-07 creation times belong to their series and are no samples") {
  const auto s = metrics::read_page(
      "# TYPE vllm:prompt_tokens counter\n"
      "vllm_prompt_tokens_total{engine=\"0\"} 5.0 # {trace_id=\"x\"} 1.0 1.5e9\n"
      "vllm_prompt_tokens_created{engine=\"0\"} 1.6e9\n"
      "vllm_prompt_tokens_total{engine=\"1\"} 6.0\n"
      "vllm_iteration_tokens_total_bucket{engine=\"0\",le=\"+Inf\"} 4.0\n"
      "vllm_iteration_tokens_total_count{engine=\"0\"} 4.0\n"
      "vllm_iteration_tokens_total_created{engine=\"0\"} 1.61e9\n"
      "vllm_generation_tokens_created{engine=\"0\"} 1.6e9\n"
      "vllm_preemptions_created NaN\n"
      "# EOF\n");
  CHECK(s.engine == "vllm");
  CHECK(value(s, prompt_tokens, "engine=0") == 5);
  CHECK(find(s, prompt_tokens, "engine=0")->created == nanoseconds{1'600'000'000'000'000'000});
  CHECK_FALSE(find(s, prompt_tokens, "engine=1")->created);
  CHECK(find(s, step_tokens)->created == nanoseconds{1'610'000'000'000'000'000});
  CHECK(find(s, generation_tokens) == nullptr);  // its beginning alone says nothing of its value
  CHECK(s.series.size() == 3);
}

TEST_CASE("metrics: F-MET-09 escaped labels keep engines apart as they are written") {
  const auto s = metrics::read_page(
      "vllm:num_requests_running{model_name=\"a\\\"}, b\"} 1\n"
      "vllm:num_requests_running{model_name=\"a\\\\n\"} 2\n"
      "vllm:num_requests_running{model_name=\"\x1b[2J\"} 4\n");
  CHECK(value(s, running, "model_name=a\"}, b") == 1);
  CHECK(value(s, running, "model_name=a\\n") == 2);
  REQUIRE(s.series.size() == 3);
  // What is not fit to be shown is escaped, and its hash tells it from one that was written like that.
  CHECK(s.series[2].source.starts_with("model_name=\\x1b[2J #"));
}

TEST_CASE("metrics: F-MET-10 of a series that occurs twice the first is kept and the others are counted") {
  const auto s = metrics::read_page(
      "vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 3\n"
      "vllm:num_requests_running{model_name=\"m\",engine=\"0\"} 4\n"
      "vllm:num_requests_running{model_name=\"m\",engine=\"1\"} 5\n"
      "vllm:prompt_tokens_total{engine=\"0\"} 7\nvllm:prompt_tokens_total{engine=\"0\"} 7\nvllm:prompt_tokens_total{engine=\"0\"} 7\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"1\"} 2\nvllm:time_to_first_token_seconds_bucket{le=\"1.0\"} 3\n"
      "vllm:time_to_first_token_seconds_bucket{le=\"+Inf\"} 4\nvllm:time_to_first_token_seconds_count 4\n");
  CHECK(value(s, running, "model_name=m, engine=0") == 3);
  CHECK(value(s, running, "model_name=m, engine=1") == 5);
  CHECK(value(s, prompt_tokens) == 7);
  CHECK(find(s, ttft)->buckets.at(0).cumulative == 2);
  CHECK(s.lost.dropped == 4);
  CHECK(says(s.problems, "series that occur twice: 4; the first is taken"));
}

TEST_CASE("metrics: F-MET-11 buckets that cannot be used leave count and sum, and the reason") {
  const std::string name = "vllm:time_to_first_token_seconds";
  const auto page = [&](std::initializer_list<std::pair<const char*, double>> buckets, double count = 5) { return metrics::read_page(histogram(name, "", buckets, count, 2.5)); };
  const auto check = [&](const model::scrape& s, std::string_view why) {
    CAPTURE(all(s.problems));
    const auto* m = find(s, ttft);
    REQUIRE(m != nullptr);
    CHECK(m->value == 5);
    CHECK(m->sum == 2.5);
    CHECK(m->buckets.empty());
    CHECK(says(s.problems, name + ": " + std::string(why)));
  };
  check(page({{"1", 4}, {"2", 3}, {"+Inf", 5}}), "its buckets are not cumulative, so it has no quantiles");
  check(page({{"1", 4}, {"2", 5}}), "there is no +Inf bucket, so it has no quantiles");
  check(page({{"1", -4}, {"+Inf", 5}}), "a bucket's count is no number from 0 up, so it has no quantiles");
  // An edge that is no number is a line that is lost; the others remain.
  const auto s = page({{"1", 4}, {"fast", 4}, {"", 4}, {"+Inf", 5}});
  CHECK(find(s, ttft)->buckets.size() == 2);
  CHECK(s.lost.malformed == 2);
  CHECK(says(s.problems, "buckets without a number as their edge (le): 2"));
  // No count: +Inf holds it. Neither: nothing is known.
  CHECK(find(metrics::read_page(name + "_bucket{le=\"+Inf\"} 6\n" + name + "_bucket{le=\"1\"} 4\n"), ttft)->value == 6);
  const auto none = metrics::read_page(name + "_bucket{le=\"1\"} 4\n" + name + "_sum 3\n");
  CHECK(find(none, ttft) == nullptr);
  CHECK(says(none.problems, "neither a count nor a +Inf bucket"));
  // A sum that is none.
  const auto nan = metrics::read_page(name + "_bucket{le=\"+Inf\"} 6\n" + name + "_count 6\n" + name + "_sum NaN\n");
  CHECK(find(nan, ttft)->value == 6);
  CHECK_FALSE(find(nan, ttft)->sum);
  CHECK(says(nan.problems, "its sum is not a finite number"));
}

TEST_CASE("metrics: F-MET-12 several models and engines stay apart, and labels that nobody knows do too") {
  const auto s = metrics::read_page(
      "vllm:num_requests_running{engine=\"0\",model_name=\"a\"} 1\n"
      "vllm:num_requests_running{engine=\"1\",model_name=\"a\"} 2\n"
      "vllm:num_requests_running{engine=\"0\",model_name=\"b\"} 4\n"
      "vllm:num_requests_running{engine=\"0\",model_name=\"b\",pod=\"x\"} 8\n" +
      histogram("vllm:request_queue_time_seconds", "engine=\"0\",model_name=\"a\"", {{"1", 1}, {"+Inf", 2}}, 2, 3) +
      histogram("vllm:request_queue_time_seconds", "engine=\"1\",model_name=\"a\"", {{"1", 5}, {"+Inf", 6}}, 6, 7));
  CHECK(value(s, running, "model_name=a, engine=0") == 1);
  CHECK(value(s, running, "model_name=a, engine=1") == 2);
  CHECK(value(s, running, "model_name=b, engine=0") == 4);
  CHECK(value(s, running, "model_name=b, engine=0, pod=x") == 8);
  CHECK(count(s, running) == 4);
  CHECK(value(s, queue, "model_name=a, engine=1") == 6);
  CHECK(find(s, queue, "model_name=a, engine=0")->buckets.at(0).cumulative == 1);
  // An engine's facts are those of every series that does not say otherwise.
  const auto facts = metrics::read_page(
      "vllm:num_requests_running{engine=\"0\",model_name=\"a\"} 1\nvllm:num_requests_running{engine=\"1\",model_name=\"a\"} 1\n"
      "vllm:cache_config_info{block_size=\"16\",engine=\"0\",num_gpu_blocks=\"10\"} 1\nvllm:cache_config_info{block_size=\"32\",engine=\"1\",num_gpu_blocks=\"20\"} 1\n");
  CHECK(value(facts, kv_blocks, "model_name=a, engine=0") == 10);
  CHECK(value(facts, kv_blocks, "model_name=a, engine=1") == 20);
  CHECK(value(facts, kv_block_tokens, "model_name=a, engine=1") == 32);
  CHECK(count(facts, kv_blocks) == 2);
}

TEST_CASE("metrics: ranks of SGLang repeat a figure, so that the lowest of each data-parallel rank is taken and none are summed") {
  std::string page;
  for (const int dp : {1, 0})
    for (const int tp : {3, 2, 1, 0}) {
      const std::string labels = "{model_name=\"m\",engine_type=\"unified\",tp_rank=\"" + std::to_string(tp) + "\",pp_rank=\"0\",moe_ep_rank=\"0\",dp_rank=\"" + std::to_string(dp) + "\"";
      page += "sglang:num_running_reqs" + labels + "} " + std::to_string(10 * (dp + 1) + tp) + "\n";
      page += "sglang:prefill_effective_tokens_total" + labels + ",mode=\"input\"} 100\nsglang:prefill_effective_tokens_total" + labels + ",mode=\"device_hit\"} 20\n";
      page += "sglang:prefill_effective_tokens_total" + labels + ",mode=\"host_hit\"} 5\n";
      page += histogram("sglang:queue_time_seconds", labels.substr(1), {{"1", 3}, {"+Inf", 4}}, 4, 2);
    }
  const auto s = metrics::read_page(page);
  CHECK(s.engine == "sglang");
  CHECK(value(s, running, "model_name=m, dp_rank=0") == 10);
  CHECK(value(s, running, "model_name=m, dp_rank=1") == 20);
  CHECK(value(s, prefix_queries, "model_name=m, dp_rank=0") == 125);
  CHECK(value(s, prefix_hits, "model_name=m, dp_rank=1") == 25);
  CHECK(value(s, queue, "model_name=m, dp_rank=1") == 4);
  CHECK(find(s, queue, "model_name=m, dp_rank=1")->sum == 2);
  CHECK(count(s, queue) == 2);
}

TEST_CASE("metrics: SGLang writes a gauge's total beside its parts by priority; waiting adds its queues; hybrid pools give the fullest") {
  const auto s = metrics::read_page(
      "sglang:num_running_reqs{priority=\"1\"} 3\nsglang:num_running_reqs{priority=\"\"} 7\nsglang:num_running_reqs{priority=\"2\"} 4\n"
      "sglang:num_queue_reqs{priority=\"\"} 5\nsglang:num_queue_reqs{priority=\"1\"} 5\nsglang:num_grammar_queue_reqs{priority=\"\"} 2\n"
      "sglang:num_decode_prealloc_queue_reqs{priority=\"\"} 4\n"
      "sglang:token_usage 0.2\nsglang:swa_token_usage 0.9\nsglang:full_token_usage 0.1\n"
      "sglang:prompt_tokens_total{is_streaming=\"true\"} 10\nsglang:prompt_tokens_total{is_streaming=\"false\"} 1\n"
      "sglang:cached_tokens_total{cache_source=\"device\"} 4\nsglang:cached_tokens_total{cache_source=\"host\"} 2\n");
  CHECK(value(s, running) == 7);
  CHECK(value(s, waiting) == 11);
  CHECK(value(s, kv_usage) == 0.9);
  CHECK(value(s, prompt_tokens) == 11);
  CHECK(value(s, cached_prompt_tokens) == 6);
  // Without prefill_effective_tokens: cached of prompt tokens.
  CHECK(value(s, prefix_queries) == 11);
  CHECK(value(s, prefix_hits) == 6);
  // With it and no hit yet: no hit, not those of the other counter.
  const auto fresh = metrics::read_page("sglang:prefill_effective_tokens_total{mode=\"input\"} 50\nsglang:cached_tokens_total{cache_source=\"device\"} 4\nsglang:prompt_tokens_total 60\n");
  CHECK(value(fresh, prefix_queries) == 50);
  CHECK(value(fresh, prefix_hits) == 0);
}

TEST_CASE("metrics: parts of a histogram are added; with different edges on those they share, and it is said") {
  const std::string name = "sglang:time_to_first_token_seconds";
  const auto s = metrics::read_page(histogram(name, "is_streaming=\"true\"", {{"1", 1}, {"2", 3}, {"+Inf", 4}}, 4, 5) + histogram(name, "is_streaming=\"false\"", {{"1", 10}, {"2", 10}, {"+Inf", 10}}, 10, 2));
  CHECK(all(s.problems) == "");
  CHECK(find(s, ttft)->value == 14);
  CHECK(find(s, ttft)->sum == 7);
  CHECK(find(s, ttft)->buckets.at(1).cumulative == 13);
  const auto odd = metrics::read_page(histogram(name, "is_streaming=\"true\"", {{"1", 1}, {"2", 3}, {"+Inf", 4}}, 4, 5) + histogram(name, "is_streaming=\"false\"", {{"2", 10}, {"3", 10}, {"+Inf", 10}}, 10, 2));
  CHECK(says(odd.problems, "its parts have different edges, merged on those they share"));
  REQUIRE(find(odd, ttft)->buckets.size() == 2);
  CHECK(find(odd, ttft)->buckets[0].upper == 2);
  CHECK(find(odd, ttft)->buckets[0].cumulative == 13);
}

TEST_CASE("metrics: F-MET-14 older names are read, newer ones win, and rows of the caller win over both") {
  const auto old = metrics::read_page("vllm:gpu_cache_usage_perc 0.5\nvllm:gpu_prefix_cache_queries_total 9\nvllm:gpu_prefix_cache_hits_total 4\n" +
                                      histogram("vllm:time_per_output_token_seconds", "", {{"1", 1}, {"+Inf", 1}}, 1, 1));
  CHECK(value(old, kv_usage) == 0.5);
  CHECK(value(old, prefix_queries) == 9);
  CHECK(value(old, prefix_hits) == 4);
  CHECK(find(old, itl)->name == "vllm:time_per_output_token_seconds");
  const auto both = metrics::read_page("vllm:gpu_cache_usage_perc 0.5\nvllm:kv_cache_usage_perc 0.6\n");
  CHECK(value(both, kv_usage) == 0.6);
  CHECK(find(metrics::read_page(histogram("sglang:time_per_output_token_seconds", "", {{"1", 1}, {"+Inf", 1}}, 1, 1)), itl) != nullptr);
  CHECK(value(metrics::read_page("trtllm:num_requests_running 3\n"), running) == 3);
  // Some pages of several processes have counters without the suffix.
  CHECK(value(metrics::read_page("sglang:prompt_tokens 3\nsglang:num_retracted_requests 2\n"), prompt_tokens) == 3);
  CHECK(value(metrics::read_page("vllm:kv_cache_usage_perc_total 0.5\n"), kv_usage) == 0.5);

  const metrics::page_options mine{.names = {{.engine = "vllm", .name = "vllm:kv_pool_used_ratio", .what = kv_usage}, {.engine = "house", .name = "house_queue", .what = waiting}}};
  CHECK(value(metrics::read_page("vllm:kv_pool_used_ratio 0.7\nvllm:kv_cache_usage_perc 0.6\n", mine), kv_usage) == 0.7);
  const auto house = metrics::read_page("house_queue 5\n", mine);
  CHECK(house.engine == "house");
  CHECK(value(house, waiting) == 5);
}

TEST_CASE("metrics: F-MET-14 a version that calls things otherwise is reported with the closest names") {
  const auto s = metrics::read_page(
      "vllm:num_requests_running{engine=\"0\"} 3\nvllm:num_requests_wating{engine=\"0\"} 2\nvllm:kv_cache_usage_percent{engine=\"0\"} 0.5\n"
      "vllm:prompt_token_total{engine=\"0\"} 7\nvllm:something_else_entirely 1\nnode_requests_waiting 3\n");
  CHECK(value(s, running) == 3);
  CHECK(find(s, waiting) == nullptr);
  CHECK(says(s.problems, "waiting: vllm:num_requests_waiting is not on this page; the closest name is vllm:num_requests_wating"));
  CHECK(says(s.problems, "kv_usage: vllm:kv_cache_usage_perc is not on this page; the closest name is vllm:kv_cache_usage_percent"));
  CHECK(says(s.problems, "prompt_tokens: vllm:prompt_tokens_total is not on this page; the closest name is vllm:prompt_token_total"));
  CHECK_FALSE(says(s.problems, "preemptions"));
  CHECK_FALSE(says(s.problems, "something_else"));
}

TEST_CASE("metrics: F-MET-16 a page with too many samples, bytes or engines is over_limit, and memory is bounded") {
  std::string page = "vllm:num_requests_running 3\n";
  for (int i = 0; i < 200'000; ++i) page += "other{i=\"" + std::to_string(i) + "\"} 1\n";
  const auto many = metrics::read_page(page);
  CHECK(many.ok());
  CHECK(value(many, running) == 3);
  CHECK(many.lost.over_limit == 1);
  CHECK(says(many.problems, "line 200001: more samples than the limit"));

  const auto large = metrics::read_page("vllm:num_requests_running 3\n" + std::string(17u << 20, '#'));
  CHECK(value(large, running) == 3);
  CHECK(large.lost.over_limit == 1);
  CHECK(says(large.problems, "the page is larger than its limit"));
  const auto quoted = metrics::read_page("\"" + std::string(17u << 20, '#') + "\"");
  CHECK_FALSE(quoted.ok());
  CHECK(quoted.lost.over_limit == 1);

  page.clear();
  for (int i = 0; i < 1000; ++i) page += "vllm:num_requests_running{engine=\"" + std::to_string(i) + "\",x=\"" + std::string(4000, 'x') + "\"} 1\n";
  const auto engines = metrics::read_page(page);
  CHECK(engines.series.size() == 256);
  CHECK(engines.lost.over_limit == 744);
  CHECK(says(engines.problems, "more than 256 engines on one page"));
  for (const auto& m : engines.series) REQUIRE(m.source.size() < 300);
  CHECK(engines.series[0].source != engines.series[1].source);

  page.clear();
  for (int i = 0; i < 1000; ++i) page += "vllm:time_to_first_token_seconds_bucket{le=\"" + std::to_string(i) + "\"} 1\n";
  const auto buckets = metrics::read_page(page + "vllm:time_to_first_token_seconds_count 1\n");
  CHECK(buckets.lost.over_limit == 1000 - 512);
  page.clear();
  for (int i = 0; i < 5000; ++i) page += "vllm:prompt_tokens_total{engine=\"" + std::to_string(i % 200) + "\",finished_reason=\"" + std::to_string(i) + "\"} -1\n";
  CHECK(metrics::read_page(page).problems.size() == 33);
}

TEST_CASE("metrics: a page that is one JSON string is decoded first") {
  const std::string page = "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing 2\nllamacpp:prompt_tokens_total 70\nllamacpp:prompt_tokens_cached_total 30\n";
  std::string quoted;
  json::writer w{quoted};
  w.value(page);
  CHECK(metrics::kind_of(quoted) == metrics::body_kind::quoted_text);
  const auto s = metrics::read_page(" " + quoted + "\n");
  CHECK(s.engine == "llamacpp");
  CHECK(value(s, running) == 2);
  CHECK(value(s, prompt_tokens) == 100);  // its own counter leaves the cached ones out
  CHECK(value(s, cached_prompt_tokens) == 30);
  CHECK(value(s, prefix_queries) == 100);
  CHECK(value(s, prefix_hits) == 30);
  CHECK(find(s, running)->source == "");
}

TEST_CASE("metrics: the iteration statistics of TensorRT-LLM are read as far as they tell the state") {
  const std::string page = R"([{"iter": 7, "numActiveRequests": 1},
    {"iter": 8, "iterLatencyMS": 12.5, "numActiveRequests": 5, "numQueuedRequests": 3, "timestamp": "x",
     "kvCacheStats": {"maxNumBlocks": 200, "usedNumBlocks": 50, "freeNumBlocks": 150, "tokensPerBlock": 32, "reusedBlocks": 30, "missedBlocks": 70, "cacheHitRate": 0.3},
     "inflightBatchingStats": {"numCtxTokens": 12}}])";
  CHECK(metrics::kind_of(page) == metrics::body_kind::iteration_stats);
  const auto s = metrics::read_page(page);
  CHECK(s.ok());
  CHECK(s.engine == "trtllm");
  CHECK(value(s, running) == 5);
  CHECK(value(s, waiting) == 3);
  CHECK(value(s, kv_usage) == 0.25);
  CHECK(value(s, kv_blocks) == 200);
  CHECK(value(s, kv_block_tokens) == 32);
  CHECK(value(s, prefix_queries) == 100);
  CHECK(value(s, prefix_hits) == 30);
  // One object, as some versions answer; none at all: nothing happened since it was last asked.
  CHECK(value(metrics::read_page("{\"numActiveRequests\": 4}"), running) == 4);
  const auto none = metrics::read_page("[]");
  CHECK(none.ok());
  CHECK(none.series.empty());
  CHECK(none.engine == "trtllm");
  CHECK(none.problems.size() == 1);
  // A page whose first line is a quoted name is text.
  CHECK(metrics::kind_of("{\"a.b\",c=\"d\"} 1\n") == metrics::body_kind::text);
}

TEST_CASE("metrics: used blocks over blocks are a share, of the same engine or of the only one that tells, and never above 1") {
  CHECK(value(metrics::read_page("trtllm_kv_cache_used_blocks 30\ntrtllm_kv_cache_max_blocks 120\n"), kv_usage) == 0.25);
  CHECK(value(metrics::read_page("trtllm_kv_cache_used_blocks 30\ntrtllm_kv_cache_max_blocks 120\ntrtllm_kv_cache_utilization 0.5\n"), kv_usage) == 0.5);
  CHECK(find(metrics::read_page("trtllm_kv_cache_used_blocks 30\n"), kv_usage) == nullptr);
  CHECK(find(metrics::read_page("trtllm_kv_cache_used_blocks 30\ntrtllm_kv_cache_max_blocks 0\n"), kv_usage) == nullptr);
  const auto over = metrics::read_page("trtllm_kv_cache_used_blocks 130\ntrtllm_kv_cache_max_blocks 120\n");
  CHECK(find(over, kv_usage) == nullptr);
  CHECK(says(over.problems, "more blocks in use than there are"));
  const auto dynamo = metrics::read_page("dynamo_frontend_model_total_kv_blocks{model=\"m\"} 100\ndynamo_frontend_worker_active_decode_blocks{worker_id=\"1\",model=\"m\"} 40\n");
  CHECK(value(dynamo, kv_usage, "model=m, worker_id=1") == 0.4);
}

TEST_CASE("metrics: a worker of Dynamo gives the engine's own names with its labels, and what else is there is said") {
  const auto s = metrics::read_page(
      "dynamo_component_kvstats_gpu_cache_usage_percent{dynamo_component=\"backend\"} 0.9\n"
      "vllm:num_requests_running{dynamo_namespace=\"d\",dynamo_component=\"backend\",dynamo_endpoint=\"generate\",model_name=\"m\",engine=\"0\"} 3\n");
  CHECK(s.engine == "vllm");
  CHECK(value(s, running, "model_name=m, engine=0") == 3);
  CHECK(find(s, kv_usage) == nullptr);
  CHECK(says(s.problems, "the page also has names of dynamo, which are left out"));
  // Asked for by name.
  const auto chosen = metrics::read_page("vllm:num_requests_running 3\ndynamo_frontend_inflight_requests{model=\"m\"} 7\n", {.engine = "dynamo"});
  CHECK(chosen.engine == "dynamo");
  CHECK(value(chosen, running) == 7);
}

TEST_CASE("metrics: values that are none are left out, with the reason") {
  const auto s = metrics::read_page("vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\nvllm:prompt_tokens_total -5\nvllm:kv_cache_usage_perc 0.5\n");
  CHECK(s.series.size() == 1);
  CHECK(says(s.problems, "vllm:num_requests_running is not a number: left out"));
  CHECK(says(s.problems, "vllm:num_requests_waiting is infinite: left out"));
  CHECK(says(s.problems, "vllm:prompt_tokens_total is below 0: left out"));
}

TEST_CASE("metrics: the rows are of known engines, in the kind of what they mean, and no two say the same") {
  for (const auto& r : metrics::detail::builtin_rows) {
    CAPTURE(r.name);
    CHECK(std::find(metrics::engine_names.begin(), metrics::engine_names.end(), r.engine) != metrics::engine_names.end());
    CHECK(r.preference < 128);
    CHECK(r.match.empty() == (r.label.empty() || r.how == metrics::reading::label_value));
    std::size_t same = 0, other_way = 0;
    for (const auto& x : metrics::detail::builtin_rows) {
      same += x.name == r.name && x.what == r.what && x.match == r.match && x.label == r.label ? 1u : 0u;
      other_way += x.engine == r.engine && x.what == r.what && x.preference == r.preference && x.how != r.how ? 1u : 0u;
    }
    CHECK(same == 1);
    CHECK(other_way == 0);  // rows that are read together are read alike
  }
}
