// SPDX-License-Identifier: Apache-2.0
// Pages of real engines and generated ones, against figures that a program in another language computed from the same files.
#include <hotpath/serve/server.hpp>
#include <nlohmann/json.hpp>
#include "look.hpp"

using namespace hotpath;
using namespace look;
using document = nlohmann::json;

namespace {

// A sum of doubles depends on the order of its parts in the last bits; everything else must be equal.
bool close(double a, double b) { return a == doctest::Approx(b).epsilon(1e-12); }

std::optional<model::scrape> page(const std::string& name) {
  const auto path = hotpath_test::data_or_skip("metrics/" + name);
  if (!path) return std::nullopt;
  model::scrape s = metrics::read_page(file(*path));
  CHECK(s.error == "");
  CHECK(s.lost.total() == 0);
  CHECK(all(s.problems) == "");
  return s;
}

// Over all engines of the page: the interval of the histogram that is exported under this name.
buckets::difference interval(const model::scrape& a, const model::scrape& b, const std::string& name) {
  buckets::difference out;
  bool first = true;
  for (const model::metric_series& x : b.series) {
    if (!x.name.ends_with(name) || x.name.size() <= name.size()) continue;
    const char before = x.name[x.name.size() - name.size() - 1];
    if (before != ':' && !x.name.starts_with("trtllm_" + name)) continue;
    const model::metric_series* y = nullptr;
    for (const model::metric_series& c : a.series)
      if (c.what == x.what && c.source == x.source) y = &c;
    REQUIRE(y != nullptr);
    const auto d = buckets::subtract(cumulative(x), cumulative(*y));
    CHECK_FALSE(d.reset);
    if (first) out = d;
    else CHECK(buckets::add(out.of, d.of) == buckets::merged::all_edges);
    first = false;
  }
  REQUIRE_FALSE(first);
  return out;
}

const serve::bucketed& latency(const serve::engine_figures& f, const std::string& name) {
  if (name == "time_to_first_token_seconds") return f.ttft;
  if (name == "inter_token_latency_seconds") return f.itl;
  if (name == "time_per_output_token_seconds") return f.tpot;
  if (name == "e2e_request_latency_seconds") return f.e2e;
  if (name == "request_queue_time_seconds") return f.queue;
  if (name == "request_prefill_time_seconds") return f.prefill;
  REQUIRE(name == "request_decode_time_seconds");
  return f.decode;
}

std::optional<double> counter(const serve::engine_figures& f, const std::string& name) {
  if (name == "prompt_tokens_total") return f.prompt_tokens;
  if (name == "generation_tokens_total") return f.generation_tokens;
  if (name == "prefix_cache_queries_total") return f.prefix_queries;
  if (name == "prefix_cache_hits_total" || name == "kv_cache_reused_blocks_total") return f.prefix_hits;
  if (name == "kv_cache_missed_blocks_total") return f.prefix_queries && f.prefix_hits ? std::optional(*f.prefix_queries - *f.prefix_hits) : std::nullopt;
  if (name == "num_preemptions_total") return f.preemptions;
  REQUIRE(name == "request_success_total");
  return f.requests_finished;
}

void check_interval(const document& expected, const model::scrape& a, const model::scrape& b, const serve::engine_figures& all_engines) {
  for (const auto& item : expected["histograms"].items()) {
    const std::string& name = item.key();
    const document& want = item.value();
    CAPTURE(name);
    const auto d = interval(a, b, name);
    CHECK(d.of.count == want["count"].get<double>());
    REQUIRE(d.of.sum);
    CHECK(close(*d.of.sum, want["sum"].get<double>()));
    CHECK(close(*d.of.sum / d.of.count, want["mean"].get<double>()));
    const serve::bucketed& report = latency(all_engines, name);
    CHECK(report.missing == "");
    CHECK(report.n == want["count"].get<double>());
    REQUIRE(report.mean);
    CHECK(close(*report.mean, want["mean"].get<double>() * 1000));
    struct level_of {
      const char* name;
      double at;
      std::size_t index;
    };
    for (const level_of& l : {level_of{"p50", 0.5, 0}, {"p90", 0.9, 1}, {"p99", 0.99, 3}}) {
      const char* const level = l.name;
      const std::size_t index = l.index;
      CAPTURE(level);
      const auto q = buckets::quantile_of(d.of, l.at);
      REQUIRE(q);
      CHECK(q->value == want[level]["value"].get<double>());
      CHECK(q->lower == want[level]["lower"].get<double>());
      CHECK(q->upper == want[level]["upper"].get<double>());
      CHECK(q->below_resolution == want[level]["first_bucket"].get<bool>());
      REQUIRE(report.quantile[index]);
      CHECK(report.quantile[index]->lo == want[level]["lower"].get<double>() * 1000);
      CHECK(report.quantile[index]->hi == want[level]["upper"].get<double>() * 1000);
    }
  }
  for (const auto& item : expected["counter_delta"].items()) {
    const std::string& name = item.key();
    const document& want = item.value();
    CAPTURE(name);
    const auto got = counter(all_engines, name);
    REQUIRE(got);
    CHECK(*got == want.get<double>());
  }
}

void check_equal(const serve::engine_figures& a, const serve::engine_figures& b) {
  CHECK(a.source == b.source);
  const auto same = [](const serve::bucketed& x, const serve::bucketed& y) {
    CHECK(x.n == y.n);
    CHECK(x.mean == y.mean);
    CHECK(x.missing == y.missing);
    CHECK(x.reset == y.reset);
    for (std::size_t i = 0; i < x.quantile.size(); ++i) {
      CHECK(x.quantile[i].has_value() == y.quantile[i].has_value());
      if (x.quantile[i] && y.quantile[i]) CHECK((x.quantile[i]->lo == y.quantile[i]->lo && x.quantile[i]->hi == y.quantile[i]->hi));
    }
  };
  same(a.queue, b.queue), same(a.prefill, b.prefill), same(a.decode, b.decode), same(a.ttft, b.ttft), same(a.itl, b.itl), same(a.tpot, b.tpot), same(a.e2e, b.e2e);
  CHECK(a.preemptions == b.preemptions);
  CHECK(a.prompt_tokens == b.prompt_tokens);
  CHECK(a.cached_prompt_tokens == b.cached_prompt_tokens);
  CHECK(a.generation_tokens == b.generation_tokens);
  CHECK(a.prefix_queries == b.prefix_queries);
  CHECK(a.prefix_hits == b.prefix_hits);
  CHECK(a.requests_finished == b.requests_finished);
  CHECK(a.prefix_hit_rate == b.prefix_hit_rate);
  CHECK(a.tokens_per_step == b.tokens_per_step);
  CHECK(a.kv_capacity_tokens == b.kv_capacity_tokens);
  CHECK(a.reset == b.reset);
}

// The interval t0 to t2 from text and from OpenMetrics, and with t1 between.
void check_set(const std::string& set) {
  const auto path = hotpath_test::data_or_skip("metrics/expected_" + set + ".json");
  if (!path) return;
  const document expected = document::parse(file(*path));
  const auto t0 = page(set + "_t0.prom"), t1 = page(set + "_t1.prom"), t2 = page(set + "_t2.prom"), open = page(set + "_t2.openmetrics");
  if (!t0 || !t1 || !t2 || !open) return;
  const auto text = serve::difference(*t0, *t2), metrics = serve::difference(*t0, *open);
  CHECK(all(text.problems) == "");
  check_interval(expected, *t0, *t2, text.all);
  check_interval(expected, *t0, *open, metrics.all);
  serve::server_fold between;
  between.add(*t0), between.add(*t1), between.add(*t2);
  const auto three = between.finish();
  CHECK(three.scrapes == 3);
  check_equal(text.all, three.all);
  check_equal(text.all, metrics.all);
  REQUIRE(text.engines.size() == three.engines.size());
  for (std::size_t i = 0; i < text.engines.size(); ++i) check_equal(text.engines[i], three.engines[i]);
}

}  // namespace

TEST_CASE("metrics: vLLM with one engine: the interval is the oracle's, from text and OpenMetrics, with and without a scrape between") { check_set("gen_vllm_0.33_dp1"); }
TEST_CASE("metrics: vLLM with two engines: merged as the oracle does, and each engine by itself") {
  check_set("gen_vllm_0.33_dp2");
  const auto a = page("gen_vllm_0.33_dp2_t0.prom"), b = page("gen_vllm_0.33_dp2_t2.prom");
  if (!a || !b) return;
  const auto d = serve::difference(*a, *b);
  REQUIRE(d.engines.size() == 2);
  CHECK(d.engines[0].source == "model_name=meta-llama/Llama-3.1-8B-Instruct, engine=0");
  CHECK(*d.engines[0].prompt_tokens + *d.engines[1].prompt_tokens == *d.all.prompt_tokens);
  CHECK(d.engines[0].ttft.n + d.engines[1].ttft.n == d.all.ttft.n);
  CHECK(d.engines[0].kv_capacity_tokens == 27391.0 * 16);
  CHECK_FALSE(d.all.kv_capacity_tokens);  // engine 1 does not tell
}
TEST_CASE("metrics: SGLang with two tensor-parallel ranks: the interval is the oracle's") { check_set("gen_sglang_0.5.23_tp2"); }
TEST_CASE("metrics: TensorRT-LLM: the interval is the oracle's") { check_set("gen_trtllm"); }

TEST_CASE("metrics: real pages of vLLM 0.32 with preemptions agree with what the engine itself recorded") {
  const auto before = page("vllm-0.32.0-cpu-tiny-moe-preempt-before.prom"), during2 = page("vllm-0.32.0-cpu-tiny-moe-preempt-during2.prom");
  const auto during5 = page("vllm-0.32.0-cpu-tiny-moe-preempt-during5.prom"), after = page("vllm-0.32.0-cpu-tiny-moe-preempt-after.prom");
  if (!before || !during2 || !during5 || !after) return;
  CHECK(value(*after, kv_blocks) == 70);
  CHECK(value(*after, kv_block_tokens) == 32);
  const auto d = serve::difference(*before, *after);
  CHECK(all(d.problems) == "");
  CHECK(d.engine == "vllm");
  CHECK(d.all.preemptions == 24.0);
  CHECK(d.all.requests_finished == 60.0);
  CHECK(d.all.prefix_queries == 11887.0);
  CHECK(d.all.prefix_hits == 4736.0);
  CHECK(d.all.prefix_hit_rate == 4736.0 / 11887.0);  // 39.8 %
  CHECK(d.all.kv_capacity_tokens == 2240.0);
  CHECK(d.all.ttft.n == 60);
  CHECK(d.all.e2e.n == 60);
  CHECK(d.all.itl.n == d.all.generation_tokens.value_or(0) - 60);  // a gap for each token but the first of each answer
  CHECK(d.engines.empty());
  CHECK_FALSE(d.all.reset);
  // 534 steps are logged (those without a token are not), with 12,058 tokens: what was computed, preempted work twice.
  CHECK(d.all.tokens_per_step == 12058.0 / 534);
  // Phases add up: inference is prefill and decode, e2e holds queueing too.
  CHECK(*d.all.e2e.mean >= *d.all.queue.mean + *d.all.prefill.mean + *d.all.decode.mean - 1e-6);

  serve::server_fold fold;
  for (const auto* s : {&*before, &*during2, &*during5, &*after}) fold.add(*s);
  check_equal(fold.finish().all, d.all);
  CHECK(value(*during2, running) > 0);
  CHECK(fold.finish().all.running.max == (std::max)(value(*during2, running), value(*during5, running)));
}

TEST_CASE("metrics: real pages of vLLM 0.32: the second load is what lies between them") {
  const auto before = page("vllm-0.32.0-cpu-tiny-llama-before.prom"), during = page("vllm-0.32.0-cpu-tiny-llama-during2.prom"), after = page("vllm-0.32.0-cpu-tiny-llama-after.prom");
  if (!before || !during || !after) return;
  CHECK(before->engine == "vllm");
  CHECK(value(*before, kv_blocks) * value(*before, kv_block_tokens) == 524288);
  const auto d = serve::difference(*before, *after);
  CHECK(d.all.requests_finished == 80.0);  // the client's record of the second load
  CHECK(d.all.preemptions == 0.0);
  CHECK(d.all.ttft.n == 80);
  serve::server_fold fold;
  fold.add(*before), fold.add(*during), fold.add(*after);
  check_equal(fold.finish().all, d.all);
}

TEST_CASE("metrics: a real page of llama.cpp") {
  const auto s = page("llamacpp_real_2025.txt");
  if (!s) return;
  CHECK(s->engine == "llamacpp");
  CHECK(value(*s, running) == 0);
  CHECK(value(*s, waiting) == 0);
  CHECK(value(*s, prompt_tokens) == 18292);
  CHECK(value(*s, generation_tokens) == 1406);
  CHECK(find(*s, prefix_hits) == nullptr);  // this build does not tell
  CHECK_FALSE(serve::difference(*s, *s).all.prefix_hit_rate);
}

TEST_CASE("metrics: a real excerpt of a Dynamo frontend, whose first edge is 0") {
  const auto s = page("dynamo_frontend_real_2025.txt");
  if (!s) return;
  CHECK(s->engine == "dynamo");
  CHECK(value(*s, running, "model=qwen/qwen3-0.6b") == 0);
  const auto* m = find(*s, itl);
  REQUIRE(m != nullptr);
  CHECK(m->value == 16637145);
  CHECK(m->sum == 813545.702521758);
  const auto q = buckets::quantile_of(cumulative(*m), 0.5);
  REQUIRE(q);
  CHECK(q->lower == 0.045);  // the 8,318,573rd of 1,842,700 up to 0.045 s and 16,539,606 up to 0.084 s
  CHECK(q->upper == 0.084);
}

TEST_CASE("metrics: a real excerpt of vLLM 0.28 without types") {
  const auto s = page("vllm_0.28_real_excerpt.txt");
  if (!s) return;
  CHECK(s->engine == "vllm");
  CHECK(value(*s, prefix_queries) == 64929219);
  CHECK(value(*s, prefix_hits) == 44041600);
  CHECK(value(*s, preemptions) == 0);
  CHECK(s->series.size() == 6);
  CHECK(find(*s, running)->source == "model_name=qwen3.8-27b-local, engine=0");
}
