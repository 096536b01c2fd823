// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/fuse_words.hpp - the words of fusion patterns: compiled once, compared with each distinct name, operator and place once.
//   The form of the words stands in kernel/fuse.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/detail/id_index.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/sequence.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

enum class look : std::uint8_t { name_or_op, name, op, at, family };   // token_words counts on their order
struct fuse_term {
  look where = look::name_or_op;
  family what = family::other;        // look::family
  std::uint32_t word = 0;             // in word_list; of look::family: the detail wanted, 0 none
};
// Alternatives one after the other; an alternative ends with a term whose word is no_index.
using fuse_terms = std::vector<fuse_term>;

// The distinct word sequences of all patterns, and which of them a text has: as match_words() of kernel/name.hpp, for all of them in one pass. Two
// letters lead from a word's beginning to the sequences that may stand there.
class word_list {
 public:
  word_list() : texts_(1), heads_(37 * 37, 0), next_(1, 0) {}
  std::uint32_t add(std::string_view words) {
    std::string joined;                                   // without gaps: "rmsnorm" finds rms_norm, and the other way round
    for (const char c : words)
      if (letter(text::to_lower(c)) != 0) joined += text::to_lower(c);
    if (joined.empty()) return 0;
    for (std::uint32_t i = heads_[head(joined, 0)]; i != 0; i = next_[i])
      if (texts_[i] == joined) return i;
    const auto id = static_cast<std::uint32_t>(texts_.size());
    next_.push_back(std::exchange(heads_[head(joined, 0)], id));
    texts_.push_back(std::move(joined));
    return id;
  }
  std::string_view operator[](std::uint32_t i) const { return texts_[i]; }
  std::size_t size() const { return texts_.size(); }

  // has[i] = 1 for each word sequence of `text`, which is as symbol_words::function.
  void mark(std::string_view text, std::uint8_t* has) const {
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (letter(text[i]) == 0 || (i > 0 && text[i - 1] != ' ')) continue;
      // A sequence of one letter stands where no second one follows, or another one.
      const std::size_t h = head(text, i);
      for (const std::size_t at : {h, h - h % 37}) {
        for (std::uint32_t w = heads_[at]; w != 0; w = next_[w])
          if (has[w] == 0) has[w] = stands(text, i, texts_[w]);
        if (h % 37 == 0) break;
      }
    }
  }

 private:
  static constexpr std::size_t letter(char c) {           // 0: none
    return c >= 'a' && c <= 'z' ? static_cast<std::size_t>(c - 'a') + 1 : text::is_digit(c) ? static_cast<std::size_t>(c - '0') + 27 : 0;
  }
  // Of the letters at `i`, gaps left out.
  static std::size_t head(std::string_view s, std::size_t i) {
    std::size_t k = i + 1;
    while (k < s.size() && s[k] == ' ') ++k;
    return letter(s[i]) * 37 + (k < s.size() ? letter(s[k]) : 0);
  }
  static bool stands(std::string_view s, std::size_t at, std::string_view joined) {
    for (const char c : joined) {
      while (at < s.size() && s[at] == ' ') ++at;
      if (at == s.size() || s[at] != c) return false;
      ++at;
    }
    if (!text::is_digit(joined.back()))
      while (at < s.size() && text::is_digit(s[at])) ++at;
    return at == s.size() || s[at] == ' ';
  }
  std::vector<std::string> texts_;      // [0] unused
  std::vector<std::uint32_t> heads_, next_;
};

// Words of an operator or a place, in the form of symbol_words::function: every character that is none of a word parts, and so does a change of case.
inline std::string plain_words(std::string_view s) {
  std::string out(" ");
  char before = ' ';
  for (const char c : s.substr(0, name_limit)) {
    const char l = text::to_lower(c);
    const bool word = (l >= 'a' && l <= 'z') || text::is_digit(l);
    if ((!word || (l != c && before >= 'a' && before <= 'z')) && out.back() != ' ') out += ' ';
    if (word) out += l;
    before = c;
  }
  if (out.back() != ' ') out += ' ';
  return out;
}

// False: a piece is empty, or names no family; `fault` is that piece.
inline bool compile_words(std::string_view text, word_list& words, fuse_terms& out, std::string* fault = nullptr) {
  bool good = true;
  if (text::trim(text).empty()) return true;
  text::split(text, '|', [&](std::string_view alternative) {
    text::split(alternative, '&', [&](std::string_view piece) {
      std::string_view p = text::trim(piece);
      fuse_term t;
      if (p.starts_with("is:")) {
        t.where = look::family;
        p.remove_prefix(3);
        if (!family_from_name(text::take(p, '/'), t.what)) good = false;
        if (!p.empty()) t.word = words.add(p);
      } else {
        constexpr std::pair<std::string_view, look> prefixes[] = {{"name:", look::name}, {"op:", look::op}, {"at:", look::at}};
        for (const auto& [prefix, where] : prefixes)
          if (p.starts_with(prefix)) t.where = where, p.remove_prefix(prefix.size());
        t.word = words.add(p);
        if (t.word == 0) good = false;
      }
      if (!good && fault != nullptr && fault->empty()) *fault = text::trim(piece);
      out.push_back(t);
    });
    out.push_back({.word = no_index});
  });
  return good;
}

// Tokens of a sequence, one bit each.
class token_set {
 public:
  explicit token_set(std::size_t tokens, bool all = false) : words_((tokens + 63) / 64, all ? ~std::uint64_t{0} : 0) {}
  void add(std::size_t t) { words_[t / 64] |= std::uint64_t{1} << t % 64; }
  void intersect(const token_set& o) { for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= o.words_[i]; }
  void unite(const token_set& o) { for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= o.words_[i]; }
  void remove(const token_set& o) { for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~o.words_[i]; }
  template <class F>
  void each(F f) const {                                  // ascending
    for (std::size_t i = 0; i < words_.size(); ++i)
      for (std::uint64_t w = words_[i]; w != 0; w &= w - 1) f(static_cast<std::uint32_t>(64 * i + static_cast<std::size_t>(__builtin_ctzll(w))));
  }

 private:
  std::vector<std::uint64_t> words_;
};

// Which tokens have which words in their names, operators and places: each distinct text is looked at once, each word asked for once. Patterns are then
// intersections and unions of sets: 185 of them on 100,000 tokens cost what one pass per word costs.
class token_words {
 public:
  // Names that take less than 0.001 % of the time decide nothing, so that a trace of a million names costs no more than one of 100,000.
  token_words(const subject& s, const sequence& seq, const word_list& words) : subject_(s), sequence_(seq), words_(words), cache_(4 * words.size(), no_index) {
    const nanoseconds least = seq.total / 100'000;
    hotpath::detail::id_index names, sites;
    op_rows_.assign(s.map.sites.texts(), no_index), frame_rows_ = op_rows_;
    for (std::uint32_t i = 0; i < seq.tokens.size(); ++i) {
      const sequence::token& t = seq.tokens[i];
      if (t.time < least || t.identity >= s.identities.size()) continue;
      const bool placed = t.site < s.map.sites.size();
      const name_id raw = s.identities[t.identity].raw;
      const std::uint32_t n = names.number(raw), p = sites.number(placed ? std::uint64_t{t.site} + 1 : 0);
      looked_at_.push_back({i, n, p});
      if (n * words.size() == names_.size()) mark(names_, words_of(s.trace->name(raw)).function);
      if (p != sites_.size()) continue;
      const site at = placed ? s.map.sites[t.site] : site{};
      sites_.push_back(at);
      read(at.cpu_op, op_rows_, ops_);
      if (at.graph_replay) sites_.back() = {.cpu_op = at.cpu_op};
      for (const name_id frame : {sites_.back().location, sites_.back().stack[0], sites_.back().stack[1], sites_.back().stack[2], sites_.back().stack[3]}) read(frame, frame_rows_, frames_);
    }
  }
  // Those that one alternative fits.
  token_set any(const fuse_terms& terms) {
    token_set out(sequence_.tokens.size()), fit(sequence_.tokens.size(), true);
    bool empty = true;
    for (const fuse_term& t : terms) {
      if (t.word != no_index) {
        empty = false;
        if (t.where == look::family) fit.intersect(of_family(t));
        else fit.intersect(with(t.word, t.where));
      } else if (!std::exchange(empty, true)) {
        out.unite(fit), fit = token_set(sequence_.tokens.size(), true);
      }
    }
    return out;
  }

 private:
  struct looked_at { std::uint32_t token, name, site; };
  void mark(std::vector<std::uint8_t>& rows, std::string_view text) const {
    rows.resize(rows.size() + words_.size());
    words_.mark(text, rows.data() + rows.size() - words_.size());
  }
  void read(name_id text, std::vector<std::uint32_t>& row_of, std::vector<std::uint8_t>& rows) const {
    if (row_of[text] != no_index) return;
    row_of[text] = static_cast<std::uint32_t>(rows.size() / words_.size());
    mark(rows, plain_words(subject_.map.sites.text(text)));
  }
  token_set of_family(const fuse_term& term) const {
    token_set out(sequence_.tokens.size());
    for (const looked_at& t : looked_at_) {
      const kernel_identity& is = subject_.identities[sequence_.tokens[t.token].identity].is;
      if (is.what == term.what && (term.word == 0 || match_words(plain_words(is.detail), words_[term.word]))) out.add(t.token);
    }
    return out;
  }
  const token_set& with(std::uint32_t word, look where) { // made once
    std::uint32_t& at = cache_[4 * std::size_t{word} + static_cast<std::size_t>(where)];
    if (at != no_index) return sets_[at];
    at = static_cast<std::uint32_t>(sets_.size());
    token_set& out = sets_.emplace_back(sequence_.tokens.size());
    const auto has = [&](const std::vector<std::uint8_t>& rows, std::size_t row) { return rows[row * words_.size() + word] != 0; };
    std::vector<std::uint8_t> here(sites_.size());
    for (std::size_t p = 0; p < here.size(); ++p) {
      const site& s = sites_[p];
      if (where == look::name_or_op || where == look::op) here[p] = has(ops_, op_rows_[s.cpu_op]);
      const auto frame = [&](name_id text) { return has(frames_, frame_rows_[text]); };
      if (where == look::at) here[p] = frame(s.location) || frame(s.stack[0]) || frame(s.stack[1]) || frame(s.stack[2]) || frame(s.stack[3]);
    }
    const bool names = where == look::name_or_op || where == look::name;
    for (const looked_at& t : looked_at_)
      if (here[t.site] != 0 || (names && has(names_, t.name))) out.add(t.token);
    return out;
  }

  const subject& subject_;
  const sequence& sequence_;
  const word_list& words_;
  std::vector<looked_at> looked_at_;
  std::vector<site> sites_;                               // as far as their texts count
  std::vector<std::uint8_t> names_, ops_, frames_;        // rows by text, columns by word: 1 if it has it
  std::vector<std::uint32_t> op_rows_, frame_rows_;       // by number of the text
  std::vector<std::uint32_t> cache_;                      // by word and where it is looked for: index in sets_
  std::vector<token_set> sets_;
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
