// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/dispatch.hpp - who sends what when: the schedule's slots, shared by the client's threads.
//   Taken a few times per request under one mutex. Counts what happened, for the progress line and the stop rules.
#pragma once
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/thread.hpp>
#include <hotpath/model/client.hpp>
#include <hotpath/model/progress.hpp>
#include <hotpath/model/request.hpp>
#include <hotpath/model/schedule.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

// When to give up by itself: after `after` finished requests more than `count` or `share` of them failed, or `in_a_row`.
struct error_limits {
  std::optional<std::uint64_t> count = {};
  std::optional<double> share = 0.10;
  std::uint64_t in_a_row = 20;   // 0: no such rule
  std::uint64_t after = 20;
};

using progress = model::progress;

class dispatch {
 public:
  dispatch(const model::schedule& plan, const error_limits& limits) : plan_(plan), limits_(limits) {}

  struct turn {
    std::uint64_t index = 0;
    nanoseconds intended{};     // since the origin
    model::stamp slot_free;     // open loop with a cap
  };

  // Closed loop: the next index, while the limits allow. `now` is since the start of sending.
  std::optional<turn> claim(nanoseconds now, nanoseconds since_start);
  // Open loop: request `index` is due. Its turn, or nothing: it waits for a slot of the cap.
  std::optional<turn> due(std::uint64_t index, nanoseconds intended);
  // A request ended and its slot is free: with a cap, the turn of the one that waited longest.
  std::optional<turn> release(nanoseconds now);
  // No more is sent. The first reason stays. What waited for a slot is never sent, and counted.
  void stop(std::string_view reason);
  // The end of a planned duration: as stop, without being a reason.
  void close();

  void started();
  void first_content(const model::request& r);
  void interval(const model::client_interval& i);  // of one thread; once a second
  void finished(const model::request& r);
  void not_sent(std::uint64_t n);

  bool stopped() const;
  bool closed() const;
  std::string reason() const;
  bool refused() const;                 // stopped by 401 or 403
  std::uint64_t unsent() const;
  progress snapshot();

 private:
  void drop_waiting();
  const model::schedule& plan_;
  const error_limits limits_;
  mutable threading::mutex mutex_;
  std::deque<turn> waiting_;
  std::string reason_, last_failure_;
  progress counts_;
  std::vector<nanoseconds> hot_;        // by thread: above 85 % of a core for so long on end
  std::uint64_t next_ = 0, held_slots_ = 0, failed_in_a_row_ = 0, unsent_ = 0;
  bool stopped_ = false, closed_ = false, refused_ = false;
};

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/dispatch-inl.hpp>
#endif
