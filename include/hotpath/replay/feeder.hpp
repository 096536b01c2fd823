// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/feeder.hpp - prepares requests ahead of their time, on a thread of its own.
//   Reading a workload, composing JSON and HTTP heads never happens on a thread that keeps time. Bounded: what is ahead is at
//   most wire_options::ahead requests and 32 MiB (or one request, if it is larger), and nothing that the plan will not send.
#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/core/thread.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/net/http.hpp>
#include <hotpath/net/url.hpp>
#include <hotpath/replay/api.hpp>
#include <hotpath/replay/workload.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
inline constexpr std::size_t ahead_bytes = 32u << 20;
}

struct prepared {
  model::request record;   // identity and plan
  std::string wire;        // head and body, as they go to the socket
};

struct wire_options {
  net::url endpoint;
  std::vector<net::header> headers;  // with their secrets; they go to the wire and nowhere else
  body_options body;
  std::string id_prefix;        // X-Request-Id: <prefix>-000001
  std::uint64_t warmup = 0;
  bool keep_text = false;
  bool single_pass = false;     // end with the workload instead of cycling it
  std::uint64_t requests = UINT64_MAX;  // what the plan sends at most: no more are prepared
  std::uint64_t ahead = 1024;   // prepared before they are needed: half a second at 2,000 requests/s
};

// The error of a workload without a single request: what was skipped and why.
error nothing_to_send(const workload& load);

class feeder {
 public:
  enum class take_result : std::uint8_t { ready, not_yet, ended };

  // `ring` is called from the feeder's thread when take() has answered not_yet and more is there now.
  feeder(workload& source, wire_options options, std::function<void()> ring);
  ~feeder();
  feeder(const feeder&) = delete;
  feeder& operator=(const feeder&) = delete;

  // Request number `index` of the schedule; each index once, in roughly ascending order. Any thread.
  take_result take(std::uint64_t index, prepared& out);
  // Blocks until `n` requests are prepared (as far as its bounds allow) or no more will be.
  void wait_ahead(std::uint64_t n);

  std::optional<error> failure() const;
  std::uint64_t passes() const;          // of the workload, begun by what was taken
  std::uint64_t prepared_count() const;

 private:
  void run();
  bool full() const { return ahead_.size() >= options_.ahead || ahead_bytes_ >= detail::ahead_bytes; }
  // Time to go on: not at every request taken, or each would wake the feeder's thread once.
  bool low() const { return ahead_.size() <= options_.ahead / 2 && ahead_bytes_ <= detail::ahead_bytes / 2; }
  result<void> compose(workload_item& item, std::uint64_t index, prepared& out);

  workload& source_;
  const wire_options options_;
  const std::function<void()> ring_;
  mutable threading::mutex mutex_;
  threading::condition room_, grown_;
  std::deque<std::optional<prepared>> ahead_;   // [base_, base_ + size)
  std::uint64_t base_ = 0, next_ = 0, passes_ = 1;
  std::size_t ahead_bytes_ = 0;
  std::optional<error> failure_;
  bool ended_ = false, stop_ = false, hungry_ = false;
  threading::thread thread_;   // last: it uses all of the above
};

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/feeder-inl.hpp>
#endif
