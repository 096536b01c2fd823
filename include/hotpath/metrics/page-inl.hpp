// SPDX-License-Identifier: Apache-2.0
// hotpath/metrics/page-inl.hpp - bodies of metrics/page.hpp.
#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <hotpath/core/buckets.hpp>
#include <hotpath/core/json.hpp>
#include <hotpath/core/key_set.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/metrics/page.hpp>

namespace hotpath::inline HOTPATH_ABI::metrics {

namespace detail {

enum class part : std::uint8_t { value, bucket, sum, count, created };

// Eight bytes at a time, each mixed as by splitmix64: sums of these stand for sets of labels.
inline std::uint64_t hash_of(std::string_view s, std::uint64_t h = 0x9e3779b97f4a7c15u) {
  const auto mix = [&](std::uint64_t w) {
    h = (h ^ w) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
  };
  mix(s.size());
  for (; s.size() >= 8; s.remove_prefix(8)) {
    std::uint64_t w = 0;
    std::memcpy(&w, s.data(), 8);
    mix(w);
  }
  std::uint64_t w = 0;
  std::memcpy(&w, s.data(), s.size());
  mix(w);
  h *= 0x94d049bb133111ebu;
  return h ^ (h >> 31);
}

// "vllm:iteration_tokens_total_bucket" -> "vllm_iteration_tokens", bucket.
inline part base_of(std::string_view name, std::string& base) {
  part p = part::value;
  const auto ends = [&](std::string_view suffix, part then) {
    if (name.size() <= suffix.size() || !name.ends_with(suffix)) return false;
    name.remove_suffix(suffix.size());
    p = then;
    return true;
  };
  ends("_bucket", part::bucket) || ends("_sum", part::sum) || ends("_count", part::count) || ends("_created", part::created);
  const part found = p;
  ends("_total", found);
  base.assign(name);
  std::replace(base.begin(), base.end(), ':', '_');
  return p;
}

inline std::uint64_t key_of(std::uint64_t row, std::uint64_t source, std::uint64_t rank, std::uint64_t parts = 0) {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (const std::uint64_t x : {row, source, rank, parts}) {
    h = (h ^ x) * 0xbf58476d1ce4e5b9u;
    h ^= h >> 29;
  }
  return h;
}

// Two values of one figure.
inline double together(reading how, double a, double b) { return how == reading::most ? (std::max)(a, b) : how == reading::one ? 1 : a + b; }

// What is known of a label's name; null: it tells engines apart.
inline const label_row* known(std::string_view name) {
  const auto* const at = std::find_if(std::begin(known_labels), std::end(known_labels), [&](const label_row& r) { return r.name == name; });
  return at != std::end(known_labels) ? at : nullptr;
}
inline bool says_nothing(const label& x) {
  return x.name == "engine_type" && std::find(plain_engine_types.begin(), plain_engine_types.end(), x.value) != plain_engine_types.end();
}

inline bool matches(std::string_view value, std::string_view pattern) {
  return pattern.starts_with('*') ? value.ends_with(pattern.substr(1)) : value == pattern;
}

// Values added up or compared, of one row, one engine and one rank.
struct cell {
  std::uint32_t row = 0, source = 0;
  std::uint64_t rank = 0;
  double value = 0;
  bool known = false;                  // a value was there, not its beginning alone
  std::optional<nanoseconds> created;
};

struct histogram_cell {
  std::uint32_t row = 0, source = 0;
  std::uint64_t rank = 0;
  std::optional<double> count, sum;
  bool sum_unusable = false;
  std::optional<nanoseconds> created;
  buckets::histogram made;
  std::vector<std::pair<double, double>> found;  // edge, count, in the order of the page
};

class page_reader {
 public:
  page_reader(const page_options& o, model::scrape& out) : options_(o), out_(out) {
    for (const name_row& r : o.names) add_row(r, 0);
    for (const name_row& r : builtin_rows) add_row(r, 128);
  }

  bool wants(std::string_view name);
  void sample(const metrics::sample& s);
  // A value without labels, from elsewhere than a text page.
  void value(std::string_view name, double v) {
    if (wants(name)) sample({.name = name, .value = v});
  }
  void finish();
  void problem(std::string text);

 private:
  struct use {
    std::uint32_t row;
    part role;
  };
  struct labels_of_sample {
    std::uint64_t series = 0, identity = 0, parts = 0, rank = 0;
    double le = 0;
    bool has_le = false, bad_le = false, of_breakdown = false;
  };

  void add_row(name_row r, unsigned after);
  labels_of_sample look_at(const label_set& labels);
  using pairs = std::vector<std::pair<std::string, std::string>>;
  pairs identity_of(const label_set& labels, bool all);
  std::uint32_t source_of(std::uint64_t identity, const label_set& labels);
  void facts(const label_set& labels);
  void spread_facts();
  bool row_matches(const name_row& r, const label_set& labels) const;
  void scalar(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source);
  void histogram(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source);
  void choose_engine();
  // By meaning, then engine, the preferred name first.
  template <class Cell>
  void in_order(std::vector<Cell>& cells) const {
    std::stable_sort(cells.begin(), cells.end(), [&](const Cell& a, const Cell& b) {
      const name_row &x = rows_[a.row], &y = rows_[b.row];
      return x.what != y.what ? x.what < y.what : a.source != b.source ? a.source < b.source : x.preference != y.preference ? x.preference < y.preference : a.row < b.row;
    });
  }
  void close(histogram_cell& h);
  void scalars();
  void histograms();
  void blocks();
  void report_missing();
  std::string title(const name_row& r, std::uint32_t source) const;

  const page_options& options_;
  model::scrape& out_;
  std::vector<name_row> rows_;
  std::vector<std::string> bases_;                                   // of rows_
  std::vector<part> parts_;                                          // what a row itself names: a value, or the sum of a histogram
  std::unordered_map<std::string, std::vector<std::uint32_t>> index_;
  std::string last_name_, base_, scratch_;
  std::vector<use> uses_;                                            // of last_name_
  bool wanted_ = false;
  std::vector<std::string> sources_;
  std::unordered_map<std::uint64_t, std::uint32_t> source_index_, cell_index_, histogram_index_;
  key_set seen_;
  std::vector<cell> cells_;
  std::vector<histogram_cell> histograms_;
  std::vector<pairs> source_pairs_;                                  // of sources_: the usual labels among theirs
  struct fact {
    pairs of;
    std::vector<std::pair<std::uint32_t, double>> values;            // row, value
  };
  std::vector<fact> facts_;
  struct pending_share {
    std::uint32_t row, source;
    double blocks;
  };
  std::vector<pending_share> shares_;
  std::vector<std::uint32_t> series_source_;                         // of out_.series
  std::array<bool, std::size(engine_prefixes)> prefix_seen_{};
  std::vector<std::string> unknown_;                                 // names with an engine's prefix that no row knows
  std::uint64_t duplicates_ = 0, unhelpful_ = 0, sources_lost_ = 0, buckets_lost_ = 0;
  static constexpr std::uint32_t no_source = (std::numeric_limits<std::uint32_t>::max)();
  static constexpr std::size_t most_problems = 32, most_unknown = 512, most_text = 300, most_buckets = 512;
};

HOTPATH_FN void page_reader::problem(std::string text) {
  if (out_.problems.size() == most_problems) out_.problems.emplace_back("more problems were found than are listed");
  if (out_.problems.size() > most_problems) return;
  std::string shown = text::printable(text, most_text);
  if (std::find(out_.problems.begin(), out_.problems.end(), shown) == out_.problems.end()) out_.problems.push_back(std::move(shown));
}

HOTPATH_FN void page_reader::add_row(name_row r, unsigned after) {
  if (!options_.engine.empty() && r.engine != options_.engine) return;
  r.preference = static_cast<std::uint8_t>((std::min)(r.preference + after, 255u));
  std::string base;
  parts_.push_back(base_of(r.name, base));
  index_[base].push_back(static_cast<std::uint32_t>(rows_.size()));
  bases_.push_back(std::move(base));
  rows_.push_back(r);
}

// Lines of one family follow each other: the answer for the last name is kept.
HOTPATH_FN bool page_reader::wants(std::string_view name) {
  if (name == last_name_) return wanted_;
  last_name_ = name;
  uses_.clear();
  const part p = base_of(unescape(name, scratch_), base_);
  for (std::size_t i = 0; i < std::size(engine_prefixes); ++i)
    if (base_.starts_with(engine_prefixes[i].prefix)) {
      prefix_seen_[i] = true;
      if (!index_.contains(base_) && unknown_.size() < most_unknown && (unknown_.empty() || unknown_.back() != name)) unknown_.emplace_back(name);
    }
  if (const auto it = index_.find(base_); it != index_.end()) {
    for (const std::uint32_t row : it->second) {
      const model::metric_kind kind = model::facts_of(rows_[row].what).kind;
      const bool fits = kind == model::metric_kind::histogram ? p != part::value
                        : p == part::created                  ? kind == model::metric_kind::counter
                                                              : p == parts_[row];
      if (fits) uses_.push_back({row, p});
    }
  }
  return wanted_ = !uses_.empty();
}

HOTPATH_FN page_reader::labels_of_sample page_reader::look_at(const label_set& labels) {
  labels_of_sample l;
  labels.for_each([&](const label& x) {
    if (x.name == "le") {
      const char* p = x.value.data();
      l.has_le = true;
      l.bad_le = !number(p, p + x.value.size(), l.le) || p != x.value.data() + x.value.size() || l.le != l.le;
      l.series += l.bad_le ? hash_of(x.value) : hash_of("le", std::bit_cast<std::uint64_t>(l.le + 0.0));  // -0 and 0 are one edge
      return;
    }
    const std::uint64_t h = hash_of(x.value, hash_of(x.name));
    l.series += h;
    const label_row* const row = known(x.name);
    if (row == nullptr) {
      if (!says_nothing(x)) l.identity += h;
    } else if (row->role == label_role::rank) {
      std::uint64_t n = 0xffff;
      text::to_number(x.value, n);
      const int shift = x.name == "pp_rank" ? 32 : x.name == "tp_rank" ? 16 : 0;
      l.rank |= (std::min<std::uint64_t>)(n, 0xffff) << shift;
    } else {
      l.parts += h;
      if (row->role == label_role::breakdown && !x.value.empty()) l.of_breakdown = true;
    }
  });
  return l;
}

// Labels that tell engines apart: these first, the others by name if `all`.
HOTPATH_FN page_reader::pairs page_reader::identity_of(const label_set& labels, bool all) {
  constexpr std::string_view first[] = {"model_name", "model", "engine", "engine_type", "dp_rank"};
  pairs out;
  std::string name, value;
  labels.for_each([&](const label& x) {
    if (known(x.name) != nullptr || says_nothing(x)) return;
    if (!all && std::find(std::begin(first), std::end(first), x.name) == std::end(first)) return;
    out.emplace_back(unescape(x.name, name), unescape(x.value, value));
  });
  const auto order = [&](const std::string& n) { return std::find(std::begin(first), std::end(first), n) - std::begin(first); };
  std::sort(out.begin(), out.end(), [&](const auto& a, const auto& b) { return order(a.first) != order(b.first) ? order(a.first) < order(b.first) : a.first < b.first; });
  return out;
}

HOTPATH_FN std::uint32_t page_reader::source_of(std::uint64_t identity, const label_set& labels) {
  const auto [it, is_new] = source_index_.try_emplace(identity, static_cast<std::uint32_t>(sources_.size()));
  if (!is_new) return it->second;
  if (sources_.size() >= options_.sources) {
    source_index_.erase(it);
    return no_source;
  }
  const pairs all = identity_of(labels, true);
  std::string source;
  for (const auto& [name, value] : all) source += (source.empty() ? "" : ", ") + name + "=" + value;
  std::string shown = text::printable(source, 256);
  if (shown != source) {  // what was cut or escaped could look like another engine: its hash stays
    char hex[17];
    const auto r = std::to_chars(hex, hex + 16, identity, 16);
    shown += " #" + std::string(hex, r.ptr);
  }
  sources_.push_back(std::move(shown));
  source_pairs_.push_back(identity_of(labels, false));
  return it->second;
}

// An info metric has its facts as labels, so that its labels tell nothing apart but the usual ones, and not all of these.
HOTPATH_FN void page_reader::facts(const label_set& labels) {
  if (facts_.size() >= options_.sources) {
    ++sources_lost_;
    return;
  }
  fact f{identity_of(labels, false), {}};
  labels.for_each([&](const label& x) {
    double v = 0;
    for (const use& u : uses_)
      if (x.name == rows_[u.row].label && text::to_number(x.value, v)) f.values.emplace_back(u.row, v);  // "None" is none
  });
  facts_.push_back(std::move(f));
}

// Facts are those of every engine whose labels do not contradict.
HOTPATH_FN void page_reader::spread_facts() {
  for (const fact& f : facts_) {
    if (sources_.empty() && !f.values.empty()) {
      std::string source;
      for (const auto& [name, value] : f.of) source += (source.empty() ? "" : ", ") + name + "=" + value;
      sources_.push_back(text::printable(source, 256)), source_pairs_.push_back(f.of);
    }
    for (std::size_t i = 0; i < sources_.size(); ++i) {
      const pairs& theirs = source_pairs_[i];
      const bool fits = std::all_of(f.of.begin(), f.of.end(), [&](const auto& mine) {
        return std::find(theirs.begin(), theirs.end(), mine) != theirs.end();
      });
      if (!fits) continue;
      for (const auto& [row, v] : f.values) cells_.push_back({.row = row, .source = static_cast<std::uint32_t>(i), .value = v, .known = true, .created = {}});
    }
  }
}

HOTPATH_FN bool page_reader::row_matches(const name_row& r, const label_set& labels) const {
  if (r.label.empty()) return true;
  bool found = false;
  labels.for_each([&](const label& x) { found = found || (x.name == r.label && matches(x.value, r.match)); });
  return found;
}

HOTPATH_FN void page_reader::sample(const metrics::sample& s) {
  const labels_of_sample l = look_at(s.labels);
  if (!seen_.insert(l.series + hash_of(s.name))) {
    ++duplicates_;
    return;
  }
  if (rows_[uses_.front().row].how == reading::label_value) {
    facts(s.labels);
    return;
  }
  const std::uint32_t source = source_of(l.identity, s.labels);
  if (source == no_source) {
    ++sources_lost_;
    return;
  }
  for (const use& u : uses_) {
    if (model::facts_of(rows_[u.row].what).kind == model::metric_kind::histogram) histogram(u, l, s, source);
    else scalar(u, l, s, source);
  }
}

// Seconds since 1970 from _created; what is no moment is nothing.
inline std::optional<nanoseconds> moment(double seconds) {
  if (!(seconds > 0 && seconds < 9e9)) return std::nullopt;
  return nanoseconds::from_s(seconds);
}
inline void earlier(std::optional<nanoseconds>& into, const std::optional<nanoseconds>& other) {
  if (other && (!into || *other < *into)) into = other;
}

HOTPATH_FN void page_reader::scalar(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source) {
  const name_row& r = rows_[u.row];
  const bool gauge = model::facts_of(r.what).kind == model::metric_kind::gauge;
  if (gauge && l.of_breakdown) return;
  double v = r.how == reading::one ? 1 : s.value;
  if (u.role != part::created && (v - v != 0 || (!gauge && v < 0))) {  // not finite; no counter is below 0
    problem(title(r, source) + " is " + (v != v ? "not a number" : v - v != 0 ? "infinite" : "below 0") + ": left out");
    return;
  }
  const auto [it, is_new] = cell_index_.try_emplace(key_of(u.row, source, l.rank), static_cast<std::uint32_t>(cells_.size()));
  if (is_new) cells_.push_back({.row = u.row, .source = source, .rank = l.rank, .created = {}});
  cell& c = cells_[it->second];
  if (u.role == part::created) {
    earlier(c.created, moment(v));
    return;
  }
  if (!row_matches(r, s.labels)) v = 0;  // the family is there, this part of it is not meant
  c.value = !c.known ? v : together(r.how, c.value, v);
  c.known = true;
}

HOTPATH_FN void page_reader::histogram(const use& u, const labels_of_sample& l, const metrics::sample& s, std::uint32_t source) {
  const name_row& r = rows_[u.row];
  if (!row_matches(r, s.labels)) return;
  const auto [it, is_new] = histogram_index_.try_emplace(key_of(u.row, source, l.rank, l.parts), static_cast<std::uint32_t>(histograms_.size()));
  if (is_new) {
    histograms_.emplace_back();
    histograms_.back().row = u.row, histograms_.back().source = source, histograms_.back().rank = l.rank;
  }
  histogram_cell& h = histograms_[it->second];
  switch (u.role) {
    case part::created: earlier(h.created, moment(s.value)); break;
    case part::sum:
      if (s.value - s.value != 0) h.sum_unusable = true;
      else h.sum = s.value;
      break;
    case part::count:
      if (s.value >= 0 && s.value - s.value == 0) h.count = s.value;
      break;
    case part::bucket:
      if (!l.has_le || l.bad_le) ++unhelpful_;
      else if (h.found.size() == most_buckets) ++buckets_lost_;
      else h.found.emplace_back(l.le, s.value);
      break;
    case part::value: break;
  }
}

HOTPATH_FN std::string page_reader::title(const name_row& r, std::uint32_t source) const {
  return std::string(r.name) + (source < sources_.size() && !sources_[source].empty() ? "{" + sources_[source] + "}" : "");
}

HOTPATH_FN void page_reader::choose_engine() {
  if (!options_.engine.empty()) {
    out_.engine = options_.engine;
    return;
  }
  for (std::size_t i = 0; i < std::size(engine_prefixes) && out_.engine.empty(); ++i)
    if (prefix_seen_[i]) out_.engine = engine_prefixes[i].engine;
  if (out_.engine.empty()) {
    // Names of the caller's own, or the iteration statistics.
    for (const cell& c : cells_)
      if (out_.engine.empty()) out_.engine = rows_[c.row].engine;
    for (const histogram_cell& h : histograms_)
      if (out_.engine.empty()) out_.engine = rows_[h.row].engine;
  }
}

// The lowest rank of each row and engine: cells of others are repetitions.
template <class Cell>
void lowest_ranks(std::vector<Cell>& cells) {
  std::unordered_map<std::uint64_t, std::uint64_t> lowest;
  const auto key = [](const Cell& c) { return static_cast<std::uint64_t>(c.source) << 32 | c.row; };
  for (const Cell& c : cells) {
    const auto [it, is_new] = lowest.try_emplace(key(c), c.rank);
    if (!is_new) it->second = (std::min)(it->second, c.rank);
  }
  std::erase_if(cells, [&](const Cell& c) { return c.rank != lowest[key(c)]; });
}

HOTPATH_FN void page_reader::scalars() {
  std::erase_if(cells_, [&](const cell& c) { return !c.known || rows_[c.row].engine != out_.engine; });
  lowest_ranks(cells_);
  in_order(cells_);
  for (std::size_t i = 0; i < cells_.size();) {
    const name_row& r = rows_[cells_[i].row];
    model::metric_series m;
    m.what = r.what, m.name = r.name, m.source = sources_[cells_[i].source], m.value = cells_[i].value, m.created = cells_[i].created;
    const std::uint32_t source = cells_[i].source;
    for (++i; i < cells_.size() && cells_[i].source == source && rows_[cells_[i].row].what == r.what; ++i) {
      if (rows_[cells_[i].row].preference != r.preference) continue;
      m.value = together(r.how, m.value, cells_[i].value);
      earlier(m.created, cells_[i].created);
    }
    if (r.how == reading::share_of_blocks) {
      shares_.push_back({static_cast<std::uint32_t>(&r - rows_.data()), source, m.value});
      continue;
    }
    series_source_.push_back(source);
    out_.series.push_back(std::move(m));
  }
}

// Blocks in use over blocks: of the same engine, or of the only one that tells how many there are.
HOTPATH_FN void page_reader::blocks() {
  for (const pending_share& p : shares_) {
    const model::metric_series *same = nullptr, *only = nullptr;
    std::size_t tell = 0;
    for (std::size_t i = 0; i < out_.series.size(); ++i) {
      if (out_.series[i].what != model::engine_metric::kv_blocks) continue;
      ++tell, only = &out_.series[i];
      if (series_source_[i] == p.source) same = only;
    }
    const model::metric_series* of = same != nullptr ? same : tell == 1 ? only : nullptr;
    if (of == nullptr || !(of->value > 0)) continue;
    const double share = p.blocks / of->value;
    if (!(share >= 0 && share <= 1)) {
      problem(title(rows_[p.row], p.source) + ": more blocks in use than there are, no share can be told");
      continue;
    }
    model::metric_series m;
    m.what = model::engine_metric::kv_usage, m.name = rows_[p.row].name, m.source = sources_[p.source], m.value = share;
    out_.series.push_back(std::move(m));
    series_source_.push_back(p.source);
  }
}

// Sorts the buckets; what cannot be used is said and left out.
HOTPATH_FN void page_reader::close(histogram_cell& h) {
  std::sort(h.found.begin(), h.found.end());
  for (const auto& [edge, count] : h.found) {
    if (!h.made.upper.empty() && h.made.upper.back() == edge) {
      ++duplicates_;
      continue;
    }
    h.made.upper.push_back(edge), h.made.cumulative.push_back(count);
  }
  h.found = {};
  const name_row& r = rows_[h.row];
  if (h.sum_unusable) problem(title(r, h.source) + ": its sum is not a finite number, so it has no mean");
  else h.made.sum = h.sum;
  const std::string_view fault = buckets::fault_of(h.made);
  const bool infinite = fault.empty() && !h.made.upper.empty();
  h.made.count = h.count ? *h.count : infinite ? h.made.cumulative.back() : 0;
  if (fault.empty()) return;
  problem(title(r, h.source) + ": " + std::string(fault) + ", so it has no quantiles");
  h.made.upper.clear(), h.made.cumulative.clear();
}

HOTPATH_FN void page_reader::histograms() {
  std::erase_if(histograms_, [&](const histogram_cell& h) { return rows_[h.row].engine != out_.engine || (!h.count && h.found.empty()); });
  lowest_ranks(histograms_);
  in_order(histograms_);
  for (std::size_t i = 0; i < histograms_.size();) {
    const std::uint32_t row = histograms_[i].row, source = histograms_[i].source;
    const name_row& r = rows_[row];
    model::metric_series m;
    m.what = r.what, m.name = r.name, m.source = sources_[source];
    buckets::histogram all;
    bool first = true;
    for (; i < histograms_.size() && histograms_[i].source == source && rows_[histograms_[i].row].what == r.what; ++i) {
      histogram_cell& h = histograms_[i];
      if (rows_[h.row].preference != r.preference) continue;
      if (!h.count && h.found.end() == std::find_if(h.found.begin(), h.found.end(), [](const auto& b) { return b.first - b.first != 0; })) {
        close(h);
        problem(title(r, source) + ": neither a count nor a +Inf bucket: left out");
        continue;
      }
      close(h);
      earlier(m.created, h.created);
      if (first) all = std::move(h.made);
      else if (buckets::add(all, h.made) == buckets::merged::shared_edges) problem(title(r, source) + ": its parts have different edges, merged on those they share");
      first = false;
    }
    if (first) continue;
    m.value = all.count, m.sum = all.sum;
    for (std::size_t k = 0; k < all.upper.size(); ++k) m.buckets.push_back({all.upper[k], all.cumulative[k]});
    out_.series.push_back(std::move(m));
    series_source_.push_back(source);
  }
}

inline std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = (std::min)({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      corner = above;
    }
  }
  return row[b.size()];
}

// A version that calls things otherwise: for each meaning that the engine should tell and does not, the nearest of the names that nobody knows.
HOTPATH_FN void page_reader::report_missing() {
  std::array<bool, model::engine_metrics.size()> told{};
  for (const model::metric_series& m : out_.series) told[static_cast<std::size_t>(m.what)] = true;
  std::vector<std::string> bases;
  for (const std::string& name : unknown_) {
    std::string base;
    base_of(name, base);
    if (base.size() <= 128 && std::find(bases.begin(), bases.end(), base) == bases.end()) bases.push_back(std::move(base));
  }
  for (std::size_t i = 0; i < rows_.size() && !bases.empty(); ++i) {
    const name_row& r = rows_[i];
    if (r.engine != out_.engine || r.conditional || (r.preference & 127) != 0 || told[static_cast<std::size_t>(r.what)]) continue;
    const std::string* nearest = nullptr;
    std::size_t least = bases_[i].size() / 3 + 1;
    for (const std::string& base : bases)
      if (const std::size_t d = edits(bases_[i], base); d < least) least = d, nearest = &base;
    if (nearest == nullptr) continue;
    std::string as_written = *nearest;
    for (const std::string& name : unknown_) {
      std::string base;
      base_of(name, base);
      if (base == *nearest) as_written = name;
    }
    problem(std::string(model::facts_of(r.what).name) + ": " + std::string(r.name) + " is not on this page; the closest name is " + as_written);
  }
}

HOTPATH_FN void page_reader::finish() {
  choose_engine();
  spread_facts();
  scalars();
  blocks();
  histograms();
  std::vector<std::size_t> order(out_.series.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return out_.series[a].what != out_.series[b].what ? out_.series[a].what < out_.series[b].what : series_source_[a] < series_source_[b];
  });
  std::vector<model::metric_series> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) sorted.push_back(std::move(out_.series[i]));
  out_.series = std::move(sorted);
  out_.lost.malformed += unhelpful_;
  out_.lost.over_limit += sources_lost_ + buckets_lost_;
  out_.lost.dropped += duplicates_;
  if (unhelpful_ != 0) problem("buckets without a number as their edge (le): " + std::to_string(unhelpful_));
  if (duplicates_ != 0) problem("series that occur twice: " + std::to_string(duplicates_) + "; the first is taken");
  if (buckets_lost_ != 0) problem("a histogram with more than " + std::to_string(most_buckets) + " buckets: the rest is left out");
  if (sources_lost_ != 0) problem("more than " + std::to_string(options_.sources) + " engines on one page: samples of the others are left out");
  std::size_t engines = 0;
  std::string others;
  for (std::size_t i = 0; i < std::size(engine_prefixes); ++i) {
    const std::string_view e = engine_prefixes[i].engine;
    if (!prefix_seen_[i] || e == out_.engine || others.find(e) != std::string::npos) continue;
    ++engines, others += (others.empty() ? "" : ", ") + std::string(e);
  }
  if (engines != 0 && options_.engine.empty()) problem("the page also has names of " + others + ", which are left out");
  report_missing();
}

// TensorRT-LLM: a list of iterations since it was last asked. The last one is the state.
inline bool read_iterations(std::string_view body, page_reader& into, std::string& why) {
  std::string_view last;
  json::reader in{body, json::mode::tolerant_text};
  const auto element = [&] {
    if (in.peek() == json::kind::object) in.raw(last);
  };
  if (in.peek() == json::kind::array) in.array(element);
  else element();
  if (!in.finish()) {
    why = in.failure().message();
    return false;
  }
  json::reader members{last, json::mode::tolerant_text};
  if (last.empty()) return true;  // nothing happened since
  std::string path;
  const auto walk = [&](const auto& self, unsigned depth) -> void {
    members.object([&](std::string_view key) {
      const std::size_t size = path.size();
      if (size + key.size() < 200) {
        path += path.empty() ? "iteration_stats." : ".";
        path += key;
        double v = 0;
        if (members.peek() == json::kind::number && members.number(v)) into.value(path, v);
        else if (members.peek() == json::kind::object && depth < 4) self(self, depth + 1);
      }
      path.resize(size);
    });
  };
  walk(walk, 0);
  return true;
}

inline std::string not_a_page(std::string_view body, std::string_view what) {
  return std::string(what) + "; it begins with \"" + text::printable(body, 60) + "\"";
}

}  // namespace detail

HOTPATH_FN body_kind kind_of(std::string_view body) noexcept {
  if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
  for (const char c : body) {
    if (text::is_space(c)) continue;
    // A text page may begin with {"a quoted name"; a list or an object of statistics has an object, a key and a colon.
    if (c == '"') return body_kind::quoted_text;
    if (c == '[') return body_kind::iteration_stats;
    if (c != '{') return body_kind::text;
    json::reader in{body, json::mode::tolerant_text};
    in.skip();
    return in.finish() ? body_kind::iteration_stats : body_kind::text;
  }
  return body_kind::text;
}

HOTPATH_FN model::scrape read_page(std::string_view body, const page_options& options) {
  model::scrape out;
  std::string decoded;
  const body_kind kind = kind_of(body);
  if (kind != body_kind::text && body.size() > options.limits.body) {
    ++out.lost.over_limit;
    out.error = "the page is larger than its limit of " + std::to_string(options.limits.body) + " bytes";
    return out;
  }
  detail::page_reader reader{options, out};
  if (kind == body_kind::iteration_stats) {
    std::string why;
    if (!detail::read_iterations(body, reader, why)) {
      ++out.lost.malformed;
      out.error = detail::not_a_page(body, "not Prometheus text, and no list of iterations: " + why);
      return out;
    }
    if (out.engine.empty()) out.engine = options.engine.empty() ? "trtllm" : options.engine;
    reader.finish();
    if (out.series.empty()) reader.problem("the list of iterations is empty, or has no known member: nothing is known of this moment");
    return out;
  }
  if (kind == body_kind::quoted_text) {
    json::reader in{body, json::mode::tolerant_text};
    std::string_view inside;
    if (in.string(inside)) decoded = inside;
    if (!in.finish()) {
      ++out.lost.malformed;
      out.error = detail::not_a_page(body, "not Prometheus text, and no JSON string: " + in.failure().message());
      return out;
    }
    body = decoded;
  }
  const parsed p = parse(body, reader, options.limits);
  out.lost += p.lost;
  std::string_view start = body;
  while (!start.empty() && text::is_space(start.front())) start.remove_prefix(1);
  if (start.starts_with('<') || (p.samples == 0 && p.lost.malformed + p.lost.truncated != 0)) {
    out.error = detail::not_a_page(body, "not Prometheus text");
    return out;
  }
  reader.finish();
  if (p.lost) {
    std::string what = std::to_string(p.lost.total()) + (p.lost.total() == 1 ? " line is" : " lines are") + " lost";
    if (p.problem_line != 0) what += ", the first is line " + std::to_string(p.problem_line);
    reader.problem(what + ": " + std::string(p.problem));
  }
  if (start.empty()) reader.problem("the page is empty");
  else if (out.series.empty()) reader.problem("no known name of an engine is on this page");
  return out;
}

}  // namespace hotpath::inline HOTPATH_ABI::metrics
