// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/family-inl.hpp - bodies of kernel/family.hpp.
#pragma once
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/words.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/name.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

inline constexpr family_row builtin_rows[] = {
#include <hotpath/kernel/data/families.inc>
};
static_assert([] {
  for (const family_row& row : builtin_rows) {
    if (row.id.empty() || row.words.empty()) return false;
    for (const family_row& other : builtin_rows)
      if (&other != &row && other.id == row.id) return false;
  }
  return true;
}(), "every row of families.inc has an id of its own, and words");

inline constexpr std::string_view family_names[] = {
    "other", "gemm", "moe", "attention", "attention_prefill", "attention_decode", "kv_cache", "norm", "rope", "activation", "quant", "router", "sampling", "softmax",
    "comm", "memcpy", "memset", "elementwise", "reduce", "embedding", "linear_attention", "convolution", "graph"};

// Where a word was found in a name, and where a row wants it.
enum : std::uint8_t { in_function = 1, at_start = 2, whole = 4, in_arguments = 8 };

constexpr std::uint64_t fnv_begin = 0xcbf29ce484222325u;
constexpr std::uint64_t fnv(std::uint64_t h, char c) { return (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u; }
inline std::uint64_t fnv(std::string_view s) {
  std::uint64_t h = fnv_begin;
  for (const char c : s) h = fnv(h, c);
  return h;
}

// Activities that are no kernels. Kineto: "Memcpy HtoD (Pinned -> Device)", "Memset (Device)"; nsys: "[CUDA memcpy Host-to-Device]", "[CUDA memset]";
// ROCm: "CopyDeviceToHost". Graph rows: "CUDA graph ...", "[CUDA graph]".
inline kernel_identity memory_activity(std::string_view raw) {
  std::string_view s = raw;
  if (s.starts_with('[')) s.remove_prefix(1);
  for (const std::string_view maker : {"CUDA ", "HIP ", "hip", "cuda"})
    if (text::starts_with_ignoring_case(s, maker)) {
      s.remove_prefix(maker.size());
      break;
    }
  if (text::starts_with_ignoring_case(s, "graph") && s.size() != raw.size()) return {family::graph, "graph", {}};
  if (text::starts_with_ignoring_case(s, "memset") && (s.size() == 6 || !is_identifier(s[6]))) return {family::memset, "memset", {}};
  const bool copy = text::starts_with_ignoring_case(s, "memcpy") && (s.size() == 6 || !is_identifier(s[6]));
  const bool rocm = s.starts_with("CopyDeviceTo") || s.starts_with("CopyHostTo") || s.starts_with("CopyPeerTo");
  if (!copy && !rocm) return {};
  std::string letters;                                       // "Host-to-Device" and "HtoD" become "HtoD"
  for (const char c : s.substr(copy ? 6 : 4)) {
    if (is_alnum(c)) letters += c;
    else if (c == '(' || c == ']') break;
  }
  static constexpr std::string_view directions[][3] = {{"HtoD", "HosttoDevice", "HostToDevice"}, {"DtoH", "DevicetoHost", "DeviceToHost"}, {"DtoD", "DevicetoDevice", "DeviceToDevice"},
                                                       {"PtoP", "PeertoPeer", "PeerToPeer"}, {"HtoH", "HosttoHost", "HostToHost"}};
  for (const auto& d : directions)
    for (const std::string_view spelling : d)
      if (text::starts_with_ignoring_case(letters, spelling)) return {family::memcpy, "memcpy", d[0]};
  return {family::memcpy, "memcpy", {}};
}

// Generators whose names are fields, not words.
inline kernel_identity generated_kernel(std::string_view raw, const symbol_words& w) {
  // trtllm-gen: its batched products, bmm_<types>_t<tile>..., serve experts alone.
  if (raw.starts_with("bmm_") && (raw.find("_cga") != std::string_view::npos || raw.find("dynBatch") != std::string_view::npos)) return {family::moe, "trtllm-gen-bmm", {}};
  // DeepGEMM (2.x): enum GemmType { Normal, MGroupedContiguous, MGroupedMasked, KGroupedContiguous, Batched, MGroupedContiguousWithPsumLayout }.
  if (const std::size_t i = w.arguments.find(" gemm type "); i != std::string::npos && match_words(w.function, "gemm")) {
    const std::size_t digit = i + 11;
    if (digit < w.arguments.size()) {
      const char type = w.arguments[digit];
      if (type == '1' || type == '2' || type == '3' || type == '5') return {family::moe, "deepgemm-grouped", {}};
      if (type == '0' || type == '4') return {family::gemm, "deepgemm", {}};
    }
  }
  return {};
}

inline std::string_view collective_of(std::string_view function_words) {
  static constexpr std::string_view names[][2] = {
      {"reducescatter", "reduce_scatter"}, {"allgather", "all_gather"}, {"allgatherv", "all_gather"}, {"allreduce", "all_reduce"}, {"crossdevicereduce", "all_reduce"},
      {"multimemallreduce", "all_reduce"}, {"alltoall", "all_to_all"}, {"alltoallv", "all_to_all"}, {"a2a", "all_to_all"}, {"sendrecv", "send_recv"}, {"p2p", "send_recv"},
      {"broadcast", "broadcast"}, {"notifydispatch", "dispatch"}, {"dispatch", "dispatch"}, {"combine", "combine"}, {"barrier", "barrier"}, {"reduce", "reduce"},
      {"send", "send_recv"}, {"recv", "send_recv"}};
  for (const auto& n : names)
    if (match_words(function_words, n[0])) return n[1];
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail

namespace hotpath::inline HOTPATH_ABI::kernel {

HOTPATH_FN std::string_view family_name(family f) {
  const auto i = static_cast<std::size_t>(f);
  static_assert(sizeof detail::family_names / sizeof detail::family_names[0] == family_count);
  return i < family_count ? detail::family_names[i] : detail::family_names[0];
}

HOTPATH_FN bool family_from_name(std::string_view word, family& out) {
  for (std::size_t i = 0; i < family_count; ++i)
    if (word == detail::family_names[i]) {
      out = static_cast<family>(i);
      return true;
    }
  return false;
}

HOTPATH_FN overlap_class class_of(family f) {
  switch (f) {
    case family::gemm: case family::moe: case family::attention: case family::attention_prefill: case family::attention_decode:
    case family::linear_attention: case family::convolution: return overlap_class::compute;
    case family::comm: return overlap_class::comm;
    case family::memcpy: case family::memset: return overlap_class::memory;
    case family::other: case family::graph: return overlap_class::other;
    default: return overlap_class::elementwise;
  }
}

HOTPATH_FN family_table::family_table() {
  rows_.reserve(sizeof detail::builtin_rows / sizeof detail::builtin_rows[0]);
  for (const family_row& row : detail::builtin_rows) {
    rows_.push_back(compile(row));
    index(rows_.size() - 1, rows_.back().terms);
  }
}

// An alternative can only fit where its first word is.
HOTPATH_FN void family_table::index(std::size_t row, const std::vector<term>& terms) {
  bool begins = true;
  for (const term& t : terms) {
    if (begins && (asking_[t.word].empty() || asking_[t.word].back() != row)) asking_[t.word].push_back(static_cast<std::uint32_t>(row));
    begins = t.where == 0;
  }
}

HOTPATH_FN const family_table& family_table::builtin() {
  static const family_table table;
  return table;
}

HOTPATH_FN bool family_table::add(const family_row& row) {
  if (row.id.empty()) return false;
  for (const compiled& c : rows_)
    if (c.id == row.id) return false;
  compiled made = compile(row);
  if (made.terms.empty()) return false;
  rows_.insert(rows_.begin() + static_cast<std::ptrdiff_t>(added_++), std::move(made));
  for (auto& rows : asking_) rows.clear();
  for (std::size_t i = 0; i < rows_.size(); ++i) index(i, rows_[i].terms);
  return true;
}

HOTPATH_FN family_table::compiled family_table::compile(const family_row& row) {
  compiled c{.what = row.what, .on = row.on, .weak = row.weak, .id = std::string(row.id), .detail = std::string(row.detail), .terms = {}, .none = {}};
  parse_terms(row.words, c.terms);
  parse_terms(row.none, c.none);
  return c;
}

HOTPATH_FN void family_table::parse_terms(std::string_view s, std::vector<term>& out) {
  text::split(s, '|', [&](std::string_view alternative) {
    bool any = false;
    text::split(alternative, ' ', [&](std::string_view word) {
      std::uint8_t where = detail::in_function;
      if (!word.empty()) {
        if (word.front() == '^') where = detail::at_start;
        if (word.front() == '=') where = detail::whole;
        if (word.front() == '@') where = detail::in_arguments;
      }
      std::string letters;
      for (const char ch : word)
        if (detail::is_alnum(ch)) letters += text::to_lower(ch);
      if (letters.empty()) return;
      (where == detail::in_arguments ? longest_argument_ : longest_) = (std::max)(where == detail::in_arguments ? longest_argument_ : longest_, letters.size());
      out.push_back({word_id(letters), where});
      any = true;
    });
    if (any) out.push_back({0, 0});
  });
}

HOTPATH_FN std::uint32_t family_table::word_id(std::string_view word) {
  const auto next = static_cast<std::uint32_t>(vocabulary_.size());
  const std::uint32_t at = words_.insert(detail::fnv(word), next, [&](std::uint32_t i) { return vocabulary_[i] == word; }, [&](std::uint32_t i) { return detail::fnv(vocabulary_[i]); });
  if (at == next) vocabulary_.emplace_back(word), asking_.emplace_back();
  return at;
}

// Every run of neighbouring words that is in the vocabulary, with and without the digits at its end.
HOTPATH_FN void family_table::mark(std::string_view words, std::uint8_t where, std::vector<std::uint8_t>& present) const {
  const std::size_t longest = where == detail::in_arguments ? longest_argument_ : longest_;
  const auto look = [&](std::uint64_t hash, std::string_view from, std::size_t letters, std::uint8_t bits) {
    const std::uint32_t known = words_.find(hash, [&](std::uint32_t i) {
      const std::string_view w = vocabulary_[i];
      if (w.size() != letters) return false;
      for (std::size_t k = 0, at = 0; k < w.size(); ++k, ++at) {
        while (from[at] == ' ') ++at;
        if (from[at] != w[k]) return false;
      }
      return true;
    });
    if (known != hotpath::detail::row_index::none) present[known] |= bits;
  };
  for (std::size_t begin = 0; begin < words.size(); ++begin) {
    if (words[begin] == ' ' || words[begin] == '|' || (begin > 0 && words[begin - 1] != ' ')) continue;
    const bool first = begin < 2 || words[begin - 2] == '|';
    std::uint64_t hash = detail::fnv_begin, trimmed = 0;
    std::size_t letters = 0, kept = 0;     // so far; of them, before the digits at the end of this word
    for (std::size_t i = begin; i < words.size() && words[i] != '|' && letters <= longest; ++i) {
      if (words[i] != ' ') {
        if (text::is_digit(words[i])) {
          if (letters > 0 && words[i - 1] != ' ' && !text::is_digit(words[i - 1])) trimmed = hash, kept = letters;
        } else {
          kept = 0;
        }
        hash = detail::fnv(hash, words[i]);
        ++letters;
        continue;
      }
      const bool last = i + 1 >= words.size() || words[i + 1] == '|';
      const auto bits = static_cast<std::uint8_t>(where | (where == detail::in_function && first ? detail::at_start | (last ? detail::whole : 0) : 0));
      look(hash, words.substr(begin), letters, bits);
      if (kept != 0) look(trimmed, words.substr(begin), kept, bits);
      kept = 0;
    }
  }
}

HOTPATH_FN bool family_table::fits(const std::vector<term>& terms, const std::vector<std::uint8_t>& present) {
  bool all = true;
  for (const term& t : terms) {
    if (t.where == 0) {
      if (all) return true;
      all = true;
    } else {
      all = all && (present[t.word] & t.where) != 0;
    }
  }
  return false;
}

HOTPATH_FN const family_table::compiled* family_table::first(row_on on, const std::vector<std::uint8_t>& present, std::size_t rows) const {
  std::size_t best = rows;
  for (std::size_t word = 0; word < present.size(); ++word) {
    if (present[word] == 0) continue;
    for (const std::uint32_t i : asking_[word]) {
      if (i >= best) break;
      if (rows_[i].on == on && fits(rows_[i].terms, present) && !fits(rows_[i].none, present)) best = i;
    }
  }
  return best < rows ? &rows_[best] : nullptr;
}

// `words`: those that the row was found in.
HOTPATH_FN kernel_identity family_table::said(const compiled& c, std::string_view words) {
  kernel_identity id{.what = c.what, .rule = c.id, .detail = c.detail};
  if (id.what == family::comm && id.detail.empty()) id.detail = detail::collective_of(words);
  return id;
}

HOTPATH_FN kernel_identity family_table::classify(std::string_view raw_name, hints h) const {
  const symbol_words w = words_of(raw_name);
  std::vector<std::uint8_t> present(vocabulary_.size(), 0);
  const auto mark_name = [&] {
    mark(w.function, detail::in_function, present);
    mark(w.arguments, detail::in_arguments, present);
  };
  mark_name();
  if (const compiled* c = first(row_on::name, present, added_)) return said(*c, w.function);   // rows that were added come before code, too
  if (const kernel_identity id = detail::memory_activity(raw_name); id.what != family::other) return id;
  if (const kernel_identity id = detail::generated_kernel(raw_name, w); id.what != family::other) return id;

  if (const auto ops = fused_ops(raw_name); !ops.empty() || (raw_name.starts_with("triton_") && raw_name.find("_fused") != std::string_view::npos)) {
    std::string list;
    const std::string_view kind = raw_name.substr(7, raw_name.find("_fused") < 7 ? 0 : raw_name.find("_fused") - 7);
    detail::append_words(list, kind);
    for (const std::string_view op : ops) {
      detail::append_break(list);
      detail::append_words(list, op);
    }
    present.assign(vocabulary_.size(), 0);
    mark(list, detail::in_function, present);
    if (const compiled* c = first(row_on::triton, present, rows_.size())) return said(*c, w.function);
    present.assign(vocabulary_.size(), 0);
    mark_name();
  }

  const compiled* const row = first(row_on::name, present, rows_.size());
  if (row != nullptr && !row->weak) return said(*row, w.function);
  kernel_identity id = row != nullptr ? said(*row, w.function) : kernel_identity{};
  if (const kernel_identity launch = classify_launch(h); !launch.rule.empty()) id = launch;
  id.guess = true;
  return id;
}

HOTPATH_FN kernel_identity family_table::classify_launch(hints h) const {
  for (const row_on on : {row_on::cpu_op, row_on::site}) {
    const std::string_view hint = on == row_on::cpu_op ? h.cpu_op : h.site;
    if (hint.empty()) continue;
    std::string words;
    detail::append_words(words, hint.substr(0, name_limit));
    std::vector<std::uint8_t> present(vocabulary_.size(), 0);
    mark(words, detail::in_function, present);
    if (const compiled* c = first(on, present, rows_.size())) return said(*c, words);
  }
  return {};
}

HOTPATH_FN kernel_identity classify(std::string_view raw_name, hints h) { return family_table::builtin().classify(raw_name, h); }
HOTPATH_FN kernel_identity classify_launch(hints h) { return family_table::builtin().classify_launch(h); }

HOTPATH_FN result<void> add_rows(family_table& table, std::string_view text) {
  json::reader in(text);
  std::size_t count = 0;
  std::string wrong;
  const bool rows = in.array([&] {
    if (!wrong.empty()) return;
    ++count;
    std::string id, words, none, detail_text, kind, on = "name";
    bool weak = false, known = true;
    in.object([&](std::string_view key) {
      std::string_view v;
      const auto text_into = [&](std::string& out) { if (in.string(v)) out = v; };
      if (key == "id") text_into(id);
      else if (key == "family") text_into(kind);
      else if (key == "words") text_into(words);
      else if (key == "none") text_into(none);
      else if (key == "detail") text_into(detail_text);
      else if (key == "on") text_into(on);
      else if (key == "weak") in.boolean(weak);
      else if (key != "source") known = false;
    });
    family_row row{.id = id, .words = words, .none = none, .detail = detail_text, .weak = weak};
    static constexpr std::string_view places[] = {"name", "triton", "cpu_op", "site"};
    std::size_t place = 0;
    while (place < 4 && on != places[place]) ++place;
    row.on = static_cast<row_on>(place);
    if (!in.ok()) return;
    const std::string here = "row " + std::to_string(count) + " (" + hotpath::text::printable(id, 60) + "): ";
    if (!known) wrong = here + "a member it does not know, want id, family, words, none, detail, on, weak, source";
    else if (!family_from_name(kind, row.what)) wrong = here + "family is \"" + hotpath::text::printable(kind, 60) + "\", want a word such as gemm or attention_decode";
    else if (place == 4) wrong = here + "on is \"" + hotpath::text::printable(on, 60) + "\", want name, triton, cpu_op or site";
    else if (!table.add(row)) wrong = here + "want an id that no other row has, and words";
  });
  if (!in.finish()) return in.failure();
  if (!rows) wrong = "want an array of rows";
  if (!wrong.empty()) return error{.code = errc::malformed, .detail = wrong};
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
