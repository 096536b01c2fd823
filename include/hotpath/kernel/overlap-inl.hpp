// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/overlap-inl.hpp - bodies of kernel/overlap.hpp.
#pragma once
#include <cstdio>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/beside.hpp>
#include <hotpath/kernel/detail/dependency.hpp>
#include <hotpath/kernel/detail/idle.hpp>
#include <hotpath/kernel/overlap.hpp>
#include <hotpath/kernel/server_args.hpp>
#include <hotpath/kernel/table-inl.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace tables {

inline constexpr nanoseconds least_total{5'000};                  // of a row that is worth a line
inline constexpr double headroom_share = 45, hidden_share = 65;   // percent of a row's time
inline constexpr std::size_t samples_for_inflation = 20;          // of each side
inline constexpr std::size_t most_computations = 5;               // headroom rows of computation

struct overlap_sums {
  nanoseconds total, exclusive, exclusive_in_steps, hidden, by_compute;
  std::uint32_t longest = no_index;    // position
};

inline std::string milliseconds(nanoseconds t) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f ms", t.ns < 1'000'000 ? 3 : 2, t.ms());
  return text;
}

inline bool computes(overlap_class c) { return c != overlap_class::comm && c != overlap_class::memory; }

// At most what of other kinds runs alone can hide it: communication, copies and computation use different parts of a device. Two computations share
// the multiprocessors: that one hides the other wins little, and one stream beside a few stray launches would make headroom of everything.
inline nanoseconds hidden_behind(overlap_class c, const nanoseconds (&alone)[5]) {
  nanoseconds sum;
  for (std::size_t other = 0; other < 5; ++other)
    if (const auto o = static_cast<overlap_class>(other); o != c && !(computes(o) && computes(c))) sum += alone[other];
  return sum;
}

// Median duration beside other work over the median alone: of launches of one shape (grid, block, bytes), the one with the most of both.
inline std::optional<double> inflation_of(const subject& s, const selection& v, const overlaps& beside, std::span<const std::uint32_t> positions) {
  const auto detail = [&](std::uint32_t p) { return s.trace->gpu[v.events[p]].detail; };
  std::vector<std::uint32_t> sorted(positions.begin(), positions.end());
  sort_in_place(sorted, [&](std::uint32_t a, std::uint32_t b) { return detail(a) != detail(b) ? detail(a) < detail(b) : a < b; });
  std::vector<std::int64_t> over, apart;
  std::size_t best = samples_for_inflation - 1;
  std::optional<double> out;
  for (std::size_t i = 0; i < sorted.size();) {
    over.clear(), apart.clear();
    const std::uint32_t shape = detail(sorted[i]);
    for (; i < sorted.size() && detail(sorted[i]) == shape; ++i) {
      const nanoseconds d = s.trace->gpu[v.events[sorted[i]]].duration, hidden = beside.hidden[sorted[i]];
      if (hidden.ns == 0) apart.push_back(d.ns);
      else if (d - hidden <= hidden) over.push_back(d.ns);  // brushed by others: neither
    }
    const std::size_t n = (std::min)(over.size(), apart.size());
    if (n <= best) continue;
    if (const nanoseconds base = quantile(apart, 50); base.ns > 0) best = n, out = static_cast<double>(quantile(over, 50).ns) / static_cast<double>(base.ns);
  }
  return out;
}

inline bool has_word(std::string_view text, std::string_view word) {
  const auto letter = [](char ch) { return text::is_digit(ch) || (text::to_lower(ch) >= 'a' && text::to_lower(ch) <= 'z'); };
  for (std::size_t i = 0; i + word.size() <= text.size(); ++i) {
    if (!text::equal_ignoring_case(text.substr(i, word.size()), word)) continue;
    const bool starts = i == 0 || !letter(text[i - 1]) || !letter(word.front()), ends = i + word.size() == text.size() || !letter(text[i + word.size()]);
    if (starts && ends) return true;
  }
  return false;
}

inline constexpr overlap_family known_overlaps[] = {
#include <hotpath/kernel/data/overlap_families.inc>
};

inline std::string describe(const overlap_family& f, const server_args* server) {
  std::string out;
  out.append(f.id).append(" ").append(f.name).append(" (").append(f.frameworks).append(", ").append(f.status);
  if (!f.pull_requests.empty()) out.append(", pull request ").append(f.pull_requests);
  out += ")";
  if (server == nullptr) return out;
  text::split(f.switches, '|', [&](std::string_view one) {
    if (one.empty()) return;
    const std::string_view name = one.substr(0, one.size() - 1);
    const flag_state state = flag_of(*server, name);
    if (state == flag_state::unknown) return;
    out.append("; ").append(name).append(state == flag_state::on ? " is on" : " is off");
    if (one.back() == '-' && state == flag_state::on) out += ", which removes it";
    if (one.back() == '~' && state == flag_state::on) out += ", which changes what a trace shows";
  });
  return out;
}

// The places of a kernel: the mapping trace's where it has the name, of the same stage first.
struct place_finder {
  std::vector<kernel_table> tables;
  name_table names;
  std::vector<const kernel_row*> first;   // by number of the name

  place_finder(const subject& s, stage at) : names({.bytes = SIZE_MAX, .distinct = SIZE_MAX}) {
    tables.push_back(table(s, at, {.min_share = 0}));
    for (const stage other : s.stages)
      if (other != at) tables.push_back(table(s, other, {.min_share = 0}));
    for (const kernel_table& t : tables)
      for (const kernel_row& r : t.rows) {
        if (r.places.empty() && r.cpu_op.empty()) continue;
        const name_id n = names.intern(r.kernel);
        if (n >= first.size()) first.resize(n + 1);
        if (first[n] == nullptr) first[n] = &r;
      }
  }
  const kernel_row* find(std::string_view name) const {
    const name_id n = names.find(name);
    return n < first.size() ? first[n] : nullptr;
  }
};

}  // namespace tables

HOTPATH_FN std::span<const overlap_family> overlap_families() { return tables::known_overlaps; }

HOTPATH_FN const overlap_family* find_overlap_family(overlap_class cls, std::string_view kernel, std::string_view cpu_op, std::string_view location, std::string_view stack) {
  const char letter = "cnmeo"[static_cast<std::size_t>(cls)];
  const auto in_place = [&](std::string_view path) { return location.find(path) != std::string_view::npos || stack.find(path) != std::string_view::npos; };
  for (const overlap_family& f : tables::known_overlaps) {
    if (!f.classes.empty() && f.classes.find(letter) == std::string_view::npos) continue;
    if (!f.within.empty() && !in_place(f.within)) continue;
    bool fits = false;
    text::split(f.paths, '|', [&](std::string_view path) { fits = fits || (!path.empty() && in_place(path)); });
    text::split(f.words, '|', [&](std::string_view word) {
      if (word.empty() || fits) return;
      for (const std::string_view where : {kernel, cpu_op, location, stack}) fits = fits || tables::has_word(where, word);
    });
    if (fits) return &f;
  }
  return nullptr;
}

HOTPATH_FN device_time time_of(const subject& s, stage at) {
  using namespace tables;
  const selection v = select(s, at);
  return account(s, at, v, look_beside(s, v, classes_of(s), nullptr, {}));
}

HOTPATH_FN std::vector<launch_overlap> overlap_of_launches(const subject& s, stage at) {
  using namespace tables;
  const selection v = select(s, at);
  const overlaps beside = look_beside(s, v, classes_of(s), nullptr, {});
  std::vector<launch_overlap> out(v.events.size());
  for (std::size_t p = 0; p < out.size(); ++p) out[p] = {v.events[p], beside.hidden[p], beside.by_compute[p]};
  return out;
}

HOTPATH_FN overlap_table overlap(const subject& s, stage at, const overlap_options& options) {
  using namespace tables;
  overlap_table out;
  out.at = at;
  out.basis = options.mapping != nullptr ? "mapping and formal trace" : "one trace";
  const selection v = select(s, at);
  const std::vector<overlap_class> class_of_identity = classes_of(s);
  // A row is a name and a class: operators may give one name two families.
  const names_of_rows names = by_canonical(s);
  std::vector<std::uint32_t> row_of(v.events.size()), row_id(std::size_t{names.rows} * 5, no_index), some_identity;
  for (std::size_t p = 0; p < v.events.size(); ++p) {
    const std::uint32_t id = s.identity_of[v.events[p]];
    std::uint32_t& row = row_id[std::size_t{names.row_of[id]} * 5 + static_cast<std::size_t>(class_of_identity[id])];
    if (row == no_index) row = static_cast<std::uint32_t>(some_identity.size()), some_identity.push_back(id);
    row_of[p] = row;
  }
  // Which rows may be shown is known before the sweep: their partners alone are looked for.
  const nanoseconds busy = busy_of(s, v);
  std::vector<overlap_sums> sums(some_identity.size());
  for (std::uint32_t p = 0; p < v.events.size(); ++p) {
    const interval e = span_of(s.trace->gpu[v.events[p]]);
    sums[row_of[p]].total += e.end - e.begin;
  }
  std::vector<std::uint8_t> wanted;
  for (const overlap_sums& r : sums) wanted.push_back(r.total >= least_total && percent(r.total, busy) >= options.min_share ? 1 : 0);
  overlaps beside = look_beside(s, v, class_of_identity, &row_of, wanted);
  out.time = account(s, at, v, beside);
  if (v.events.empty()) return out.no_rows = "no GPU work in this stage", out;
  if (out.time.unknown) return out.no_rows = *out.time.unknown, out;
  if (out.time.streams < 2) return out.no_rows = out.time.devices > 1 ? "no device has work on two streams: nothing can overlap" : "only one stream has work: nothing can overlap", out;

  const auto& gpu = s.trace->gpu;
  nanoseconds alone[5] = {}, alone_in_steps[5] = {};   // by class
  for (std::uint32_t p = 0; p < v.events.size(); ++p) {
    overlap_sums& r = sums[row_of[p]];
    const interval e = span_of(gpu[v.events[p]]);
    const nanoseconds exclusive = e.end - e.begin - beside.hidden[p];
    const auto c = static_cast<std::size_t>(class_of_identity[s.identity_of[v.events[p]]]);
    r.hidden += beside.hidden[p], r.exclusive += exclusive, r.by_compute += beside.by_compute[p];
    alone[c] += exclusive;
    if (at_or_none(s.steps.step_of, v.events[p]) != no_index) r.exclusive_in_steps += exclusive, alone_in_steps[c] += exclusive;
    if (r.longest == no_index || gpu[v.events[r.longest]].duration < gpu[v.events[p]].duration) r.longest = p;
  }

  struct candidate { std::uint32_t row; bool headroom; double order; };
  std::vector<candidate> found;
  for (std::uint32_t i = 0; i < sums.size(); ++i) {
    const overlap_sums& r = sums[i];
    const overlap_class c = class_of_identity[some_identity[i]];
    if (r.total < least_total) continue;
    if (percent(r.exclusive, r.total) >= headroom_share) {
      const nanoseconds saving = (std::min)(r.exclusive, hidden_behind(c, alone));
      if (saving.ns > 0) found.push_back({i, true, static_cast<double>(saving.ns)});
    } else if ((c == overlap_class::elementwise || c == overlap_class::memory) && percent(r.hidden, r.total) >= hidden_share) {
      found.push_back({i, false, static_cast<double>(r.hidden.ns) * (1 + percent(r.by_compute, r.hidden) / 100)});
    }
  }
  sort_in_place(found, [&](const candidate& a, const candidate& b) {
    if (a.headroom != b.headroom) return a.headroom;
    return a.order != b.order ? a.order > b.order : s.identities[some_identity[a.row]].canonical < s.identities[some_identity[b.row]].canonical;
  });

  const groups of_row = group(row_of, static_cast<std::uint32_t>(sums.size()));
  const groups of_lane = group(v.lane_of, static_cast<std::uint32_t>(v.lanes.size()));
  std::optional<place_finder> mapped;
  if (options.mapping != nullptr) mapped.emplace(*options.mapping, at);
  const recorded_waits waits(*s.trace);
  site_times where(s.map.sites.size());
  std::size_t computations = 0;
  for (const candidate& c : found) {
    const overlap_sums& r = sums[c.row];
    const double share = percent(r.total, out.time.busy);
    // What communication and copies could hide is computation, all of it: its largest rows are enough.
    const bool more_of_it = c.headroom && computes(class_of_identity[some_identity[c.row]]) && computations == most_computations;
    const bool little = share < options.min_share || (c.headroom && percent(nanoseconds{static_cast<std::int64_t>(c.order)}, busy) < options.min_share);
    if (little || more_of_it || (options.limit != 0 && out.rows.size() >= options.limit)) {
      ++out.hidden_rows;
      continue;
    }
    overlap_row& row = out.rows.emplace_back();
    const identity& name = s.identities[some_identity[c.row]];
    row.at = at, row.kernel = name.canonical, row.cls = class_of_identity[some_identity[c.row]];
    row.total = r.total, row.exclusive = r.exclusive, row.hidden = r.hidden, row.hidden_by_compute = r.by_compute, row.share = share;
    row.verdict = c.headroom ? "headroom" : "low-roi-hidden";
    if (c.headroom && computes(row.cls)) ++computations;

    const std::uint32_t event = v.events[r.longest], *const first = of_lane.at.data() + of_lane.first[v.lane_of[r.longest]],
                        *const last = of_lane.at.data() + of_lane.first[std::size_t{v.lane_of[r.longest]} + 1];
    const std::uint32_t* const here = find_first_not(first, last, [&r](std::uint32_t e) { return e < r.longest; });
    const neighbours around{here == first ? no_index : v.events[here[-1]], here + 1 == last ? no_index : v.events[here[1]]};
    row.dependency = dependency_of(s, event, around, waits, class_of_identity);
    const bool low = row.dependency.compare(0, 3, "low") == 0;
    row.priority = !c.headroom ? "P4" : low ? "P1" : "P2";
    row.recommendation = !c.headroom ? "skip" : !low ? "check deps" : row.cls == overlap_class::comm ? "try overlap" : "try fusion";

    char signal[128];
    std::snprintf(signal, sizeof signal, "%.1f us, %.1f%% of busy, excl %.1f%% / hid %.1f%%", r.total.us(), share, percent(r.exclusive, r.total), percent(r.hidden, r.total));
    row.signal = signal;
    if (c.headroom) {
      row.saving = (std::min)(r.exclusive, hidden_behind(row.cls, alone));
      const nanoseconds in_steps = (std::min)(r.exclusive_in_steps, hidden_behind(row.cls, alone_in_steps));
      if (in_steps.ns > 0) row.saving_per_step = in_steps / static_cast<std::int64_t>(out.time.steps);
      row.bound = row.saving == r.exclusive ? "its time without other work" : "other kinds of work run alone for no more than";
      row.bound.append(" ").append(milliseconds(row.saving));
    }

    row.inflation = inflation_of(s, v, beside, {of_row.at.data() + of_row.first[c.row], of_row.at.data() + of_row.first[std::size_t{c.row} + 1]});
    if (const std::uint32_t by = beside.partners.most(c.row); by != no_index) row.partner = s.identities[some_identity[by]].canonical;

    std::vector<place> places;
    std::string op;
    if (const kernel_row* there = mapped ? mapped->find(row.kernel) : nullptr; there != nullptr) {
      places = there->places, op = there->cpu_op;
    } else {
      where.clear();
      for (std::uint32_t k = of_row.first[c.row]; k < of_row.first[std::size_t{c.row} + 1]; ++k) {
        const std::uint32_t i = v.events[of_row.at[k]];
        if (const std::uint32_t at_site = at_or_none(s.map.site_of, i); at_site < s.map.sites.size()) where.count(at_site, gpu[i].duration);
      }
      where.fill(s.map.sites, r.total, places, op);
    }
    std::string_view location, stack;
    if (!places.empty()) location = places[0].location, stack = places[0].stack;
    row.scope = !location.empty() ? location : std::string_view(op);
    if (const overlap_family* f = find_overlap_family(row.cls, row.kernel, op, location, stack)) row.known_family = describe(*f, options.server);
  }
  if (out.rows.empty()) out.no_rows = out.hidden_rows != 0 ? "no row reaches the least share" : "nothing runs alone that other kinds of work could hide";
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
