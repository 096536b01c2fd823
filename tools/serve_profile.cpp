// SPDX-License-Identifier: Apache-2.0
// tools/serve_profile.cpp - hotpath serve-profile: loads an endpoint, records the run, prints its report.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <hotpath/core/text.hpp>
#include <hotpath/net/url.hpp>
#include <hotpath/report/words.hpp>
#include <hotpath/run.hpp>
#include <hotpath/run/store_sqlite.hpp>

#include "live_view.hpp"
#include "serve_report.hpp"

namespace tools {

using namespace hotpath;
namespace words = report::words;

namespace {

// ---- flags

error wrong(std::string_view flag, std::string detail, std::string hint = {}) {
  return {.code = errc::usage, .detail = std::move(detail), .source = std::string(flag), .hint = std::move(hint)};
}

result<void> read_limits(const serve_profile_flags& f, replay::client_options& client) {
  struct limit {
    std::string_view flag;
    const std::string& value;
    nanoseconds& into;
  };
  auto& l = client.limits;
  for (const limit& x : {limit{"--timeout", f.timeout, l.total}, limit{"--connect-timeout", f.connect_timeout, l.connect},
                         limit{"--first-byte-timeout", f.first_byte_timeout, l.first_byte}, limit{"--idle-timeout", f.idle_timeout, l.idle}}) {
    auto t = read_seconds(x.flag, x.value);
    if (!t) return t.error();
    if (t->ns <= 0) return wrong(x.flag, "must be above 0");
    x.into = *t;
  }
  std::string_view most = f.max_errors;
  if (most.ends_with('%')) {
    most.remove_suffix(1);
    auto p = text::parse_double(most, 0, 100);
    if (!p) return wrong("--max-errors", "\"" + text::printable(f.max_errors, 64) + "\" is not a number of requests or a percentage, want 10 or 5%");
    client.errors.share = *p / 100;
  } else {
    auto n = text::parse_uint(most, 0, UINT64_MAX);
    if (!n) return wrong("--max-errors", "\"" + text::printable(f.max_errors, 64) + "\" is not a number of requests or a percentage, want 10 or 5%");
    client.errors.count = *n, client.errors.share.reset();
  }
  return {};
}

result<model::schedule> read_plan(const serve_profile_flags& f, std::uint64_t seed, const replay::workload_options& load) {
  std::optional<std::uint64_t> requests;
  if (f.requests) {
    auto n = read_count("--requests", *f.requests, 1, UINT64_MAX);
    if (!n) return n.error();
    requests = *n;
  }
  auto seconds = read_seconds("--duration", f.duration);
  if (!seconds) return seconds.error();
  std::optional<nanoseconds> duration;  // 0: none
  const bool recorded = f.arrival == "recorded";  // ends with its trace
  if (seconds->ns > 0 && (!recorded || f.duration_given)) duration = *seconds;
  if (!duration && !requests && !recorded) return wrong("--duration", "0 means no limit of time, so --requests must say when to end");

  if (f.concurrency && f.rate)
    return wrong("--concurrency and --rate", "the first is a closed loop, the second an open one", "for an open loop with a cap use --rate with --max-concurrency");
  if (recorded && (f.rate || f.concurrency)) return wrong("--arrival recorded", "the rate is that of the trace", "change it with --speed");
  if (!f.rate && !recorded) {
    if (f.max_concurrency) return wrong("--max-concurrency", "is the cap of an open loop", "add --rate, or use --concurrency for a closed loop");
    auto streams = read_count("--concurrency", f.concurrency.value_or("1"), 1, 1'000'000);
    if (!streams) return streams.error();
    return replay::closed({.streams = static_cast<std::uint32_t>(*streams), .requests = requests, .duration = duration});
  }
  auto rate = read_number(recorded ? "--speed" : "--rate", recorded ? f.speed : *f.rate, 0, 1e9);
  if (!rate) return rate.error();
  replay::open_options o{.per_second = *rate, .seed = seed, .requests = requests, .duration = duration};
  if (f.max_concurrency) {
    auto cap = read_count("--max-concurrency", *f.max_concurrency, 1, 1'000'000);
    if (!cap) return cap.error();
    o.max_in_flight = static_cast<std::uint32_t>(*cap);
  }
  if (recorded) {
    auto rows = replay::workload::open(f.traffic, load);
    if (!rows) return rows.error();
    auto plan = replay::recorded(*rows, *rate, o);
    if (!plan) return plan.error().source.empty() ? wrong("--speed", plan.error().detail) : plan.error();
    return plan;
  }
  if (f.arrival != "poisson" && f.arrival != "constant") return wrong("--arrival", "\"" + text::printable(f.arrival, 64) + "\" is not an arrival process, want poisson, constant or recorded");
  auto plan = f.arrival == "poisson" ? replay::poisson(o) : replay::constant(o);
  if (!plan) return wrong("--rate", plan.error().detail, plan.error().hint);
  return plan;
}

result<run::record_options> read_flags(const serve_profile_flags& f) {
  run::record_options o;
  o.client.url = f.endpoint;
  if (auto u = net::parse_url(f.endpoint); !u) return wrong("--endpoint " + u.error().source, u.error().detail, u.error().hint);
  o.client.body.model = f.model.value_or("");
  o.client.body.ignore_eos = f.ignore_eos;
  o.client.body.extra_body = f.extra_body.value_or("");
  if (auto good = replay::check(o.client.body); !good) return wrong("--extra-body", good.error().message());
  auto headers = read_headers(f.headers, f.api_key_env, f.api_key_file);
  if (!headers) return headers.error();
  o.client.headers = std::move(*headers);
  if (auto good = read_limits(f, o.client); !good) return good.error();

  if (f.api == "completions") o.api = replay::api::completions;
  else if (f.api == "chat") o.api = replay::api::chat;
  else if (f.api != "auto") return wrong("--api", "\"" + text::printable(f.api, 64) + "\" is not an API, want auto, completions or chat");
  if (f.prompt_ids == "on") o.ids = run::prompt_ids::on;
  else if (f.prompt_ids == "off") o.ids = run::prompt_ids::off;
  else if (f.prompt_ids != "auto") return wrong("--prompt-ids", "\"" + text::printable(f.prompt_ids, 64) + "\", want auto, on or off");
  if (o.ids == run::prompt_ids::on && o.api == replay::api::chat) return wrong("--prompt-ids on", "chat messages are text", "use --api completions");

  auto engine = read_engine(f.engine);
  if (!engine) return engine.error();
  o.metrics_page.engine = std::move(*engine);
  if (f.metrics_url) {
    if (auto u = net::parse_url(*f.metrics_url); !u) return wrong("--metrics-url " + u.error().source, u.error().detail, u.error().hint);
    o.metrics_url = *f.metrics_url;
  }
  auto interval = read_seconds("--metrics-interval", f.metrics_interval);
  if (!interval) return interval.error();
  o.metrics_interval = *interval;

  auto seed = read_count("--seed", f.seed, 0, UINT64_MAX);
  if (!seed) return seed.error();
  auto warmup = read_count("--warmup", f.warmup, 0, UINT64_MAX);
  if (!warmup) return warmup.error();
  auto threads = read_count("--threads", f.threads, 1, 1024);
  if (!threads) return threads.error();
  o.seed = *seed;
  o.client.warmup = *warmup;
  o.client.threads = static_cast<std::uint32_t>(*threads);
  o.client.keep_text = f.store_text;
  o.traffic = f.traffic;
  o.workload.strict = f.strict;
  o.workload.reuse_prompts = f.reuse_prompts;
  o.command_line = f.command_line;
  if (f.slo) {
    auto slo = read_slo(*f.slo);
    if (!slo) return slo.error();
    o.slo = *slo;
  }
  std::string_view scales = f.length_scale;
  const std::string_view input = text::take(scales, ',');
  for (const auto& [value, into] : {std::pair{input, &o.workload.input_scale}, std::pair{scales.empty() ? input : scales, &o.workload.output_scale}}) {
    auto n = read_number("--length-scale", std::string(value), 0, 1e6);
    if (!n) return n.error();
    if (!(*n > 0)) return wrong("--length-scale", "must be above 0");
    *into = *n;
  }
  auto plan = read_plan(f, *seed, o.workload);
  if (!plan) return plan.error();
  o.plan = std::move(*plan);
  return o;
}

// An error of a run that did not come about: the server's, or the user's.
exit_code code_of_start(const error& e, const std::string& endpoint) {
  const auto u = net::parse_url(endpoint);
  if (u && !e.source.empty() && e.source.starts_with(u->display())) return exit_code::unreachable;
  return code_of(e);
}

// ---- signals: the first drains (at most 5 s), the second ends now

replay::stop_flag stop_requested{0};

void on_signal(int) {
  const int n = stop_requested.load_relaxed();
  if (n < 2) stop_requested.store_relaxed(n + 1);
}

void catch_signals() {
  struct sigaction now {};
  now.sa_handler = on_signal;
  now.sa_flags = SA_RESTART;
  sigemptyset(&now.sa_mask);
  for (const int s : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    sigaction(s, nullptr, &before);
    if (s == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    sigaction(s, &now, nullptr);
  }
}

}  // namespace

exit_code serve_profile(const serve_profile_flags& flags) {
  const auto format = format_of(flags.out, {"text", "json", "md"});
  if (!format) return fail(format.error(), exit_code::usage);
  const auto gate = read_gate(flags.gate);
  if (!gate) return fail(gate.error(), exit_code::usage);
  auto options = read_flags(flags);
  if (!options) return fail(options.error(), code_of(options.error()));
  if (*gate && !options->slo) return usage("--gate needs limits to hold: add --slo, such as --slo ttft=500ms,tpot=50ms");

  if (flags.strict) {  // all of it, before anything is sent
    auto load = replay::workload::open(flags.traffic, options->workload);
    if (!load) return fail(load.error(), code_of(load.error()));
    if (!load->endless())
      if (auto good = replay::summarize(*load); !good) return fail(good.error(), code_of(good.error()));
  }

  const std::string path = flags.output + (flags.output.ends_with('/') ? "" : "/") + "serve_profile.db";
  const model::schedule plan = options->plan;
  live_view view;
  bool told = false;
  options->client.stop = &stop_requested;
  options->client.on_progress = [&](const model::progress& p) {
    if (stop_requested.load_relaxed() != 0 && !std::exchange(told, true))
      view.note("draining " + words::count(p.in_flight, "request") + " for at most 5 s; a second signal ends them now");
    view.show(p);
  };
  options->on_scrape = [&](const model::scrape& s) { view.add(s); };
  options->on_start = [&](const model::run_info& i) {
    view.describe(i.model + (i.engine.empty() ? "" : " on " + i.engine + (i.engine_version.empty() ? "" : " " + i.engine_version)) + ", " + i.endpoint, plan);
    say("loading " + i.endpoint + " (" + i.model + (i.engine.empty() ? "" : " on " + i.engine) + ") with " + i.workload + ", recording to " + path);
  };
  catch_signals();
  auto done = run::record<run::store_sqlite>(path, std::move(*options));
  view.clear();
  if (!done) return fail(done.error(), code_of_start(done.error(), flags.endpoint));
  if (!done->moved_aside.empty()) say("the earlier run in " + flags.output + " is now " + done->moved_aside);
  const model::run_info& i = done->info;
  if (!flags.duration_given && plan.max_requests && i.state == model::run_state::complete && plan.max_duration && i.sending_ended - i.sending_began >= *plan.max_duration)
    say("ended after the default --duration of " + flags.duration + " s; --duration 0 sends all " + words::count(*plan.max_requests, "request"));

  // What was measured is what is in the file: the report comes from there, as serve-report's does.
  return print_report(path, *format, std::nullopt, {.gate = *gate, .interrupted = i.state == model::run_state::interrupted, .refused = done->refused});
}

}  // namespace tools
