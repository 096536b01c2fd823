// SPDX-License-Identifier: Apache-2.0
// hotpath/trace/detail/torch_finish-inl.hpp - what torch_builder does behind the last event: halves of events, processes, ranks, counts. Not for users.
#pragma once
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/trace/file_name.hpp>
#include <hotpath/trace/torch.hpp>

namespace hotpath::inline HOTPATH_ABI::trace::detail {

using model::no_id;
using model::no_index;
using model::trace_fault;

// B and E of a track nest by time. An E closes the innermost open B of its name, or the innermost if it has none; what is open within is closed with it.
HOTPATH_FN void torch_builder::match_halves() {
  if (halves_.empty()) return;
  sort_in_place(halves_, [](const event_row& a, const event_row& b) {
    if (a.track != b.track) return a.track < b.track;
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.byte < b.byte;
  });
  std::vector<std::size_t> open;
  std::vector<std::uint32_t> open_of(out_.names.size());  // by name: an E that has no B is known at once
  const auto close = [&](std::int64_t at, bool matched) {
    event_row e = halves_[open.back()];
    open.pop_back();
    --open_of[e.name];
    if (!matched) out_.count(trace_fault::unmatched_begin, e.byte);
    ++categories_[e.category].count;
    if (__builtin_sub_overflow(at, e.begin, &e.duration)) return out_.count(trace_fault::bad_time, e.byte);
    args_ = e.args != no_index ? half_args_[e.args] : event_args{}, args_used_ = true;
    store(e);
  };
  for (std::size_t i = 0; i < halves_.size(); ++i) {
    const event_row& e = halves_[i];
    if (e.phase == 'B') {
      open.push_back(i);
      ++open_of[e.name];
    } else {
      std::size_t depth = e.name == 0 || open_of[e.name] != 0 ? open.size() : 0;
      while (depth != 0 && e.name != 0 && halves_[open[depth - 1]].name != e.name) --depth;
      if (depth == 0) {
        out_.count(trace_fault::unmatched_end, e.byte);
      } else {
        while (open.size() > depth) close(e.begin, false);
        close(e.begin, true);
      }
    }
    if (i + 1 == halves_.size() || halves_[i + 1].track != e.track)
      while (!open.empty()) close(e.begin, false);
  }
  halves_.clear(), half_args_.clear();
}

// SGLang merges the ranks of a run into one file and puts "[TP00] " (TP, DP, PP, EP, joined by -) before each pid.
HOTPATH_FN void torch_builder::find_processes(std::string_view path) {
  constexpr std::uint32_t most_processes = UINT16_MAX;
  std::vector<name_id> prefixes;
  hotpath::detail::id_index number_of;
  std::uint64_t beyond = 0;
  for (model::track& t : out_.tracks) {
    const std::string_view p = process_of_pid(out_.names[t.pid]);
    if (p.empty()) continue;
    const name_id id = out_.names.intern(p);
    const std::uint32_t i = (std::min)(number_of.number(id), most_processes);
    if (i == most_processes) ++beyond;
    else if (i == prefixes.size()) prefixes.push_back(id);
    t.process = static_cast<std::uint16_t>((std::min)(i, most_processes - 1));
  }
  out_.count(trace_fault::unknown_process, std::nullopt, "the file has more processes than can be told apart: the tracks of those beyond the limit are with the last one", beyond);
  out_.processes.resize((std::max)(prefixes.size(), std::size_t{1}));
  for (std::size_t i = 0; i < out_.processes.size(); ++i) {
    model::process& p = out_.processes[i];
    p.source.assign(base_name(path));
    if (base_given_) p.unix_offset = nanoseconds{base_ns_};
    if (i < prefixes.size()) {
      const std::string_view label = out_.names[prefixes[i]];
      p.label = prefixes[i];
      std::uint64_t rank = 0;
      if (id_of(label.substr(2), rank) && rank < (1u << 30)) p.rank = static_cast<int>(rank);  // one number only: TP03
    }
  }
  if (told_.one_clock)
    for (std::size_t i = 1; i < out_.processes.size(); ++i) out_.processes[i].clock = model::clock_kind::aligned;
  if (prefixes.empty()) {
    model::process& p = out_.processes[0];
    p.rank = out_.about.rank;
    if (!p.rank) p.rank = rank_of_name(path), p.rank_from_name = p.rank.has_value();
  }
  // The host process is the one that most calls, operators or frames are of.
  std::vector<std::uint64_t> host(out_.tracks.size());
  for (const auto& r : out_.api) ++host[r.track];
  for (const auto& r : out_.ops) ++host[r.track];
  for (const auto& r : out_.frames) ++host[r.track];
  std::vector<std::uint64_t> most(out_.processes.size());
  for (std::size_t i = 0; i < out_.tracks.size(); ++i)
    if (const auto p = out_.tracks[i].process; host[i] > most[p]) most[p] = host[i], out_.processes[p].pid = out_.tracks[i].pid;
  for (const metadata& m : metadata_) {
    model::track& t = out_.tracks[m.track];
    model::process& p = out_.processes[t.process];
    if (m.what == 2) t.name = m.text;
    else if (m.what == 0 && t.pid == p.pid && p.pid != 0) p.name = m.text;
    else if (m.what == 1 && t.pid == p.pid && p.pid != 0 && prefixes.empty()) p.label = m.text;
  }
  if (!prefixes.empty()) {
    for (auto& g : out_.gpu) g.process = out_.tracks[g.track].process;
    for (auto& s : out_.syncs) s.process = out_.tracks[s.track].process;
  }
  // Without a base, times near today's are times since 1970.
  nanoseconds first{};
  if (!out_.api.empty()) first = out_.api[0].begin;
  else if (!out_.gpu.empty()) first = out_.gpu[0].begin;
  else if (!out_.ops.empty()) first = out_.ops[0].begin;
  constexpr std::int64_t since_2001 = 1'000'000'000'000'000'000;
  if (!base_given_ && first.ns > since_2001)
    for (model::process& p : out_.processes) p.clock = model::clock_kind::unix_time, p.unix_offset = nanoseconds{0};
}

HOTPATH_FN void torch_builder::find_duplicates() {
  struct call { std::uint64_t id; std::uint16_t process; };
  std::vector<call> calls;
  calls.reserve(out_.api.size());
  for (const model::api_call& c : out_.api)
    if (c.correlation != no_id && c.correlation != 0) calls.push_back({c.correlation, out_.tracks[c.track].process});
  sort_in_place(calls, [](const call& a, const call& b) { return a.process != b.process ? a.process < b.process : a.id < b.id; });
  std::uint64_t twice = 0;
  for (std::size_t i = 1; i < calls.size(); ++i) twice += calls[i].id == calls[i - 1].id && calls[i].process == calls[i - 1].process;
  out_.count(trace_fault::duplicate_correlation, std::nullopt, "several API calls of one process have the same correlation id; the first of them is used", twice);
}

HOTPATH_FN void torch_builder::find_engine() {
  constexpr struct { std::string_view word, engine; } signs[] = {
      {"sglang/", "sglang"}, {"vllm/", "vllm"}, {"tensorrt_llm/", "trtllm"}, {"tokenspeed/", "tokenspeed"}};
  std::uint64_t found[4] = {};
  const auto names = static_cast<name_id>((std::min)(out_.names.size(), std::size_t{100'000}));
  for (name_id i = 0; i < names; ++i)
    for (std::size_t s = 0; s < 4; ++s) found[s] += out_.names[i].find(signs[s].word) != std::string_view::npos;
  std::size_t best = 0;
  for (std::size_t s = 1; s < 4; ++s)
    if (found[s] > found[best]) best = s;
  if (found[best] != 0) out_.about.engine_hint = signs[best].engine;
  else if (!root_words_.empty()) out_.about.engine_hint = root_words_.front();
}

HOTPATH_FN void torch_builder::finish(std::string_view path) {
  match_halves();
  find_processes(path);
  find_duplicates();
  find_engine();
  for (std::size_t f = 0; f < model::trace_fault_count; ++f)
    out_.count(static_cast<trace_fault>(f), std::nullopt, "in the file that this one was made of", told_.lost[f]);
  model::trace_about& a = out_.about;
  a.file.assign(path);
  a.events = events_;
  for (unsigned c = 0; c < 256; ++c)
    if (phases_[c] != 0) a.by_phase.emplace_back(static_cast<char>(c), phases_[c]);
  for (const category& c : categories_)
    if (c.count != 0) a.by_category.emplace_back(c.text, c.count);
  // Names beyond the limit, counted by event: the number does not depend on who read what.
  if (out_.names.refused() != 0) {
    const name_id beyond = out_.names.find(name_table::beyond_limit);
    std::uint64_t shared = 0;
    const auto look = [&](const auto& rows) {
      for (const auto& r : rows) shared += r.name == beyond;
    };
    look(out_.gpu), look(out_.api), look(out_.ops), look(out_.frames), look(out_.annotations), look(out_.syncs);
    out_.count(trace_fault::too_many_names, std::nullopt, "events beyond the limit of distinct names share one", shared);
  }
  out_.sort();
}

}  // namespace hotpath::inline HOTPATH_ABI::trace::detail
