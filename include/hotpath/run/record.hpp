// SPDX-License-Identifier: Apache-2.0
// hotpath/run/record.hpp - records one run: asks the server who it is, sends the load, keeps everything in a store.
//
//     auto done = run::record<run::store_sqlite>("today.db", {
//         .client = {.url = "http://127.0.0.1:8000"}, .traffic = "prompts.jsonl", .plan = replay::closed({.streams = 16, .requests = 200})});
//     if (!done) { std::fputs(done.error().message().c_str(), stderr); return 4; }
//
//   The server's own metrics are read once before the first request, every metrics_interval, and once after the last answer: what the
//   engine counted in between is this run's (and that of others who use it).
//   Store is a type: create(path, info, plan, options), add(request&&), add(interval), add(scrape&&), failed(), finish(info), lost().
//   Errors before the first request: the server cannot be reached or names no model, the workload is unreadable or empty, the
//   store cannot be written. After it nothing is an error: what went wrong is in the run.
#pragma once
#include <string>
#include <utility>
#include <vector>
#include <hotpath/metrics/scrape.hpp>
#include <hotpath/net/fetch.hpp>
#include <hotpath/replay/client.hpp>

namespace hotpath::inline HOTPATH_ABI::run {

enum class prompt_ids : std::uint8_t { automatic, on, off };

struct record_options {
  replay::client_options client = {};     // body.model empty: the first of /v1/models
  std::string traffic = {};               // a JSONL file, or "synthetic:…"
  replay::api api = replay::api::automatic;
  replay::workload_options workload = {}; // prompt ids and API are set from the fields beside
  run::prompt_ids ids = prompt_ids::automatic;   // automatic: where the engine is known to take them; nothing is probed
  model::schedule plan = {};
  model::slo slo = {};
  std::string metrics_url = {};           // empty: the endpoint's /metrics, and where that does not serve /prometheus/metrics
  nanoseconds metrics_interval{1'000'000'000};  // 0: metrics are not read
  metrics::page_options metrics_page = {}; // whose names to expect
  std::vector<std::string> command_line = {};  // for the manifest; secrets already replaced
  std::uint64_t seed = 0;
  std::function<void(const model::run_info&)> on_start = {};  // once, before the first request
  std::function<void(const model::scrape&)> on_scrape = {};   // each, from the scraper's thread
};

struct recorded {
  model::run_info info;
  bool refused = false;                   // the server answered 401 or 403
  std::string moved_aside;                // where an earlier run of that name went; empty: there was none
};

// What the server says of itself. Errors: unreachable, refused (unreachable with the status), malformed, empty.
template <net::transport Transport = net::tcp>
result<replay::served_model> identify(const net::url& endpoint, std::span<const net::header> headers, nanoseconds within) {
  auto page = net::fetch<Transport>(endpoint, "/v1/models", headers, {.total = within, .body_limit = 1u << 20});
  if (!page) return page.error();
  const std::string source = endpoint.display() + "/v1/models";
  if (page->status != 200)
    return error{.code = errc::unreachable, .detail = "the server answered HTTP " + std::to_string(page->status), .source = source,
                 .hint = page->status == 401 || page->status == 403 ? "give a key with --api-key-env or --api-key-file" : "name the model with --model"};
  return replay::read_models(page->body, source);
}

// The version of the engine, where its server tells one; empty: not told. Never an error: nothing depends on it.
template <net::transport Transport = net::tcp>
std::string version_of(const net::url& endpoint, std::span<const net::header> headers, std::string_view engine, nanoseconds within) {
  const replay::version_place place = replay::version_place_of(engine);
  auto page = net::fetch<Transport>(endpoint, place.path, headers, {.total = within, .body_limit = 1u << 20});
  return page && page->status == 200 ? replay::text_member(page->body, place.member) : std::string();
}

template <class Store, net::transport Transport = net::tcp>
result<recorded> record(const std::string& path, record_options options, typename Store::options store_options = {}) {
  auto endpoint = net::parse_url(options.client.url);
  if (!endpoint) return endpoint.error();
  if (options.api == replay::api::automatic && endpoint->api == "chat") options.api = replay::api::chat;
  if (options.api == replay::api::automatic && endpoint->api == "completions") options.api = replay::api::completions;

  auto& body = options.client.body;
  replay::served_model served;
  served.id = body.model;
  if (auto who = identify<Transport>(*endpoint, options.client.headers, options.client.limits.connect)) {
    served = *who;
  } else if (body.model.empty() || who.error().code == errc::not_found) {
    return who.error();
  }
  if (body.model.empty()) body.model = served.id;
  const std::string version = version_of<Transport>(*endpoint, options.client.headers, served.engine, options.client.limits.connect);

  std::string metrics_url;
  metrics::scrape_options scrapes{.endpoint = options.client.url, .url = options.metrics_url, .interval = options.metrics_interval, .page = options.metrics_page};
  if (options.metrics_interval.ns > 0) {
    auto where = options.metrics_url.empty() ? *endpoint : net::parse_url(options.metrics_url);
    if (!where) return where.error();
    metrics_url = where->display();
    // A key for the endpoint is for nobody else.
    if (where->authority() == endpoint->authority() && where->socket_path == endpoint->socket_path) scrapes.headers = options.client.headers;
  }

  if (options.api != replay::api::automatic) options.workload.chat = options.api == replay::api::chat;
  options.workload.seed = options.seed;
  options.workload.prompt_ids = options.ids == prompt_ids::on || (options.ids == prompt_ids::automatic && served.takes_token_ids && options.api != replay::api::chat);
  options.workload.keep_text = options.client.keep_text;
  auto load = replay::workload::open(options.traffic, options.workload);
  if (!load) return load.error();

  // What can be known to fail is known before an earlier run is moved aside: an empty workload, too few descriptors.
  {
    auto peek = replay::workload::open(options.traffic, options.workload);
    if (!peek) return peek.error();
    replay::workload_item first;
    const auto any = peek->next(first);
    if (!any) return any.error();
    if (!*any) return replay::nothing_to_send(*peek);
  }
  if (auto fits = replay::preflight(options.plan, *endpoint); !fits) return fits.error();

  recorded r;
  auto aside = Store::move_aside(path);
  if (!aside) return aside.error();
  r.moved_aside = *aside;
  const auto manifest = [&](const replay::run_outcome& done) {
    model::run_info i = replay::describe(options.client, *load, options.plan, done);
    i.command_line = options.command_line;
    i.api = options.api != replay::api::automatic ? name_of(options.api) : options.traffic.starts_with("synthetic:") ? "completions" : "as each request says";
    i.engine = served.engine;
    i.engine_version = version;
    i.metrics_url = metrics_url;
    i.slo = options.slo;
    i.seed = options.seed;
    return i;
  };
  replay::run_outcome begun;
  begun.origin = monotonic_now();
  begun.wall_start = realtime_now();
  begun.state = model::run_state::running;
  store_options.store_text = options.client.keep_text;
  auto store = Store::create(path, manifest(begun), options.plan, store_options);
  if (!store) return store.error();
  if (options.on_start) options.on_start(manifest(begun));

  options.client.origin = begun.origin;
  metrics::scraper<Transport> engine{std::move(scrapes)};
  if (!metrics_url.empty())
    if (auto asked = engine.start(begun.origin, [&](model::scrape&& s) {
          if (options.on_scrape) options.on_scrape(s);
          store->add(std::move(s));
        }); !asked)
      return asked.error();
  replay::client<Transport> client{options.client};
  auto done = client.run(*load, options.plan, *store);
  engine.stop();
  if (!done) {
    begun.state = model::run_state::stopped;
    begun.stop_reason = done.error().message();
    if (auto closed = store->finish(manifest(begun)); !closed) return closed.error();
    return done.error();
  }
  r.refused = done->refused;
  r.info = manifest(*done);
  r.info.lost = store->lost();
  if (const auto failed = store->failed()) {
    r.info.state = model::run_state::stopped;
    r.info.stop_reason = "the results cannot be stored: " + failed->message();
  }
  if (auto finished = store->finish(r.info); !finished && r.info.stop_reason.empty()) {
    r.info.state = model::run_state::stopped;
    r.info.stop_reason = "the results cannot be stored: " + finished.error().message();
  }
  return r;
}

}  // namespace hotpath::inline HOTPATH_ABI::run
