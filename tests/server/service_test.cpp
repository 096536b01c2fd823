// SPDX-License-Identifier: Apache-2.0
#include <api.hpp>
#include <metrics.hpp>
#include <service.hpp>
#include "tiny.hpp"

using namespace tiny;

namespace {
bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string refusal(std::string_view body, bool chat = false) {
  const auto r = read_completion(body, chat, "tiny", small_model(), 1);
  return r ? "" : r.error().detail;
}
completion accepted(std::string_view body, bool chat = false) {
  auto r = read_completion(body, chat, "tiny", small_model(), 1);
  REQUIRE_MESSAGE(r.has_value(), (r ? "" : r.error().detail));
  return *std::move(r);
}
output text_output(char c, finish why = finish::none, std::uint32_t cut = 0) { return {.token = static_cast<unsigned char>(c), .has_token = true, .why = why, .cut = cut}; }
}  // namespace

TEST_CASE("server: a body says what is asked for, and what is left out has the usual value") {
  const completion plain = accepted(R"({"prompt":"hi"})");
  CHECK(plain.ask.prompt == std::vector<kv::token>{'h', 'i'});
  CHECK(plain.ask.how.max_tokens == 16);
  CHECK(plain.ask.how.temperature == 0);
  CHECK(plain.ask.how.seed == 1);
  CHECK_FALSE(plain.stream);
  const completion full = accepted(R"({"model":"tiny","prompt":[[1,2,299]],"max_tokens":7,"min_tokens":2,"seed":-5,"temperature":0.5,"ignore_eos":true,"stop":"x","stream":true,
    "stream_options":{"include_usage":true,"continuous_usage_stats":true},"unknown":{"a":[1]},"n":1,"user":null})");
  CHECK(full.ask.prompt == std::vector<kv::token>{1, 2, 299});
  CHECK(full.ask.how.max_tokens == 7);
  CHECK(full.ask.how.min_tokens == 2);
  CHECK(full.ask.how.seed == static_cast<std::uint64_t>(-5));
  CHECK(full.ask.how.temperature == 0.5);
  CHECK(full.ask.how.stop == std::vector<std::string>{"x"});
  CHECK((full.stream && full.usage && full.usage_in_each && full.ask.how.ignore_eos));
  const completion chat = accepted(R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"ab"}]}],"max_completion_tokens":3})", true);
  CHECK(chat.ask.prompt == std::vector<kv::token>{system_says, 's', end_of_text, user_says, 'a', 'b', end_of_text, assistant_says});
  CHECK(chat.ask.how.max_tokens == 3);
  CHECK(accepted(R"({"messages":[{"role":"user","content":"x"}],"max_tokens":null,"stop":null,"temperature":null})", true).ask.how.max_tokens == 128 - 4);
}

TEST_CASE("server: a body that cannot be answered is refused in words") {
  CHECK(has(refusal("{"), "not JSON"));
  CHECK(has(refusal("[]"), "must be a JSON object"));
  CHECK(refusal(R"({"prompt":["a","b"]})") == "only one prompt per request is supported");
  CHECK(refusal(R"({"prompt":[1,"b"]})") == "prompt must be a string or a list of token ids");
  CHECK(refusal(R"({"prompt":[[[1]]]})") == "only one prompt per request is supported");
  CHECK(refusal(R"({"prompt":[-1]})") == "token ids must be whole numbers, 0 or more");
  CHECK(refusal(R"({"prompt":{}})") == "prompt must be a string or a list of token ids");
  CHECK(refusal(R"({"prompt":"x","max_tokens":0})") == "max_tokens must be at least 1, got 0");
  CHECK(refusal(R"({"prompt":"x","max_tokens":5000000000})") != "");
  CHECK(refusal(R"({"prompt":"x","max_tokens":"5"})") == "max_tokens must be a whole number");
  CHECK(refusal(R"({"prompt":"x","temperature":3})") == "temperature must be a number from 0 to 2");
  CHECK(refusal(R"({"prompt":"x","stream":1})") == "stream must be true or false");
  CHECK(refusal(R"({"prompt":"x","n":2})") == "n must be 1: this server gives one answer per request");
  CHECK(refusal(R"({"prompt":"x","stop":[1]})") == "stop must be a string");
  CHECK(refusal(R"({"messages":"x"})", true) == "messages must be a list");
  const auto other = read_completion(R"({"prompt":"x","model":"gpt"})", false, "tiny", small_model(), 1);
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().code == errc::not_found);
  CHECK(error_body(404, "no \"x\"") == R"({"error":{"message":"no \"x\"","type":"NotFoundError","param":null,"code":404}})");
}

TEST_CASE("server: text that may become a stop string waits, and a stop string is never written") {
  const completion asked = accepted(R"({"prompt":"q","stream":true,"stop":["END","~"]})");
  reply r{asked, "cmpl-1-0", "tiny", 5};
  std::string events;
  for (const char c : std::string("abEN")) r.add_events(text_output(c), events);
  CHECK(has(events, R"("text":"a")"));
  CHECK(has(events, R"("text":"b")"));
  CHECK_FALSE(has(events, "E\""));
  events.clear();
  r.add_events(text_output('D', finish::stop, 3), events);
  CHECK(has(events, R"("text":"","logprobs":null,"finish_reason":"stop")"));
  CHECK(events.ends_with("data: [DONE]\n\n"));
  CHECK_FALSE(has(events, "usage"));

  reply whole{asked, "cmpl-2-0", "tiny", 5};
  for (const char c : std::string("xEN")) whole.take(text_output(c));
  whole.take(text_output('d', finish::length));
  CHECK(whole.body() == R"({"id":"cmpl-2-0","object":"text_completion","created":5,"model":"tiny","choices":[{"index":0,"text":"xENd","logprobs":null,"finish_reason":"length"}],)"
                        R"("usage":{"prompt_tokens":1,"total_tokens":5,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":0}}})");
}

TEST_CASE("server: metrics count what the engine did, with vLLM's names, edges and meaning of the phases") {
  model_options o = small_model();
  o.blocks = 8;
  metrics page{"ti\"ny", o, {}, nanoseconds{1'500'000'000}};
  step_report step{.context_requests = 1, .context_tokens = 40, .generation_requests = 2, .generation_tokens = 2, .preempted = 3, .prompt_tokens = 50, .cached_prompt_tokens = 16, .prefix_queries = 50, .prefix_hits = 16};
  step.outputs.resize(3);
  step.outputs[0].first = true, step.outputs[0].since_last = nanoseconds::from_ms(30);
  step.outputs[1].since_last = step.outputs[2].since_last = nanoseconds::from_ms(10);
  const auto at = [](std::int64_t ms) { return nanoseconds::from_ms(1000 + ms); };
  step.finished.push_back({.why = finish::length, .prompt_tokens = 50, .output_tokens = 5, .cached_tokens = 16, .preemptions = 2, .max_tokens = 5, .arrival = at(0), .queued = at(100), .scheduled = at(500), .first_token = at(1300), .last_token = at(2300)});
  page.observe(step);
  page.observe(finished_request{.why = finish::abort, .prompt_tokens = 9});
  const std::string text = page.page(2, 1, 0.25, 4);
  const auto line = [&](std::string_view name, std::string_view more, std::string_view value) {
    const std::string want = "\n" + std::string(name) + "{engine=\"0\",model_name=\"ti\\\"ny\"" + std::string(more) + "} " + std::string(value) + "\n";
    CAPTURE(want);
    CHECK(has(text, want));
  };
  line("vllm:num_requests_running", "", "2.0");
  line("vllm:num_requests_waiting", "", "1.0");
  line("vllm:kv_cache_usage_perc", "", "0.25");
  line("vllm:prefix_cache_queries_total", "", "50.0");
  line("vllm:prefix_cache_hits_total", "", "16.0");
  line("vllm:num_preemptions_total", "", "3.0");
  line("vllm:prompt_tokens_total", "", "50.0");
  line("vllm:prompt_tokens_by_source_total", ",source=\"local_compute\"", "34.0");
  line("vllm:prompt_tokens_by_source_total", ",source=\"local_cache_hit\"", "16.0");
  line("vllm:generation_tokens_total", "", "3.0");
  line("vllm:request_success_total", ",finished_reason=\"length\"", "1.0");
  line("vllm:request_success_total", ",finished_reason=\"abort\"", "1.0");
  line("vllm:request_success_total", ",finished_reason=\"stop\"", "0.0");
  line("vllm:admission_rejections_total", ",reason=\"max_num_queued_reqs\"", "4.0");
  line("vllm:iteration_tokens_total_sum", "", "42.0");
  line("vllm:iteration_tokens_total_bucket", ",le=\"32.0\"", "0.0");
  line("vllm:iteration_tokens_total_bucket", ",le=\"64.0\"", "1.0");
  line("vllm:time_to_first_token_seconds_bucket", ",le=\"0.02\"", "0.0");
  line("vllm:time_to_first_token_seconds_bucket", ",le=\"0.04\"", "1.0");
  line("vllm:inter_token_latency_seconds_bucket", ",le=\"0.01\"", "2.0");  // on the edge: not above it
  line("vllm:inter_token_latency_seconds_count", "", "2.0");
  line("vllm:request_queue_time_seconds_sum", "", "0.4");
  line("vllm:request_prefill_time_seconds_sum", "", "0.8");
  line("vllm:request_decode_time_seconds_sum", "", "1.0");
  line("vllm:request_inference_time_seconds_sum", "", "1.8");
  line("vllm:e2e_request_latency_seconds_sum", "", "2.3");
  line("vllm:request_time_per_output_token_seconds_sum", "", "0.25");
  line("vllm:e2e_request_latency_seconds_count", "", "1.0");
  line("vllm:request_prompt_tokens_bucket", ",le=\"50.0\"", "1.0");
  line("vllm:request_prompt_tokens_bucket", ",le=\"100.0\"", "1.0");
  CHECK_FALSE(has(text, "vllm:request_prompt_tokens_bucket{engine=\"0\",model_name=\"ti\\\"ny\",le=\"200.0\"}"));
  line("vllm:request_prefill_kv_computed_tokens_sum", "", "34.0");
  line("vllm:request_num_preemptions_sum", "", "2.0");
  CHECK(has(text, "\nprocess_start_time_seconds 1.5\n"));
  CHECK(has(text, R"(vllm:cache_config_info{block_size="16",cache_dtype="float32",enable_prefix_caching="True",engine="0",num_gpu_blocks="8",)"));
}

TEST_CASE("server: the engine's thread answers, takes back what is aborted, turns away what is too much, and ends what is open when it stops") {
  model_options o = small_model();
  o.max_len = 4096, o.blocks = 256;  // long answers: what stops or aborts one comes before its end
  model m{o};
  const server::log quiet{};
  service s{m, {.max_seqs = 1}, "tiny", quiet, 2};
  const auto ask = [&](std::uint32_t tokens, std::shared_ptr<stream>& to) {
    to = std::make_shared<stream>();
    return s.submit({.prompt = {1, 2, 3}, .how = {.max_tokens = tokens, .ignore_eos = true}}, to);
  };
  const auto all = [](stream& from) {
    std::vector<output> got;
    while (got.empty() || got.back().why == finish::none) REQUIRE(from.wait(got, std::chrono::seconds{20}));
    return got;
  };
  const auto until = [&](std::string_view line) {
    for (int i = 0; i < 20'000; ++i)
      if (has(s.metrics_page(), line)) return true;
      else std::this_thread::yield();
    return false;
  };
  std::shared_ptr<stream> a, b, c, d;
  REQUIRE(ask(20, a));
  CHECK(all(*a).size() == 20);
  CHECK(until("vllm:num_requests_running{engine=\"0\",model_name=\"tiny\"} 0.0"));
  CHECK(has(s.metrics_page(), "vllm:generation_tokens_total{engine=\"0\",model_name=\"tiny\"} 20.0"));

  auto refused = ask(5000, b);
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code == errc::usage);

  // A flood: one may run, two may wait. The rest is told so, and those that were taken end, one way or the other.
  std::size_t taken = 0, turned_away = 0;
  std::vector<std::shared_ptr<stream>> streams(300);
  for (auto& to : streams) {
    const auto r = ask(4000, to);
    ++(r ? taken : turned_away);
    if (r) s.abort(to);
    else CHECK(r.error().code == errc::over_limit);
  }
  CHECK(taken >= 1);
  CHECK(turned_away >= 1);
  CHECK(until("vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"tiny\"} 0.0"));
  CHECK(until("vllm:request_success_total{engine=\"0\",model_name=\"tiny\",finished_reason=\"abort\"} " + std::to_string(taken) + ".0"));
  CHECK(has(s.metrics_page(), "reason=\"max_num_queued_reqs\"} " + std::to_string(turned_away) + ".0"));

  REQUIRE(until("vllm:num_requests_waiting{engine=\"0\",model_name=\"tiny\"} 0.0"));
  REQUIRE(ask(4000, c));
  REQUIRE(ask(4000, d));
  s.stop();
  CHECK(all(*c).back().why == finish::abort);
  CHECK(all(*d).back().why == finish::abort);
}
