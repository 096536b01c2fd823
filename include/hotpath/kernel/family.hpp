// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/family.hpp - what a kernel is for, from its name: gemm, attention, norm, communication, ...
//
//     auto id = kernel::classify("void flash::FlashAttnFwdSm90<...>(...)");           // family::attention, rule "flash-attention"
//     auto copy = kernel::classify("Memcpy HtoD (Pinned -> Device)");                 // family::memcpy, detail "HtoD"
//     kernel::family_table mine;                                                       // the built-in rows ...
//     mine.add({.id = "ours", .what = kernel::family::gemm, .words = "my_secret_gemm"});   // ... and one of yours in front of them
//     mine.classify(raw, {.cpu_op = "aten::mm"});
//
//   The rows are data (kernel/data/families.inc, with their sources); names that have a grammar of their own (copies, Inductor, Tensile,
//   trtllm-gen, DeepGEMM) are read by code first. Words are matched as kernel/name.hpp says. One call costs some microseconds and
//   allocates: classify each distinct name once.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/result.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

// A fused kernel has the family of its heaviest part: gemm, attention, norm, activation, quant, elementwise, in this order.
enum class family : std::uint8_t {
  other = 0,
  gemm,              // dense matrix products, their split-K reductions and epilogues
  moe,               // grouped products of experts; moving tokens to and from them on one device
  attention, attention_prefill, attention_decode,   // the first where the name serves both
  kv_cache,          // writing, copying, indexing it
  norm, rope, activation,
  quant,             // to and from 8 bits and fewer
  router,            // expert gates, top-k
  sampling,          // from logits to tokens, with grammars and speculative checks
  softmax,           // alone
  comm,              // detail: all_reduce, all_gather, reduce_scatter, all_to_all, send_recv, broadcast, reduce, dispatch, combine, barrier, or ""
  memcpy,            // detail: HtoD, DtoH, DtoD, PtoP, HtoH, or ""
  memset,
  elementwise,       // also what moves data: copies, transposes, gathers (detail: copy, index, random, optimizer, ...)
  reduce,            // also scans, sorts, selections, pooling (detail: scan, sort, select, pool, argmax)
  embedding,
  linear_attention,  // Mamba, gated delta rule, causal convolutions in front of them
  convolution,
  graph,             // one row that stands for a whole graph launch
};
inline constexpr std::size_t family_count = 23;
// A stable word for tables and JSON: "attention_prefill".
std::string_view family_name(family f);
// The family of such a word; false: there is none, `out` is untouched.
bool family_from_name(std::string_view word, family& out);

enum class overlap_class : std::uint8_t { compute, comm, memory, elementwise, other };
overlap_class class_of(family f);

struct hints {
  std::string_view cpu_op = {};   // the operator that launched it: "aten::mm"
  std::string_view site = {};     // Python location: "vllm/v1/sample/sampler.py:88 forward". Both only settle what the name leaves open
};
struct kernel_identity {
  family what = family::other;
  std::string_view rule = {};     // id of the row that decided; empty: none did
  std::string_view detail = {};   // see family
  bool guess = false;             // no row fits the name, or a weak one: what launched it may know better
};

// Where a row looks.
enum class row_on : std::uint8_t {
  name,     // the function's words
  triton,   // an Inductor name's operators and its kind (poi, red, per, tem): such names are read by these rows alone
  cpu_op,   // asked when no row fits the name, or a weak one does
  site,     // asked when the operator tells nothing either
};

struct family_row {
  std::string_view id;             // unique
  family what{};
  std::string_view words;          // alternatives separated by '|'; all words of one must be there. ^word: at the beginning;
                                   // =word: the whole function; @word: in the template or call arguments
  std::string_view none = {};      // alternatives of the same form: one that fits and the row does not
  std::string_view detail = {};
  std::string_view source = {};    // library or engine that has such names
  row_on on = row_on::name;
  bool weak = false;               // a guess: the operator or the location may know better
};

// Rows in order; the first that fits decides. Reading is safe from any thread while nobody adds.
class family_table {
 public:
  family_table();                           // the built-in rows
  // In front of the built-in rows and behind those added before. Text is copied. False: no id, no words, or an id that is there already.
  bool add(const family_row& row);
  // Views in the answer are into the table: valid until it changes or ends.
  kernel_identity classify(std::string_view raw_name, hints h = {}) const;
  // What the operator and the place alone say: the better answer wherever it has a rule and that of the name is a guess. classify() asks it itself;
  // who has many launches of few names asks for each once.
  kernel_identity classify_launch(hints h) const;
  std::size_t size() const noexcept { return rows_.size(); }
  static const family_table& builtin();

 private:
  struct term { std::uint32_t word; std::uint8_t where; };
  struct compiled {
    family what; row_on on; bool weak;
    std::string id, detail;
    std::vector<term> terms, none;          // one alternative after the other, each ends with a term of where == 0
  };
  compiled compile(const family_row& row);
  void parse_terms(std::string_view text, std::vector<term>& out);
  std::uint32_t word_id(std::string_view word);
  void index(std::size_t row, const std::vector<term>& terms);
  void mark(std::string_view words, std::uint8_t where, std::vector<std::uint8_t>& present) const;
  const compiled* first(row_on on, const std::vector<std::uint8_t>& present, std::size_t rows) const;   // among the first `rows`
  static kernel_identity said(const compiled& c, std::string_view words);
  static bool fits(const std::vector<term>& terms, const std::vector<std::uint8_t>& present);

  std::vector<compiled> rows_;
  std::size_t added_ = 0;
  std::vector<std::string> vocabulary_;     // what the rows look for
  hotpath::detail::row_index words_;        // of vocabulary_, by its letters
  std::vector<std::vector<std::uint32_t>> asking_;   // by word: the rows that it can make fit, first to last
  std::size_t longest_ = 0, longest_argument_ = 0;   // letters of a word, and of one with @
};

// By the built-in table.
kernel_identity classify(std::string_view raw_name, hints h = {});
kernel_identity classify_launch(hints h);

// Rows from JSON: [{"id": "x", "family": "gemm", "words": "a b|c", "none": "d", "detail": "", "on": "name", "weak": false}, ...] are added to
// `table`. Errors name the row; what stands before it has been added.
result<void> add_rows(family_table& table, std::string_view json);

}  // namespace hotpath::inline HOTPATH_ABI::kernel

#if HOTPATH_HEADER_ONLY
#include <hotpath/kernel/family-inl.hpp>
#endif
