// SPDX-License-Identifier: Apache-2.0
// The first line is a word, the rest the name of a kernel, any bytes: sizes stay within their limits, words are words, and the table of rows
// finds the word where match_words does.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/name.hpp>
#include <string>
#include <string_view>

namespace {
void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_kernel_name: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}
bool are_words(std::string_view s) {
  if (s.empty()) return true;
  if (s.front() != ' ' && s.front() != '|') return false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = s[i];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ' ' || c == '|')) return false;
    if (c == ' ' && i > 0 && s[i - 1] == ' ') return false;
  }
  return s.back() == ' ';
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace kernel = hotpath::kernel;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  const std::string_view name = line == std::string_view::npos ? input : input.substr(line + 1);
  std::string word;
  for (const char c : input.substr(0, line == std::string_view::npos ? 0 : line))
    if (((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) && word.size() < 40) word += c;

  const std::string canonical = kernel::canonical_name(name);
  require(canonical.size() <= kernel::name_limit, "a canonical name above the limit");
  require(kernel::short_name(name).size() <= 60, "a short name that is long");
  require(kernel::short_name(name, 24).size() <= 24, "a short name above the limit that was asked for");
  const kernel::symbol_words words = kernel::words_of(name);
  require(are_words(words.function), "the function's words are none");
  require(are_words(words.arguments), "the arguments' words are none");
  std::size_t ops = 0;
  for (const std::string_view op : kernel::fused_ops(name)) {
    require(op.data() >= name.data() && op.data() + op.size() <= name.data() + name.size(), "an operator outside the name");
    ++ops;
  }
  require(ops <= name.size(), "more operators than bytes");

  const kernel::kernel_identity id = kernel::classify(name, {.cpu_op = word, .site = word});
  require(id.what == kernel::family::other || !id.rule.empty(), "a family without a reason");
  if (!word.empty()) {
    kernel::family_table table;
    require(table.add({.id = "fuzz", .what = kernel::family::graph, .words = word}), "a row with an id and a word was refused");
    require((table.classify(name).rule == "fuzz") == kernel::match_words(words.function, word), "the table and match_words disagree");
  }
  return 0;
}
