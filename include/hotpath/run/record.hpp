// SPDX-License-Identifier: Apache-2.0
// hotpath/run/record.hpp - records one run: asks the server who it is, sends the load, keeps everything in a store.
//
//     auto done = run::record<run::store_sqlite>("today.db", {
//         .client = {.url = "http://127.0.0.1:8000"}, .traffic = "prompts.jsonl", .plan = replay::closed({.streams = 16, .requests = 200})});
//     if (!done) { std::fputs(done.error().message().c_str(), stderr); return 4; }
//
//   Store is a type: create(path, info, plan, options), add(request&&), add(interval), failed(), finish(info), lost().
//   Errors before the first request: the server cannot be reached or names no model, the workload is unreadable or empty, the
//   store cannot be written. After it nothing is an error: what went wrong is in the run.
#pragma once
#include <string>
#include <utility>
#include <vector>
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
  std::vector<std::string> command_line = {};  // for the manifest; secrets already replaced
  std::uint64_t seed = 0;
  std::function<void(const model::run_info&)> on_start = {};  // once, before the first request
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

  replay::client<Transport> client{options.client};
  auto done = client.run(*load, options.plan, *store);
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
