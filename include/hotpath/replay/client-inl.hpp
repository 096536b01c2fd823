// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/replay/client.hpp>

#include <algorithm>
#include <cstdio>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <hotpath/core/text.hpp>
#include <hotpath/version.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN result<void> preflight(const model::schedule& plan, const net::url& endpoint, std::uint64_t* ports_left) {
  const std::uint64_t streams = plan.open() ? plan.max_in_flight : plan.streams;  // an uncapped open loop may need any number
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  constexpr std::uint64_t own = 32;  // the store, the loop, the terminal, the workload
  if (streams + own > files.rlim_cur)
    return error{.code = errc::over_limit,
                 .detail = std::to_string(streams) + " streams need more open files than the limit of " + std::to_string(files.rlim_cur),
                 .hint = "raise it: ulimit -n " + std::to_string(streams + own)};
  std::uint64_t left = 0;
  if (!endpoint.is_unix()) {
    unsigned first = 32768, last = 60999;  // the kernel's default
    if (std::FILE* f = std::fopen("/proc/sys/net/ipv4/ip_local_port_range", "re"); f != nullptr) {
      if (std::fscanf(f, "%u %u", &first, &last) != 2) first = 32768, last = 60999;
      std::fclose(f);
    }
    left = last - first + 1;
    if (streams > left)
      return error{.code = errc::over_limit,
                   .detail = std::to_string(streams) + " streams need more local ports than the range of " + std::to_string(left),
                   .hint = "widen net.ipv4.ip_local_port_range"};
  }
  if (ports_left != nullptr) *ports_left = left;
  return {};
}

HOTPATH_FN std::vector<std::string> secrets_of(const net::url& endpoint, const std::vector<net::header>& headers) {
  std::vector<std::string> all;
  const auto header = [&](std::string_view value) {
    all.emplace_back(value);
    all.emplace_back(value.substr(value.rfind(' ') + 1));  // without "Bearer"; rfind: npos + 1 is 0
  };
  for (const auto& h : headers)
    if (text::is_secret_name(h.name)) header(h.value);
  if (!endpoint.user_info.empty()) {
    header(endpoint.basic_authorization());
    all.push_back(endpoint.user_info);
    all.push_back(endpoint.user_info.substr(endpoint.user_info.find(':') + 1));
  }
  for (std::string_view rest = endpoint.query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix((std::min)(rest.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (equals != pair.npos && text::is_secret_name(pair.substr(0, equals))) all.emplace_back(pair.substr(equals + 1));
  }
  return all;
}

HOTPATH_FN model::run_info describe(const client_options& options, const workload& load, const model::schedule& plan, const run_outcome& done) {
  model::run_info i;
  i.tool_version = HOTPATH_VERSION_STRING;
  utsname machine{};
  if (::uname(&machine) == 0) i.host = std::string(machine.nodename) + ", " + machine.sysname + " " + machine.release;
  if (auto endpoint = net::parse_url(options.url)) i.endpoint = endpoint->display();
  i.model = options.body.model;
  i.workload = load.description();
  i.prompt_lengths = load.prompt_lengths();
  i.workload_rows = load.rows().value_or(0);
  i.workload_passes = done.workload_passes;
  i.prompts_reused = load.reuses_prompts();
  i.workload_loss = load.lost();
  i.seed = plan.seed;
  i.threads = options.threads;
  i.warmup = options.warmup;
  i.plan = plan;
  i.plan.due = {};
  i.text_stored = options.keep_text;
  i.origin = done.origin;
  i.wall_start = done.wall_start;
  i.sending_began = done.sending_began;
  i.sending_ended = done.sending_ended;
  i.ended = done.ended;
  i.state = done.state;
  i.stop_reason = done.stop_reason;
  i.ephemeral_ports_left = done.ephemeral_ports_left;
  i.unsent = done.unsent;
  if (done.workload_passes > 1)
    i.notes.push_back("the workload was cycled: " + std::to_string(done.workload_passes) + " passes" +
                      (i.prompts_reused ? ", prompts repeated" : ", each later pass with unique prompt beginnings"));
  if (done.stale_connections > 0) i.notes.push_back(std::to_string(done.stale_connections) + " requests were sent again: the server had closed their kept-alive connection");
  if (done.never_framed > 0) i.notes.push_back(std::to_string(done.never_framed) + " answers kept their framing open after [DONE]: their connections were closed");
  for (const std::string& p : load.problems()) i.notes.push_back("workload: " + p);
  return i;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
