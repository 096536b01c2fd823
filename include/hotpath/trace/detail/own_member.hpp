// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/own_member.hpp - what our writers put into a trace beside what profilers do: the root's member "hotpath". Not for users.
//   {"lost": [{"fault": "truncated", "count": 1}], "processes": [{"pid": "12", ..., "clock": "aligned"}]}: what the file was made of had losses that
//   are not seen in it any more; the clock of its processes is one.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <hotpath/core/json.hpp>
#include <hotpath/model/timeline.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

inline constexpr std::string_view own_member = "hotpath";
inline constexpr std::string_view clock_words[] = {"own", "unix_time", "aligned"};  // by clock_kind

inline void write_lost(json::writer& o, std::span<const model::trace_loss> lost) {
  o.key("lost"), o.array_begin();
  for (const model::trace_loss& l : lost)
    if (l.count != 0) o.object_begin(), o.member("fault", model::name_of(l.fault)), o.member("count", l.count), o.object_end();
  o.array_end();
}

struct told_by_writer {
  std::uint64_t lost[model::trace_fault_count] = {};
  bool one_clock = false;                  // of all processes
};
inline void read_own_member(std::string_view value, told_by_writer& out) {
  json::reader in(value, json::mode::tolerant_text);
  if (in.peek() != json::kind::object) return;
  std::size_t processes = 0, apart = 0;
  in.object([&](std::string_view key) {
    if (in.peek() != json::kind::array) return;
    if (key == "lost") in.array([&] {
      if (in.peek() != json::kind::object) return;
      std::size_t fault = model::trace_fault_count;
      std::int64_t count = 0;
      in.object([&](std::string_view k) {
        std::string_view text;
        if (k == "fault" && in.peek() == json::kind::string && in.string(text)) {
          for (std::size_t f = 0; f < model::trace_fault_count; ++f)
            if (text == model::name_of(static_cast<model::trace_fault>(f))) fault = f;
        } else if (k == "count" && in.peek() == json::kind::number && !in.integer(count)) {
          count = 0;
        }
      });
      if (fault < model::trace_fault_count && count > 0) out.lost[fault] = static_cast<std::uint64_t>(count);
    });
    else if (key == "processes") in.array([&] {
      if (in.peek() != json::kind::object) return;
      bool own = true;
      in.object([&](std::string_view k) {
        std::string_view text;
        if (k == "clock" && in.peek() == json::kind::string && in.string(text)) own = text == clock_words[0];
      });
      if (processes++ != 0 && own) ++apart;
    });
  });
  out.one_clock = processes > 1 && apart == 0;
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
