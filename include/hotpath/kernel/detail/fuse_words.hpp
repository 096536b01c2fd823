// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/detail/fuse_words.hpp - the words of fusion patterns: compiled once, compared with each distinct name, operator and place once.
//   The form of the words stands in kernel/fuse.hpp.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/detail/key_numbers.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/sequence.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel::detail {

enum class look : std::uint8_t { name_or_op, name, op, at, family };
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

// What all tokens' names, operators and places say, each distinct text looked at once.
class token_words {
 public:
  // Names that take less than 0.001 % of the time decide nothing, so that a trace of a million names costs no more than one of 100,000.
  token_words(const subject& s, const sequence& seq, const word_list& words) : subject_(s), words_(words), least_(seq.total / 100'000) {
    key_numbers names, sites;
    for (const auto& t : seq.tokens) {
      const bool looked_at = t.time >= least_, known = looked_at && t.identity < s.identities.size(), placed = looked_at && t.site < s.map.sites.size();
      const std::uint32_t n = names[known ? std::uint64_t{s.identities[t.identity].raw} + 1 : 0], p = sites[placed ? std::uint64_t{t.site} + 1 : 0];
      if (n == names_.size()) names_.push_back(known ? mark(words_of(s.trace->name(s.identities[t.identity].raw)).function) : marks(words.size()));
      if (p == ops_.size()) {
        const model_site none;
        const model_site& site = placed ? s.map.sites[t.site] : none;
        ops_.push_back(mark(plain_words(site.cpu_op)));
        places_.push_back(mark(plain_words(site.graph_replay ? std::string() : site.location + " , " + site.stack)));
      }
      name_of_.push_back(n), site_of_.push_back(p);
    }
  }
  bool any(const fuse_terms& terms, const sequence& seq, std::size_t token) const {
    if (seq.tokens[token].time < least_) return false;
    bool fits = true, empty = true;
    for (const fuse_term& t : terms) {
      if (t.word == no_index) {
        if (fits && !empty) return true;
        fits = empty = true;
        continue;
      }
      empty = false;
      fits = fits && has(t, seq.tokens[token], token);
    }
    return false;
  }

 private:
  using model_site = site;
  using marks = std::vector<std::uint8_t>;
  marks mark(std::string_view text) const {
    marks m(words_.size());
    words_.mark(text, m.data());
    return m;
  }
  bool has(const fuse_term& t, const sequence::token& k, std::size_t token) const {
    switch (t.where) {
      case look::name: return names_[name_of_[token]][t.word] != 0;
      case look::op: return ops_[site_of_[token]][t.word] != 0;
      case look::at: return places_[site_of_[token]][t.word] != 0;
      case look::family: {
        if (k.identity >= subject_.identities.size()) return false;
        const kernel_identity& is = subject_.identities[k.identity].is;
        return is.what == t.what && (t.word == 0 || match_words(plain_words(is.detail), words_[t.word]));
      }
      default: return names_[name_of_[token]][t.word] != 0 || ops_[site_of_[token]][t.word] != 0;
    }
  }
  const subject& subject_;
  const word_list& words_;
  const nanoseconds least_;
  std::vector<marks> names_, ops_, places_;
  std::vector<std::uint32_t> name_of_, site_of_;
};

}  // namespace hotpath::inline HOTPATH_ABI::kernel::detail
