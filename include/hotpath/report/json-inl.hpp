// SPDX-License-Identifier: Apache-2.0
// hotpath/report/json-inl.hpp - bodies of report/json.hpp
#pragma once
#include <hotpath/core/json.hpp>
#include <hotpath/core/utc.hpp>
#include <hotpath/report/json.hpp>
#include <hotpath/report/verdict.hpp>

namespace hotpath::inline HOTPATH_ABI::report {

namespace detail {

// Writes members and keeps the books of what is missing. One object per report.
class serve_json {
 public:
  serve_json(std::string& out, int indent, const serve::report& r) : w_(out, indent), r_(r) {}

  void write() {
    w_.object_begin();
    w_.member("schema", "hotpath.serve_report/1");
    const verdict v = judge(r_);
    group("verdict", [&] { w_.member("word", v.word()), list("reasons", v.reasons); });
    group("run", [&] { run(); });
    group("requests", [&] { requests(); });
    group("tokens", [&] { tokens(); });
    for (std::size_t i = 0; i < r_.latency.size(); ++i) latency(serve::metric_names[i], r_.latency[i]);
    group("throughput", [&] { throughput(); });
    steady();
    group("goodput", [&] { goodput(); });
    group("concurrency", [&] { concurrency(); });
    group("stalls", [&] { stalls(); });
    group("client", [&] { client(); });
    server();
    over_time();
    list("findings", r_.findings);
    checks();
    loss("loss", r_.lost);
    group("bootstrap", [&] { w_.member("seed", r_.bootstrap_seed), w_.member("resamples", r_.bootstrap_resamples); });
    w_.key("missing");
    w_.object_begin();
    for (const auto& [path, why] : missing_) w_.member(path, why);
    w_.object_end();
    w_.object_end();
  }

 private:
  template <class F>
  void group(std::string_view name, F&& members) {
    w_.key(name);
    w_.object_begin();
    at_ = std::string(name) + ".";
    members();
    at_.clear();
    w_.object_end();
  }

  void missing(std::string path, std::string_view why) {
    missing_.emplace_back(std::move(path), why.empty() ? std::string_view("not measured") : why);
  }

  // To the millionth: a nanosecond of a millisecond. What lies behind is noise of the arithmetic.
  static double tidy(double v) { return __builtin_fabs(v) < 1e9 ? __builtin_nearbyint(v * 1e6) / 1e6 : v; }

  template <class T>
  void figure(std::string_view name, const std::optional<T>& v, std::string_view why) {
    w_.key(name);
    if (!v) {
      w_.null(), missing(at_ + std::string(name), why);
      return;
    }
    if constexpr (std::is_same_v<T, double>) {
      w_.value(tidy(*v));  // null where it is not finite
      if (!__builtin_isfinite(*v)) missing(at_ + std::string(name), why.empty() ? "not a finite number" : why);
    } else {
      w_.value(*v);
    }
  }
  void figure(std::string_view name, double v, std::string_view why = "not a finite number") { figure(name, std::optional<double>{v}, why); }

  void list(std::string_view name, const std::vector<std::string>& items) {
    w_.key(name);
    w_.array_begin();
    for (const std::string& item : items) w_.value(item);
    w_.array_end();
  }

  // Small things on one line, however the rest is indented.
  template <class F>
  void on_one_line(std::string_view name, F&& write) {
    std::string text;
    json::writer line{text};
    write(line);
    w_.key(name);
    w_.raw(text);
  }

  // [lo, hi|null], or null.
  void interval(json::writer& line, std::string_view name, const std::optional<serve::bounds>& b, const std::string& path,
                std::string_view why_no_upper, std::string_view why_none) {
    line.key(name);
    if (!b || !__builtin_isfinite(b->lo)) {
      line.null(), missing(path, why_none);
      return;
    }
    const bool bounded = b->hi && __builtin_isfinite(*b->hi);
    line.array_begin(), line.value(tidy(b->lo));
    if (bounded) line.value(tidy(*b->hi));
    else line.null(), missing(path + "[1]", why_no_upper);
    line.array_end();
  }

  void loss(std::string_view name, const model::loss& l) {
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      line.member("dropped", l.dropped), line.member("truncated", l.truncated), line.member("malformed", l.malformed);
      line.member("over_limit", l.over_limit), line.member("late", l.late);
      line.object_end();
    });
  }

  void schedule() {
    const model::schedule& s = r_.run.plan;
    on_one_line("schedule", [&](json::writer& line) {
      line.object_begin();
      line.member("kind", model::name_of(s.kind));
      if (s.open()) {
        line.member("per_second", s.per_second);
        if (s.max_in_flight != 0) line.member("max_in_flight", s.max_in_flight);
        if (s.kind == model::arrival::poisson) line.member("seed", s.seed);
      } else {
        line.member("streams", s.streams);
      }
      if (s.max_requests) line.member("max_requests", *s.max_requests);
      if (s.max_duration) line.member("max_duration_s", s.max_duration->s());
      line.object_end();
    });
  }

  void run() {
    const model::run_info& i = r_.run;
    w_.member("tool_version", i.tool_version);
    on_one_line("command_line", [&](json::writer& line) {
      line.array_begin();
      for (const std::string& word : i.command_line) line.value(word);
      line.array_end();
    });
    w_.member("host", i.host), w_.member("endpoint", i.endpoint), w_.member("api", i.api), w_.member("model", i.model);
    const auto known = [&](std::string_view name, const std::string& v, std::string_view why) {
      figure(name, v.empty() ? std::optional<std::string>{} : std::optional<std::string>{v}, why);
    };
    known("engine", i.engine, "the server did not say");
    if (!i.engine_version.empty()) w_.member("engine_version", i.engine_version);
    w_.member("workload", i.workload);
    known("prompt_lengths", i.prompt_lengths, "not stored");
    figure("workload_rows", i.workload_rows == 0 ? std::optional<std::uint64_t>{} : i.workload_rows, "endless, or not known");
    w_.member("workload_passes", i.workload_passes), w_.member("prompts_reused", i.prompts_reused);
    loss("workload_loss", i.workload_loss);
    w_.member("seed", i.seed), w_.member("threads", i.threads), w_.member("warmup", i.warmup);
    schedule();
    w_.member("text_stored", i.text_stored);
    w_.member("started", text::utc(i.wall_start));
    const auto moment = [&](std::string_view name, nanoseconds t, std::string_view why) {
      figure(name, t.ns == 0 ? std::optional<double>{} : std::optional<double>{t.s()}, why);
    };
    figure("sending_began_s", i.sending_began.s());
    moment("sending_ended_s", i.sending_ended, "sending was not ended when this was stored");
    moment("ended_s", i.ended, "the run was not ended when this was stored");
    w_.member("state", model::name_of(i.state));
    if (!i.stop_reason.empty()) w_.member("stop_reason", i.stop_reason);
    list("notes", i.notes);
    figure("ephemeral_ports_left", i.ephemeral_ports_left == 0 ? std::optional<std::uint64_t>{} : i.ephemeral_ports_left, "not known, or a unix socket");
  }

  void requests() {
    const auto& q = r_.requests;
    w_.member("sent", q.sent), w_.member("ok", q.ok), w_.member("failed", q.failed), w_.member("cancelled", q.cancelled);
    w_.member("in_flight", q.in_flight), w_.member("unsent", r_.run.unsent), w_.member("warmup", q.warmup);
    on_one_line("errors", [&](json::writer& line) {
      line.object_begin();
      for (std::size_t i = 0; i < q.errors.size(); ++i)
        if (q.errors[i] != 0) line.member(model::error_class_names[i], q.errors[i]);
      line.object_end();
    });
    on_one_line("finish_reasons", [&](json::writer& line) {
      line.object_begin();
      for (const auto& [name, n] : q.finish_reasons) line.member(name, n);
      line.object_end();
    });
    if (!q.first_error.empty()) w_.member("first_error", q.first_error);
    w_.member("retried_connections", q.retried_connections);
  }

  void tokens() {
    const auto& t = r_.tokens;
    const std::string_view none = r_.requests.ok == 0 ? "no request succeeded" : "the server sent no usage";
    figure("prompt", t.prompt, none), figure("completion", t.completion, none);
    w_.member("source", t.source.empty() ? std::string_view("none") : t.source);
    figure("reasoning", t.reasoning, "the server's usage does not tell"), figure("cached", t.cached, "the server's usage does not tell");
    w_.member("suspect", t.suspect), w_.member("without_usage", t.without_usage);
    figure("planned_prompt_error", t.planned_prompt_error, "no planned lengths to compare with");
  }

  void latency(std::string_view name, const serve::distribution& d) {
    if (d.n == 0) {
      w_.key(name), w_.null();
      missing(std::string(name), d.missing.empty() ? "no data" : d.missing);
      return;
    }
    const std::string at = std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      const auto figure = [&](std::string_view key, double v) {
        line.member(key, tidy(v));
        if (!__builtin_isfinite(v)) missing(at + std::string(key), "not a finite number");
      };
      const auto ci = [&](std::string_view key, const std::optional<serve::bounds>& b, double level) {
        interval(line, key, b, at + "ci95." + std::string(key), no_upper_bound(d.n, level), "too few values for an interval");
      };
      line.object_begin();
      line.member("n", d.n), figure("mean", d.mean);
      for (std::size_t i = 0; i < d.quantile.size(); ++i) figure(serve::quantile_names[i], d.quantile[i]);
      figure("max", d.max);
      line.key("ci95"), line.object_begin();
      ci("mean", d.mean_ci, 0);
      for (std::size_t i = 0; i < d.ci.size(); ++i) ci(serve::quantile_names[i], d.ci[i], serve::quantile_levels[i]);
      line.object_end();
      line.key("ci_method");
      if (d.ci_method.empty()) line.null(), missing(at + "ci_method", "too few values for an interval");
      else line.value(d.ci_method);
      if (d.inexact != 0) line.member("inexact", d.inexact);
      line.object_end();
    });
  }

  static std::string no_upper_bound(std::uint64_t n, double level) {
    return "n = " + std::to_string(n) + " is too small for an upper bound" + (level > 0.5 ? " of this quantile" : "");
  }

  void throughput() {
    const auto& t = r_.throughput;
    figure("window_s", t.window.ns == 0 ? std::optional<double>{} : std::optional<double>{t.window.s()}, t.missing);
    const std::pair<std::string_view, const std::optional<serve::rate>&> rates[] = {
        {"requests_per_s", t.requests_per_s}, {"output_tokens_per_s", t.output_tokens_per_s}, {"input_tokens_per_s", t.input_tokens_per_s}};
    const auto why = [&](std::string_view name) -> std::string_view {
      if (!t.missing.empty()) return t.missing;
      return name == "requests_per_s" ? "no data" : "token counts are not known";
    };
    for (const auto& [name, v] : rates) figure(name, v ? std::optional<double>{v->value} : std::optional<double>{}, why(name));
    on_one_line("ci95", [&](json::writer& line) {
      line.object_begin();
      for (const auto& [name, v] : rates)
        interval(line, name, v ? v->ci : std::optional<serve::bounds>{}, "throughput.ci95." + std::string(name), "too few requests for an upper bound",
                 v ? "too few requests for an interval" : why(name));
      line.object_end();
    });
  }

  void steady() {
    const auto& s = r_.steady;
    w_.key("steady");
    if (!s.missing.empty() || s.end <= s.begin) {
      w_.null(), missing("steady", s.missing.empty() ? "not looked for" : s.missing);
      return;
    }
    w_.object_begin(), at_ = "steady.";
    w_.member("cut", s.cut), figure("begin_s", s.begin.s()), figure("end_s", s.end.s());
    figure("requests_per_s", s.requests_per_s, "no data"), figure("output_tokens_per_s", s.output_tokens_per_s, "token counts are not known");
    figure("in_flight", s.in_flight, "no data");
    at_.clear(), w_.object_end();
  }

  void goodput() {
    const auto& g = r_.goodput;
    const model::slo& limits = r_.run.slo;
    const std::string_view why = g.missing.empty() ? (limits ? "no data" : "no limits were set") : std::string_view(g.missing);
    figure("per_s", g.per_s, why), figure("share", g.share, why);
    const auto n = [&](std::uint64_t v) { return g.share ? std::optional<std::uint64_t>{v} : std::optional<std::uint64_t>{}; };
    figure("good", n(g.good), why), figure("total", n(g.total), why);
    on_one_line("limits", [&](json::writer& line) {
      line.object_begin();
      if (limits.ttft) line.member("ttft_ms", limits.ttft->ms());
      if (limits.tpot) line.member("tpot_ms", limits.tpot->ms());
      if (limits.e2e) line.member("e2e_ms", limits.e2e->ms());
      line.object_end();
    });
    on_one_line("ci95", [&](json::writer& line) {
      const std::string_view none = g.share ? "too few requests for an interval" : why;
      line.object_begin();
      interval(line, "share", g.share_ci, "goodput.ci95.share", "too few requests for an upper bound", none);
      interval(line, "per_s", g.per_s_ci, "goodput.ci95.per_s", "too few requests for an upper bound", none);
      line.object_end();
    });
  }

  void concurrency() {
    const auto& c = r_.concurrency;
    const bool known = r_.throughput.window.ns != 0;
    const auto v = [&](double x) { return known ? std::optional<double>{x} : std::optional<double>{}; };
    figure("mean", v(c.mean), r_.throughput.missing), figure("max", v(c.max), r_.throughput.missing);
    figure("at_server", c.at_server, known ? std::string_view("not measured") : std::string_view(r_.throughput.missing));
    w_.member("queue_at", r_.queue_at.empty() ? std::string_view("none") : std::string_view(r_.queue_at));
  }

  void stalls() {
    const auto& s = r_.stalls;
    const serve::distribution& gaps = r_.of(serve::metric::chunk_gap);
    const bool known = gaps.n != 0 || r_.of(serve::metric::itl).n != 0;
    const std::string_view why = gaps.missing.empty() ? std::string_view("no gaps were measured") : std::string_view(gaps.missing);
    const auto n = [&](std::uint64_t x) { return known ? std::optional<std::uint64_t>{x} : std::optional<std::uint64_t>{}; };
    figure("count", n(s.count), why), figure("requests", n(s.requests), why);
    figure("longest_ms", s.count != 0 ? std::optional<double>{s.longest_ms} : std::optional<double>{}, known ? std::string_view("no stall") : why);
    figure("share_of_decode_time", known ? std::optional<double>{s.share_of_decode_time} : std::optional<double>{}, why);
  }

  void client() {
    const auto& c = r_.client;
    constexpr std::string_view unmeasured = "the client stored no measurements of itself";
    w_.member("limited", c.limited), list("reasons", c.reasons);
    w_.key("loop_lag_ms");
    if (c.loop_lag_p50_ms || c.loop_lag_p99_ms || c.loop_lag_max_ms) {
      const std::string outer = at_;
      w_.object_begin(), at_ += "loop_lag_ms.";
      figure("p50", c.loop_lag_p50_ms, unmeasured), figure("p99", c.loop_lag_p99_ms, unmeasured), figure("max", c.loop_lag_max_ms, unmeasured);
      w_.object_end(), at_ = outer;
    } else {
      w_.null(), missing("client.loop_lag_ms", unmeasured);
    }
    figure("read_lag_p99_ms", c.read_lag_p99_ms, c.kernel_stamps ? unmeasured : std::string_view("no stamp came from the kernel"));
    figure("inexact_share", c.inexact_share), w_.member("kernel_stamps", c.kernel_stamps);
    figure("user_stamp_share", c.user_stamp_share), figure("cpu_share", c.cpu_share, unmeasured);
    figure("bytes_per_s", c.bytes_per_s), w_.member("receive_queue_max_bytes", c.receive_queue_max);
    w_.member("open_descriptors_max", c.open_descriptors_max), w_.member("late", c.late), w_.member("suspended_ms", c.suspended.ms());
  }

  // ---- the engine's own figures

  void bucketed(std::string_view name, const serve::bucketed& b) {
    if (!(b.n > 0)) {
      w_.key(name), w_.null();
      missing(at_ + std::string(name), b.missing.empty() ? "not told" : b.missing);
      return;
    }
    const std::string at = at_ + std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      line.member("n", tidy(b.n));
      line.key("mean");
      if (b.mean && __builtin_isfinite(*b.mean)) line.value(tidy(*b.mean));
      else line.null(), missing(at + "mean", b.missing.empty() ? "the engine's sum is not usable" : b.missing);
      for (std::size_t i = 0; i < b.quantile.size(); ++i)
        interval(line, serve::quantile_names[i], b.quantile[i], at + std::string(serve::quantile_names[i]), "above the last bucket's edge",
                 b.missing.empty() ? "the engine's buckets are not usable" : b.missing);
      if (b.reset) line.member("reset", true);
      line.object_end();
    });
  }

  void gauge(std::string_view name, const serve::engine_figures::gauge& g, double scale = 1) {
    if (g.n == 0) {
      w_.key(name), w_.null();
      missing(at_ + std::string(name), "not told");
      return;
    }
    const std::string at = at_ + std::string(name) + ".";
    on_one_line(name, [&](json::writer& line) {
      line.object_begin();
      for (const auto& [key, v] : {std::pair<std::string_view, double>{"mean", g.mean}, {"max", g.max}}) {
        line.member(key, tidy(v * scale));
        if (!__builtin_isfinite(v)) missing(at + std::string(key), "not a finite number");
      }
      line.member("n", g.n);
      line.object_end();
    });
  }

  void engine(const serve::engine_figures& e) {
    bucketed("queue_ms", e.queue), bucketed("prefill_ms", e.prefill), bucketed("decode_ms", e.decode), bucketed("ttft_ms", e.ttft);
    bucketed("itl_ms", e.itl), bucketed("tpot_ms", e.tpot), bucketed("e2e_ms", e.e2e);
    gauge("kv_usage_pct", e.kv_usage, 100), gauge("running", e.running), gauge("waiting", e.waiting);
    figure("prefix_hit_rate", e.prefix_hit_rate, e.prefix_queries && *e.prefix_queries == 0 ? "no query within the interval" : "not told");
    const std::pair<std::string_view, const std::optional<double>*> counters[] = {
        {"prefix_hits", &e.prefix_hits}, {"prefix_queries", &e.prefix_queries}, {"preemptions", &e.preemptions}, {"prompt_tokens", &e.prompt_tokens},
        {"cached_prompt_tokens", &e.cached_prompt_tokens}, {"generation_tokens", &e.generation_tokens}, {"requests_finished", &e.requests_finished},
        {"tokens_per_step", &e.tokens_per_step}, {"spec_acceptance", &e.spec_acceptance}, {"kv_capacity_tokens", &e.kv_capacity_tokens}};
    for (const auto& [name, v] : counters) figure(name, *v, "not told");
    w_.member("reset", e.reset);
  }

  void server() {
    const serve::server_section& s = r_.server;
    w_.key("server");
    if (!s.missing.empty() || s.scrapes <= s.failed) {
      w_.null(), missing("server", s.missing.empty() ? "its metrics were not read" : s.missing);
      return;
    }
    w_.object_begin();
    at_ = "server.";
    const auto text = [&](std::string_view name, const std::string& v, std::string_view why) {
      figure(name, v.empty() ? std::optional<std::string>{} : std::optional<std::string>{v}, why);
    };
    text("engine", s.engine, "its metrics do not tell"), text("version", r_.run.engine_version, "the server did not say");
    w_.member("scrapes", s.scrapes), w_.member("failed", s.failed), w_.member("skipped", s.skipped);
    figure("begin_s", s.begin.s()), figure("end_s", s.end.s());
    w_.member("bracketed", s.bracketed);
    engine(s.all);
    w_.key("engines");
    w_.array_begin();
    for (std::size_t i = 0; i < s.engines.size(); ++i) {
      at_ = "server.engines[" + std::to_string(i) + "].";
      w_.object_begin(), w_.member("source", s.engines[i].source), engine(s.engines[i]), w_.object_end();
    }
    w_.array_end();
    at_ = "server.";
    list("problems", s.problems);
    const auto& o = s.over_time;
    w_.key("over_time");
    if (o.running.empty() && o.waiting.empty() && o.kv_usage.empty()) {
      w_.null(), missing("server.over_time", "too few scrapes for steps over time");
    } else {
      w_.object_begin(), at_ = "server.over_time.";
      figure("begin_s", o.begin.s()), figure("step_s", o.step.s());
      constexpr std::string_view why = "no scrape within this step told";
      steps("running", o.running, why), steps("waiting", o.waiting, why), steps("kv_usage", o.kv_usage, why);
      w_.object_end();
    }
    at_.clear();
    w_.object_end();
  }

  void steps(std::string_view name, const std::vector<double>& v, std::string_view why) {
    bool gaps = false;
    on_one_line(name, [&](json::writer& line) {
      line.array_begin();
      for (const double x : v) line.value(__builtin_nearbyint(x * 1e3) / 1e3), gaps = gaps || !__builtin_isfinite(x);
      line.array_end();
    });
    if (gaps) missing(at_ + std::string(name) + "[*]", why);
  }

  void over_time() {
    const serve::series& s = r_.over_time;
    w_.key("over_time");
    if (s.in_flight.empty()) {
      w_.null(), missing("over_time", "too little data for steps over time");
      return;
    }
    w_.object_begin();
    at_ = "over_time.";
    figure("begin_s", s.begin.s()), figure("step_s", s.step.s());
    steps("in_flight", s.in_flight, "not a finite number"), steps("output_tokens_per_s", s.output_tokens_per_s, "not a finite number");
    steps("ttft_p50_ms", s.ttft_p50_ms, "no request had its first content in this step");
    at_.clear();
    w_.object_end();
  }

  void checks() {
    w_.key("checks");
    w_.array_begin();
    for (std::size_t i = 0; i < r_.checks.size(); ++i) {
      const serve::check& c = r_.checks[i];
      at_ = "checks[" + std::to_string(i) + "].";
      const std::string_view why = c.why.empty() ? std::string_view("not applicable") : std::string_view(c.why);
      w_.object_begin();
      w_.member("name", c.name);
      figure("ok", c.ok, why), figure("left", c.left, why), figure("right", c.right, why);
      if (!c.why.empty()) w_.member("why", c.why);
      w_.object_end();
      at_.clear();
    }
    w_.array_end();
  }

  json::writer w_;
  const serve::report& r_;
  std::string at_;  // path of the open group, with its dot
  std::vector<std::pair<std::string, std::string>> missing_;
};

}  // namespace detail

HOTPATH_FN std::string json(const serve::report& r, int indent) {
  std::string out;
  detail::serve_json{out, indent, r}.write();
  return out += '\n';
}

}  // namespace hotpath::inline HOTPATH_ABI::report
