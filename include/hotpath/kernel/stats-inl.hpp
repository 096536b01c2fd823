// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/stats-inl.hpp - bodies of stats.hpp.
#pragma once
#include <hotpath/core/name_table.hpp>
#include <hotpath/core/sort.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/stats.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN std::optional<stats_report> stats_report_of(std::string_view name) {
  for (std::size_t i = 0; i < sizeof stats_report_names / sizeof stats_report_names[0]; ++i)
    if (stats_report_names[i] == name) return static_cast<stats_report>(i);
  return std::nullopt;
}

// ---- collecting

HOTPATH_FN std::uint32_t stats_collector::store::open(std::uint64_t key) {
  columns.emplace_back();
  keys.push_back(key);
  return static_cast<std::uint32_t>(columns.size() - 1);
}
HOTPATH_FN void stats_collector::by_name::add(std::uint64_t name) {
  if (name >= places.size()) places.resize(name + 1);
  places[name] = open(name) + 1;
}
HOTPATH_FN std::uint32_t stats_collector::by_key::add(std::uint64_t key) {
  const std::uint32_t at = open(key);
  places.add(static_cast<std::int64_t>(key), at);
  return at;
}

HOTPATH_FN void stats_collector::memory(const model::gpu_event& e, const model::gpu_detail& d) {
  const std::uint64_t key = std::uint64_t{e.name} << 8 | (e.kind == model::gpu_kind::set ? 255u : d.copy_kind);
  copies_.of(key).add(static_cast<std::uint64_t>(e.duration.ns));
  if (d == model::gpu_detail{}) ++bytes_not_told_;
  else bytes_.of(key).add(d.bytes);
}

HOTPATH_FN void stats_collector::annotation(const model::annotation& a) {
  using enum model::annotation_kind;
  if (a.kind != push_pop && a.kind != start_end && a.kind != user) return;
  if (a.open) ++open_ranges_;
  else ranges_.of(std::uint64_t{a.name} << 32 | std::uint64_t{a.domain} << 1 | (a.kind == start_end ? 1u : 0u)).add(static_cast<std::uint64_t>(a.duration.ns));
}

HOTPATH_FN void stats_collector::add(const model::timeline& t) {
  for (const model::gpu_event& e : t.gpu) gpu(e, t.details[e.detail]);
  for (const model::api_call& a : t.api) api(a);
  for (const model::annotation& a : t.annotations) annotation(a);
}

template <class Store, class Key>
void stats_collector::merge(Store& into, Store& from, Key key) {
  for (std::size_t i = 0; i < from.columns.size(); ++i) {
    column &to = into.of(key(from.keys[i])), &c = from.columns[i];
    if (to.narrow.empty() && to.wide.empty()) {
      to = std::move(c);
      continue;
    }
    to.narrow.append({c.narrow.data(), c.narrow.size()}), to.wide.append({c.wide.data(), c.wide.size()});
    c = column();
  }
  from = Store();
}

HOTPATH_FN void stats_collector::merge(stats_collector& o, std::span<const name_id> names, std::span<const std::uint32_t>, std::span<const std::uint16_t>) {
  const auto name = [&](std::uint64_t key) { return std::uint64_t{names[key]}; };
  const auto copy = [&](std::uint64_t key) { return std::uint64_t{names[key >> 8]} << 8 | (key & 255); };
  const auto range = [&](std::uint64_t key) { return std::uint64_t{names[key >> 32]} << 32 | std::uint64_t{names[static_cast<std::uint32_t>(key) >> 1]} << 1 | (key & 1); };
  merge(kernels_, o.kernels_, name), merge(graphs_, o.graphs_, name), merge(api_, o.api_, name);
  merge(copies_, o.copies_, copy), merge(bytes_, o.bytes_, copy), merge(ranges_, o.ranges_, range);
  open_ranges_ += o.open_ranges_, bytes_not_told_ += o.bytes_not_told_;
  o.open_ranges_ = o.bytes_not_told_ = 0;
}

// ---- rows

namespace detail {

using stats_columns = std::span<const stats_collector::column* const>;

// f(value) for each value.
template <class F>
void each_value(stats_columns columns, F&& f) {
  for (const auto* c : columns) {
    for (const std::uint32_t v : c->narrow) f(std::uint64_t{v});
    for (const std::uint64_t v : c->wide) f(v);
  }
}

// The value of rank k (from 0) of those in [lo, hi]: counts by the leading bits, then looks closer where rank k lies.
HOTPATH_FN std::uint64_t value_of_rank(stats_columns columns, std::uint64_t lo, std::uint64_t hi, std::uint64_t k) {
  constexpr unsigned bits = 11;  // of counters: 8 KiB, which stay in the first-level cache
  std::uint32_t counts[1u << bits];
  for (;;) {
    unsigned shift = 0;
    while ((hi - lo) >> shift >= 1u << bits) ++shift;
    for (std::uint32_t& c : counts) c = 0;
    const std::uint64_t width = hi - lo;
    each_value(columns, [&](std::uint64_t v) {
      if (v - lo <= width) ++counts[(v - lo) >> shift];
    });
    std::size_t at = 0;
    while (k >= counts[at]) k -= counts[at++];
    lo += std::uint64_t{at} << shift;
    if (shift == 0) return lo;
    const std::uint64_t last = lo + ((std::uint64_t{1} << shift) - 1);
    hi = last < hi ? last : hi;
  }
}

HOTPATH_FN stats_row row_of(stats_columns columns) {
  __extension__ using wide = unsigned __int128;
  stats_row r;
  wide total = 0, squares = 0;  // exact, so that the order of the values does not matter: total below 2^96, squares as far as `room` says
  r.min = UINT64_MAX;
  for (const auto* c : columns) r.count += c->narrow.size() + c->wide.size();
  each_value(columns, [&](std::uint64_t v) {
    total += v, squares += wide{v} * v;
    r.min = v < r.min ? v : r.min, r.max = v > r.max ? v : r.max;
  });
  const auto n = static_cast<double>(r.count);
  r.total = total > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(total);
  r.mean = static_cast<double>(total) / n;
  const std::uint64_t middle = (r.count - 1) / 2;
  if (r.count <= 2) {
    r.median = static_cast<double>(r.min) / 2 + static_cast<double>(r.max) / 2;
  } else {
    const std::uint64_t lower = value_of_rank(columns, r.min, r.max, middle);
    std::uint64_t upper = lower;
    if (r.count % 2 == 0) {
      std::uint64_t up_to = 0, above = UINT64_MAX;
      each_value(columns, [&](std::uint64_t v) {
        up_to += v <= lower;
        above = v > lower && v < above ? v : above;
      });
      if (up_to == middle + 1) upper = above;
    }
    r.median = static_cast<double>(lower) / 2 + static_cast<double>(upper) / 2;
  }
  std::uint64_t room = 0;
  if (r.count > 1 && !__builtin_mul_overflow(r.count, r.max, &room)) {
    r.deviation = __builtin_sqrt(static_cast<double>(r.count * squares - total * total) / (n * (n - 1)));
  } else if (r.count > 1) {
    double all = 0;
    each_value(columns, [&](std::uint64_t v) { all += (static_cast<double>(v) - r.mean) * (static_cast<double>(v) - r.mean); });
    r.deviation = __builtin_sqrt(all / (n - 1));
  }
  return r;
}

// The function of a C++ signature: "void a::b<(int)4>(T2)" is "b". Other names stay. As CUPTI's short names.
HOTPATH_FN std::string base_name(std::string_view raw) {
  const std::string name = demangle(raw);
  std::size_t end = 0, begin = 0;
  for (; end < name.size() && name[end] != '<' && name[end] != '('; ++end) {
    if (name[end] == ' ') begin = end + 1;
    if (name[end] != ':') continue;
    begin = end + 1;
    for (const std::string_view skip : {"(anonymous namespace)", "<unnamed>"})
      if (std::string_view(name).substr(end + 1).starts_with(skip)) end += skip.size();
  }
  if (end == name.size() || begin >= end) return begin >= end ? name : begin != 0 && name.find(' ') == std::string::npos ? name.substr(begin) : name;
  return name.substr(begin, end - begin);
}

HOTPATH_FN std::string copy_operation(std::string_view name, std::uint8_t what) {
  constexpr std::string_view kinds[] = {"", "Host-to-Device", "Device-to-Host", "Host-to-Array", "Array-to-Host", "Array-to-Array", "Array-to-Device", "Device-to-Array", "Device-to-Device", "Host-to-Host", "Peer-to-Peer"};
  if (name.starts_with("[CUDA ")) return std::string(name);  // nsys names them so
  if (what == 255) return "[CUDA memset]";
  if (what == 0 || what > 10) return std::string(name);
  return std::string("[CUDA memcpy ").append(kinds[what]).append("]");
}

}  // namespace detail

HOTPATH_FN stats_table stats_collector::table(stats_report r, const model::timeline& t) const {
  using enum stats_report;
  stats_table out;
  out.report = r;
  // Columns whose rows have one name are one row.
  name_table labels({.bytes = SIZE_MAX, .distinct = UINT32_MAX - 1});
  std::vector<std::vector<const column*>> groups;
  const auto put = [&](const std::string& label, const column& c) {
    const name_id at = labels.intern(label);
    if (at >= groups.size()) groups.resize(at + 1);
    groups[at].push_back(&c);
  };
  const auto text = [&](std::uint64_t id) { return std::string(t.names[static_cast<name_id>(id)]); };
  const auto other_name = [&](const std::vector<name_id>& of, std::uint64_t id) { return id < of.size() && of[id] != 0 ? text(of[id]) : std::string(); };
  const auto counted = [](std::uint64_t n, const char* one) { return std::to_string(n).append(" ").append(one).append(n == 1 ? "" : "s"); };
  switch (r) {
    case cuda_gpu_kern_sum:
    case cuda_gpu_kern_sum_base:
    case cuda_gpu_kern_sum_mangled: {
      for (std::size_t i = 0; i < kernels_.columns.size(); ++i) {
        const std::uint64_t id = kernels_.keys[i];
        std::string label = r == cuda_gpu_kern_sum ? text(id) : other_name(r == cuda_gpu_kern_sum_base ? t.short_names : t.mangled_names, id);
        if (label.empty()) label = r == cuda_gpu_kern_sum_base ? detail::base_name(t.names[static_cast<name_id>(id)]) : text(id);
        put(label, kernels_.columns[i]);
      }
      std::uint64_t launches = 0;
      for (std::size_t i = 0; i < graphs_.columns.size(); ++i) put(text(graphs_.keys[i]), graphs_.columns[i]), launches += graphs_.columns[i].narrow.size() + graphs_.columns[i].wide.size();
      if (launches != 0)
        out.notes.push_back(counted(launches, "CUDA graph launch event").append(" without kernels: what ran in them was not recorded; nsys profile --cuda-graph-trace=node records it"));
      out.missing = "the trace has no CUDA kernel";
      break;
    }
    case cuda_api_sum:
      for (std::size_t i = 0; i < api_.columns.size(); ++i) put(text(api_.keys[i]), api_.columns[i]);
      out.missing = "the trace has no call of the CUDA API";
      break;
    case cuda_gpu_mem_time_sum:
    case cuda_gpu_mem_size_sum: {
      const by_key& of = r == cuda_gpu_mem_time_sum ? copies_ : bytes_;
      for (std::size_t i = 0; i < of.columns.size(); ++i) put(detail::copy_operation(t.names[static_cast<name_id>(of.keys[i] >> 8)], static_cast<std::uint8_t>(of.keys[i])), of.columns[i]);
      out.missing = "the trace has no copy and no memset of the GPU";
      if (r == cuda_gpu_mem_size_sum && bytes_not_told_ != 0) {
        out.notes.push_back(counted(bytes_not_told_, "GPU memory operation").append(" without a size left out"));
        out.missing = "the trace does not tell the sizes of its copies and memsets";
      }
      break;
    }
    case nvtx_sum:
      for (std::size_t i = 0; i < ranges_.columns.size(); ++i) {
        const std::uint64_t key = ranges_.keys[i];
        put(std::string((key & 1) != 0 ? "S" : "P").append(text(static_cast<std::uint32_t>(key) >> 1)).append(":").append(text(key >> 32)), ranges_.columns[i]);
      }
      if (open_ranges_ != 0) out.notes.push_back(counted(open_ranges_, "range").append(" left out: never closed"));
      out.missing = "the trace has no closed NVTX range and no annotation";
      break;
  }

  double total = 0;
  for (name_id i = 0; i < groups.size(); ++i) {
    if (groups[i].empty()) continue;
    stats_row row = detail::row_of(groups[i]);
    row.name = labels[i];
    if (r == nvtx_sum) row.style = row.name.front() == 'S' ? "StartEnd" : "PushPop", row.name.erase(0, 1);
    total += static_cast<double>(row.total), out.count += row.count;
    if (__builtin_add_overflow(out.total, row.total, &out.total)) out.total = UINT64_MAX;
    out.rows.push_back(std::move(row));
  }
  for (stats_row& row : out.rows) row.share = total > 0 ? 100 * static_cast<double>(row.total) / total : 0;
  sort_in_place(out.rows, [](const stats_row& a, const stats_row& b) {
    return a.total != b.total ? a.total > b.total : a.name != b.name ? a.name < b.name : a.style < b.style;
  });
  if (!out.rows.empty()) out.missing.clear();
  return out;
}

HOTPATH_FN stats_table stats_of(const model::timeline& t, stats_report r) {
  stats_collector c;
  c.add(t);
  return c.table(r, t);
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
