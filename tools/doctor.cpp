// SPDX-License-Identifier: Apache-2.0
// tools/doctor.cpp - hotpath doctor: what this machine and an endpoint offer for measuring.
#include <hotpath/control.hpp>
#include <hotpath/replay/client.hpp>
#include <hotpath/report/doctor.hpp>
#include <hotpath/run/record.hpp>

#include "cli.hpp"

namespace tools {

using namespace hotpath;

namespace {

// What of this build depends on a library; HOTPATH_HAS_... come from the components that the tool links.
std::vector<control::part> parts() {
  constexpr bool sqlite =
#ifdef HOTPATH_HAS_SQLITE
      true;
#else
      false;
#endif
  constexpr bool tls =
#ifdef HOTPATH_HAS_OPENSSL
      true;
#else
      false;
#endif
  return {{"SQLite", "recorded runs", sqlite, "configure with -DHOTPATH_SQLITE=ON (apt-get install libsqlite3-dev)"},
          {"TLS", "https endpoints", tls, "put a proxy in front that speaks http on this machine"}};
}

// One request of a few tokens, as serve-profile sends them.
result<void> send_one(model::diagnosis& d, const doctor_flags& f, const std::vector<net::header>& headers) {
  auto endpoint = net::parse_url(f.endpoint);
  if (!endpoint) return endpoint.error();
  auto served = run::identify(*endpoint, headers, 5_s);
  if (!served && !f.model) return served.error();
  auto load = replay::workload::open("synthetic:input=8,output=8", {.prompt_ids = served && served->takes_token_ids && endpoint->api != "chat", .chat = endpoint->api == "chat"});
  if (!load) return load.error();
  replay::client_options options{.url = f.endpoint, .body = {.model = f.model.value_or(served ? served->id : "")}, .headers = headers};
  options.limits.total = options.limits.first_byte = 60_s;
  auto sent = replay::client<>{options}.run(*load, replay::closed({.requests = 1}));
  if (!sent) return sent.error();
  if (!sent->requests.empty()) control::judge_answer(d, sent->requests.front());
  return {};
}

}  // namespace

exit_code doctor(const doctor_flags& f) {
  const auto format = format_of(f.out, {"text", "json"});
  if (!format) return fail(format.error(), exit_code::usage);
  if (f.endpoint.empty() && (f.send_request || f.metrics_url || !f.headers.empty() || f.api_key_env || f.api_key_file || f.model))
    return usage("there is no endpoint to ask: add --endpoint");
  const auto headers = read_headers(f.headers, f.api_key_env, f.api_key_file);
  if (!headers) return fail(headers.error(), code_of(headers.error()));

  model::diagnosis d;
  control::examine_machine(d, {.parts = parts()});
  if (!f.endpoint.empty()) {
    auto asked = control::examine_endpoint(d, f.endpoint, {.headers = *headers, .metrics_url = f.metrics_url.value_or("")});
    if (!asked) return fail(asked.error(), exit_code::usage);
    if (f.send_request && d.rows.back().name != "reachable")
      if (auto sent = send_one(d, f, *headers); !sent) return fail(sent.error(), exit_code::unreachable);
  }
  const terminal t = terminal_of(1);
  print(*format == "json" ? report::json(d) : report::text(d, {.width = t.width, .color = t.color, .ascii = t.ascii}));
  return d.limited() ? exit_code::partial : exit_code::ok;
}

}  // namespace tools
