// SPDX-License-Identifier: Apache-2.0
// hotpath/control/doctor.hpp - what a machine and an endpoint offer for measuring, each gap with the next step.
//
//     model::diagnosis d;
//     control::examine_machine(d);
//     if (auto ok = control::examine_endpoint(d, "http://127.0.0.1:8000"); !ok) …   // the address makes no sense
//     if (d.limited()) return 5;
//
//   Nothing is changed anywhere. The endpoint is asked with GET and OPTIONS only: no token is generated, no profile started, nothing
//   reset; a row whose answer would need one of these says so and stays unknown. judge_answer() adds what one real request tells.
//   Files of /proc, /sys and /dev are read, libraries of the GPU loaded (dlopen; they stay loaded), one connection is made over the loopback.
//   Rows come in a fixed order; a row that makes no sense here is left out. No row holds a credential.
//   What routes and flags an engine has: vllm-project/vllm 0.33, sgl-project/sglang 0.5.23, NVIDIA/TensorRT-LLM 1.2, ggml-org/llama.cpp.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/model/diagnosis.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/net/fetch.hpp>

namespace hotpath::inline HOTPATH_ABI::control {

using model::condition;
using model::diagnosis;
using model::symptom;

// A dependency that a build has or has not; the caller knows, because only a caller is built.
struct part {
  std::string name, gives;         // "SQLite", "stored runs"
  bool built = false;
  std::string next;                // how to have it
};

struct machine_options {
  std::string root = {};           // in front of /proc, /sys, /dev and /opt: for tests
  std::string path = {};           // where programs are looked for, as $PATH, which it is when empty
  bool (*loads)(const char* library) = nullptr;  // nullptr: dlopen
  std::vector<part> parts = {};
};
void examine_machine(diagnosis& d, const machine_options& options = {});

struct endpoint_options {
  std::vector<net::header> headers = {};   // may hold keys: they reach the server and no row
  std::string metrics_url = {};            // empty: /metrics of the endpoint, and /prometheus/metrics
  nanoseconds timeout{5'000'000'000};      // of each question; an endpoint that cannot be reached is asked once
};

// What one page of the endpoint answered. `error` empty: `status` and `body` hold.
struct answer {
  std::string error;
  int status = 0;
  std::string body;
  nanoseconds took{};
};
// Asks `method target`; the second is for OPTIONS.
using asker = answer (*)(void* context, std::string_view target, std::string_view method);

// Fills the rows of the endpoint from what `ask` brings. `metrics`: the same of the server of the metrics, where `pages` are tried in turn.
void examine_endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages);

template <net::transport Transport = net::tcp>
result<void> examine_endpoint(diagnosis& d, std::string_view endpoint, const endpoint_options& options = {}) {
  struct context {
    net::url server, metrics;
    const endpoint_options& options;
    bool same;                     // a key for the endpoint is for nobody else
    static answer fetch(const net::url& where, std::string_view target, std::string_view method, std::span<const net::header> headers, nanoseconds limit) {
      const nanoseconds begin = monotonic_now();
      auto page = net::fetch<Transport>(where, target, headers, {.total = limit, .body_limit = 16u << 20, .method = method});
      answer a;
      a.took = monotonic_now() - begin;
      if (!page) a.error = page.error().source + ": " + page.error().detail;
      else a.status = page->status, a.body = std::move(page->body);
      return a;
    }
  };
  auto server = net::parse_url(endpoint);
  if (!server) return server.error();
  auto metrics = options.metrics_url.empty() ? *server : net::parse_url(options.metrics_url);
  if (!metrics) return metrics.error();
  d.endpoint = server->display();
  const bool same = metrics->authority() == server->authority() && metrics->socket_path == server->socket_path;
  context c{*server, *metrics, options, same};
  static constexpr std::string_view usual[] = {"/metrics", "/prometheus/metrics"}, given[] = {""};
  examine_endpoint(
      d, [](void* p, std::string_view target, std::string_view method) {
        auto& x = *static_cast<context*>(p);
        return context::fetch(x.server, target, method, x.options.headers, x.options.timeout);
      },
      [](void* p, std::string_view target, std::string_view method) {
        auto& x = *static_cast<context*>(p);
        return context::fetch(x.metrics, target, method, x.same ? std::span<const net::header>{x.options.headers} : std::span<const net::header>{}, x.options.timeout);
      },
      &c, options.metrics_url.empty() || metrics->base.empty() ? std::span<const std::string_view>{usual} : std::span<const std::string_view>{given});
  return {};
}

// What one finished request of a few tokens tells: does it stream, is usage told, whose stamps are they. Takes the place of the row
// "streaming" that said it was not tried.
void judge_answer(diagnosis& d, const model::request& r);

}  // namespace hotpath::inline HOTPATH_ABI::control

#if HOTPATH_HEADER_ONLY
#include <hotpath/control/doctor-inl.hpp>
#endif
