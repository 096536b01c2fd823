// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/workload-inl.hpp - bodies of replay/workload.hpp
#pragma once
#include <algorithm>
#include <cmath>
#include <hotpath/core/random.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/replay/workload.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

namespace detail {
// A request beyond this has no server: the longest contexts offered today are 10 million tokens.
inline constexpr std::int64_t max_tokens_limit = 10'000'000;
inline constexpr std::uint64_t synthetic_input_limit = 1'000'000;
inline constexpr std::uint64_t distinct_ids_kept = 1'000'000;
inline constexpr std::size_t problems_kept = 10;

// Random token ids come from [300, 1000). Above the 256 bytes of byte-level BPE (GPT-2, Llama 3, Qwen: ids 0-255), the control
// and byte tokens of Llama 2's SentencePiece (0-258); below 1,024, the smallest vocabulary anyone serves. Vocabularies that
// reserve their first 1,000 ids (Mistral's Tekken) accept them as input all the same.
inline constexpr std::uint64_t first_id = 300, id_count = 700;
// 700^7 > 2^64: seven ids hold any 64-bit number, so different numbers are different beginnings.
inline constexpr std::size_t mark_ids = 7;

// Short and frequent: one token each, with the blank before it, in the usual English BPE vocabularies.
inline constexpr std::string_view words[] = {
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not",
    "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one", "you", "were",
    "all", "her", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "no", "more", "if",
    "out", "so", "up", "said", "what", "its", "about", "than", "into", "them", "can", "only", "other", "time", "new", "some",
    "could", "these", "two", "may", "first", "then", "do", "any", "like", "my", "now", "over", "such", "our", "man", "me",
    "even", "most", "made", "after", "also", "did", "many", "off", "before", "must", "well", "back", "through", "years", "much", "where",
    "your", "way", "down", "should", "because", "long", "each", "just", "state", "those", "people", "too", "how", "little", "good", "world",
    "make", "very", "year", "still", "see", "work", "life", "men", "day", "get", "here", "both", "between", "under", "last", "never"};
inline constexpr std::uint64_t word_count = sizeof(words) / sizeof(words[0]);
static_assert(word_count == 128);

inline void append_ids(std::string& out, std::uint64_t value, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i, value /= id_count) {
    if (i != 0) out += ',';
    out += std::to_string(first_id + value % id_count);
  }
}

inline std::uint64_t hash_id(std::string_view id) {  // FNV-1a, then mixed: its low bits alone are weak
  std::uint64_t h = 0xcbf29ce484222325u;
  for (char c : id) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  h = stats::splitmix64(h).next();
  return h != 0 ? h : 1;
}

// What is wrong with a line. `where` is a view into it: its place is the column.
inline error bad_line(std::string_view line, std::string_view where, std::string what) {
  error e{.code = errc::malformed, .detail = std::move(what)};
  e.column = where.data() != nullptr ? static_cast<std::uint64_t>(where.data() - line.data()) + 1 : 1;
  return e;
}

inline std::string shown(std::string_view raw) { return text::printable(raw, 40); }

// Digits only: 1e9, 2.5 and "100" are slips, whatever value they have.
inline result<std::int64_t> token_limit(std::string_view line, std::string_view name, std::string_view raw) {
  std::int64_t n = 0;
  if (!text::to_number(raw, n) || n < 1 || n > max_tokens_limit) {
    return bad_line(line, raw, std::string(name) + " is " + shown(raw) + ", want a whole number from 1 to " + std::to_string(max_tokens_limit));
  }
  return n;
}

// An array of token ids, at the reader's next value. False: something else is among them.
inline bool read_ids(json::reader& in, std::size_t& count, std::size_t& mark_begin, std::size_t& mark_end) {
  bool good = in.peek() == json::kind::array;
  mark_begin = in.offset() + 1;
  in.array([&] {
    std::int64_t id = 0;
    const bool is_id = in.peek() == json::kind::number && in.integer(id) && id >= 0 && id <= INT32_MAX;
    good = good && is_id;
    if (++count <= mark_ids) mark_end = in.offset();
  });
  return good;
}

inline void clear(workload_item& item) {
  item.prompt_json.clear();
  item.extra_json.clear();
  item.given_id.clear();
  item.prompt_text.clear();
  item.prompt_tokens_planned.reset();
  item.arrived.reset();
  item.prompt_bytes = 0;
  item.chat = false;
}
}  // namespace detail

HOTPATH_FN result<workload> workload::open(std::string_view what, workload_options options) {
  if (what == "synthetic" || what.starts_with("synthetic:")) return open_synthetic(what, options);
  workload w;
  w.options_ = options;
  w.description_ = what;
  auto lines = detail::line_reader::open(w.description_, options.line_limit);
  if (!lines) return lines.error();
  w.lines_ = std::move(*lines);
  if (w.lines_.size() == 0) return error{.code = errc::empty, .detail = "nothing to send: the file is empty", .source = w.description_};
  if (w.lines_.first_byte() == '[') {
    return error{.code = errc::malformed, .detail = "is one JSON array, want JSON lines: one object per line", .source = w.description_,
                 .hint = "convert it: jq -c '.[]'"};
  }
  return w;
}

HOTPATH_FN std::string_view workload::prompt_lengths() const {
  if (!synthetic_ && !trace_rows_) return "as given";
  return options_.prompt_ids ? "token ids" : "words (approximate)";
}

HOTPATH_FN result<bool> workload::next(workload_item& out) {
  if (synthetic_) {
    if (rows_ && row_ == *rows_) return false;
    make_synthetic(out);
  } else {
    auto more = next_line(out);
    if (!more || !*more) return more;
  }
  out.row = row_++;
  out.pass = pass_;
  ++sequence_;
  return true;
}

HOTPATH_FN result<void> workload::rewind() {
  if (!synthetic_) {
    if (auto ok = lines_.rewind(); !ok) return ok;
  }
  ++pass_;
  row_ = 0;
  return {};
}

// ---- files

HOTPATH_FN void workload::note_problem(const error& e) {
  if (pass_ != 0) return;
  if (e.code == errc::over_limit) ++lost_.over_limit;
  else if (e.code == errc::io) ++lost_.truncated;
  else ++lost_.malformed;
  if (problems_.size() < detail::problems_kept) problems_.push_back(e.message());
}

HOTPATH_FN result<bool> workload::next_line(workload_item& out) {
  detail::line_reader::line line;
  for (;;) {
    auto more = lines_.next(line);
    if (!more) return more;
    if (!*more) break;
    error bad;
    if (line.over_limit) {
      bad = {.code = errc::over_limit, .detail = "the line is longer than " + std::to_string(options_.line_limit) + " bytes"};
    } else {
      const std::size_t begin = line.text.find_first_not_of(" \t");
      if (begin == std::string_view::npos || line.text[begin] == '#') continue;
      mark where;
      auto item = parse(line.text, out, where);
      if (item) {
        if (!*item) continue;
        if (pass_ != 0 && !options_.reuse_prompts) put_mark(out, where);
        return true;
      }
      bad = std::move(item).error();
    }
    bad.source = description_;
    bad.line = line.number;
    bad.has_byte = false;
    if (options_.strict) return bad;
    note_problem(bad);
  }
  if (pass_ == 0) {
    rows_ = row_;
    if (lines_.shrunk()) note_problem({.code = errc::io, .detail = "the file became shorter while it was read", .source = description_});
    if (row_ == 0) {
      error e{.code = errc::empty, .detail = "nothing to send: no line holds a request", .source = description_};
      if (lost_.total() != 0) e.detail += ", " + std::to_string(lost_.total()) + " are bad; the first: " + problems_.front();
      return e;
    }
  }
  return false;
}

HOTPATH_FN result<bool> workload::parse(std::string_view line, workload_item& out, mark& where) {
  std::string_view prompt_raw, messages_raw, conversations, limit, id, hint, timestamp;
  std::string_view limit_name;
  trace_row row;
  detail::clear(out);  // of the line before too, which may have been bad half-way
  out.max_tokens = options_.default_max_tokens;
  reader_.reset(line);
  const bool object = reader_.object([&](std::string_view key) {
    if (key == "prompt") {
      reader_.raw(prompt_raw);
    } else if (key == "messages") {
      reader_.raw(messages_raw);
    } else if (key == "conversations") {
      reader_.raw(conversations);
    } else if (key == "max_tokens" || key == "max_completion_tokens" || key == "output_tokens") {
      limit_name = key == "max_tokens" ? "max_tokens" : key == "output_tokens" ? "output_tokens" : "max_completion_tokens";
      reader_.raw(limit);
    } else if (key == "id" || key == "request_id" || key == "custom_id") {
      reader_.raw(id);
    } else if (key == "input_length" || key == "output_length") {
      std::int64_t n = -1;
      if (!reader_.integer(n) || n < 0) n = -1;
      (key == "input_length" ? row.input : row.output) = n;
    } else if (key == "hash_ids") {
      reader_.raw(row.hash_ids);
    } else if (key == "timestamp") {
      reader_.raw(timestamp);
    } else if (key != "stream" && key != "stream_options") {
      if (key == "body") hint = "; its request seems to be inside \"body\": jq -c '.body'";
      std::string_view raw;
      if (!options_.forward_unknown || !reader_.raw(raw)) return;
      out.extra_json += ',';
      json::writer{out.extra_json}.value(key);
      out.extra_json.append(":").append(raw);
    }
  });
  if (!reader_.finish()) return reader_.failure();
  if (!object) return detail::bad_line(line, {}, "not a JSON object");
  if (!limit.empty() && limit != "null") {
    auto n = detail::token_limit(line, limit_name, limit);
    if (!n) return n.error();
    out.max_tokens = *n;
  }
  if (!id.empty() && id != "null") {
    json::reader in{id};
    std::string_view s;
    std::int64_t n = 0;
    if (in.peek() == json::kind::string && in.string(s)) out.given_id = s;
    else if (in.peek() == json::kind::number && text::to_number(id, n)) out.given_id = id;
    else return detail::bad_line(line, id, "the id is " + detail::shown(id) + ", want a string or a whole number");
  }
  if (!timestamp.empty() && timestamp != "null") {
    json::reader in{timestamp};
    double ms = 0;
    if (!in.number(ms) || !(ms >= 0) || ms > 9e12) return detail::bad_line(line, timestamp, "timestamp is " + detail::shown(timestamp) + ", want milliseconds");
    out.arrived = nanoseconds{static_cast<std::int64_t>(ms * 1e6 + 0.5)};
  }
  if (!prompt_raw.empty() && !messages_raw.empty()) return detail::bad_line(line, messages_raw, "both \"prompt\" and \"messages\"");
  result<bool> empty = false;
  if (!prompt_raw.empty()) {
    empty = prompt(line, prompt_raw, out, where);
  } else if (!messages_raw.empty()) {
    empty = messages(line, messages_raw, out, where);
  } else if (!conversations.empty()) {
    std::string_view first;
    json::reader in{conversations};
    in.array([&] {
      std::string from;
      std::string_view s, value;
      in.object([&](std::string_view key) {
        if ((key == "from" || key == "role") && in.peek() == json::kind::string && in.string(s)) from = s;
        else if ((key == "value" || key == "content") && in.peek() == json::kind::string) in.raw(value);
      });
      if (first.empty() && (from == "human" || from == "user")) first = value;
    });
    if (first.empty()) return detail::bad_line(line, conversations, "\"conversations\" has no text from \"human\" or \"user\"");
    empty = prompt(line, first, out, where);
  } else if (row.input) {
    if (auto made = make_trace_prompt(line, row, out); !made) return made.error();
    where.own = true;
    trace_rows_ = true;
  } else {
    return detail::bad_line(line, {}, "neither \"prompt\" nor \"messages\"" + std::string(hint));
  }
  if (!empty) return empty;
  if (*empty) {
    if (pass_ == 0) ++empty_;
    if (options_.skip_empty) return false;
  }
  if (!out.given_id.empty() && pass_ == 0) note_id(out.given_id);
  return true;
}

// True: the prompt is empty.
HOTPATH_FN result<bool> workload::prompt(std::string_view line, std::string_view raw, workload_item& out, mark& where) const {
  json::reader in{raw};
  std::string_view text = raw, s;
  std::size_t elements = 0, ids = 0, mark_begin = 0, mark_end = 0;
  bool good = true, is_text = in.peek() == json::kind::string;
  if (!is_text && in.peek() == json::kind::array) {
    // [ids], or an array with one element: "text" or [ids]. More elements would be several requests.
    json::kind first = json::kind::end;
    json::reader look{raw};
    look.array([&] {
      if (elements++ != 0) return;
      first = look.peek();
      if (first == json::kind::string) look.raw(text);
    });
    is_text = first == json::kind::string;
    if (first == json::kind::number || first == json::kind::end) good = detail::read_ids(in, ids, mark_begin, mark_end);
    else if (elements > 1) return detail::bad_line(line, raw, "\"prompt\" has " + std::to_string(elements) + " prompts, want one per line");
    else if (first == json::kind::array) in.array([&] { good = detail::read_ids(in, ids, mark_begin, mark_end); });
    else good = is_text;
  } else {
    good = is_text;
  }
  if (!good) return detail::bad_line(line, raw, "\"prompt\" is " + detail::shown(raw) + ", want a string or an array of token ids (0 to 2147483647)");
  if (is_text) {
    json::reader decode{text};
    decode.string(s);
    out.prompt_bytes = s.size();
    if (options_.keep_text) out.prompt_text = s;
    where = {.at = static_cast<std::size_t>(text.data() - raw.data()) + 1, .there = true};
  } else {
    out.prompt_tokens_planned = static_cast<std::int64_t>(ids);
    where = {.at = mark_begin, .size = ids != 0 ? mark_end - mark_begin : 0, .ids = (std::min)(ids, detail::mark_ids), .there = ids != 0};
  }
  if (options_.chat.value_or(false)) {
    if (!is_text) return detail::bad_line(line, raw, "token ids cannot be sent to the chat API");
    constexpr std::string_view before = R"([{"role":"user","content":)";
    out.chat = true;
    out.prompt_json.append(before).append(text).append("}]");
    where.at = before.size() + 1;
  } else {
    out.prompt_json = raw;
  }
  return is_text ? s.empty() : ids == 0;
}

// True: there is no message.
HOTPATH_FN result<bool> workload::messages(std::string_view line, std::string_view raw, workload_item& out, mark& where) const {
  if (!options_.chat.value_or(true)) return detail::bad_line(line, raw, "\"messages\" cannot be sent to the completions API");
  json::reader in{raw};
  bool good = in.peek() == json::kind::array;
  std::size_t count = 0;
  const auto text = [&] {
    const std::size_t at = in.offset() + 1;
    std::string_view s;
    if (!in.string(s)) return;
    if (!where.there) where = {.at = at, .there = true};
    if (options_.keep_text) {
      if (!out.prompt_text.empty()) out.prompt_text += '\n';
      out.prompt_text += s;
    }
    out.prompt_bytes += s.size();
  };
  in.array([&] {
    ++count;
    good = good && in.peek() == json::kind::object;
    in.object([&](std::string_view key) {
      if (key != "content") return;
      if (in.peek() == json::kind::string) return text();
      in.array([&] {  // parts: {"type":"text","text":"…"}; images and the like go as they are
        in.object([&](std::string_view part) {
          if (part == "text" && in.peek() == json::kind::string) text();
        });
      });
    });
  });
  if (!good) return detail::bad_line(line, raw, "\"messages\" is " + detail::shown(raw) + ", want an array of objects");
  out.chat = true;
  out.prompt_json = raw;
  return count == 0;
}

HOTPATH_FN void workload::put_mark(workload_item& out, const mark& where) {
  if (where.own) return;
  if (!where.there) {
    ++unmarked_;
    return;
  }
  // splitmix64 is a bijection: no two requests of a run share a mark.
  std::uint64_t value = stats::splitmix64(options_.seed + sequence_).next();
  std::string text;
  if (where.ids != 0) {
    detail::append_ids(text, value, where.ids);
  } else {
    for (int i = 0; i < 16; ++i, value >>= 4) text += "0123456789abcdef"[value & 15];
    text += ' ';
    out.prompt_bytes += text.size();
    if (options_.keep_text) out.prompt_text.insert(0, text);
  }
  out.prompt_json.replace(where.at, where.size, text);
}

HOTPATH_FN void workload::note_id(std::string_view id) {
  const std::uint64_t h = detail::hash_id(id);
  if (ids_.contains(h)) ++duplicate_ids_;
  else if (ids_.size() < detail::distinct_ids_kept) ids_.insert(h);
}

// ---- synthetic

HOTPATH_FN result<workload> workload::open_synthetic(std::string_view what, workload_options options) {
  workload w;
  w.synthetic_ = true;
  const auto usage = [&](std::string detail) {
    return error{.code = errc::usage, .detail = std::move(detail), .source = text::printable(what, 200),
                 .hint = "want synthetic:input=512,output=128,requests=1000,dist=constant|uniform|lognormal,seed=1"};
  };
  if (options.prompt_ids && options.chat.value_or(false)) return usage("token ids cannot be sent to the chat API");
  std::string_view rest = what.substr((std::min<std::size_t>)(what.size(), std::string_view("synthetic:").size()));
  std::uint64_t requests = 0;
  struct key { std::string_view name; std::uint64_t* value; std::uint64_t lowest, highest; bool seen = false; };
  key keys[] = {{"input", &w.input_, 1, detail::synthetic_input_limit},
                {"output", &w.output_, 1, static_cast<std::uint64_t>(detail::max_tokens_limit)},
                {"requests", &requests, 1, 1'000'000'000'000},
                {"seed", &options.seed, 0, UINT64_MAX},
                {"dist", nullptr, 0, 0}};
  while (!rest.empty()) {
    std::string_view value = text::take(rest, ',');
    const std::string_view name = text::take(value, '=');
    key* const k = std::find_if(std::begin(keys), std::end(keys), [&](const key& one) { return one.name == name; });
    if (k == std::end(keys)) return usage("unknown key \"" + text::printable(name, 40) + "\"");
    if (k->seen) return usage("key " + std::string(name) + " appears twice");
    k->seen = true;
    if (k->value != nullptr) {
      auto n = text::parse_number<std::uint64_t>(value, k->lowest, k->highest);
      if (!n) return usage(std::string(name) + ": " + n.error().detail);
      *k->value = *n;
    } else if (value == "uniform") {
      w.spread_ = spread::uniform;
    } else if (value == "lognormal") {
      w.spread_ = spread::lognormal;
    } else if (value != "constant") {
      return usage("dist: \"" + text::printable(value, 40) + "\", want constant, uniform or lognormal");
    }
  }
  if (requests != 0) w.rows_ = requests;
  w.options_ = options;
  constexpr std::string_view dists[] = {"constant", "uniform", "lognormal"};
  w.description_ = "synthetic:input=" + std::to_string(w.input_) + ",output=" + std::to_string(w.output_);
  if (requests != 0) w.description_ += ",requests=" + std::to_string(requests);
  w.description_.append(",dist=").append(dists[static_cast<std::size_t>(w.spread_)]).append(",seed=").append(std::to_string(options.seed));
  return w;
}

HOTPATH_FN void workload::make_synthetic(workload_item& out) const {
  detail::clear(out);
  // A generator per request: request k is the same whoever made the ones before it.
  stats::xoshiro256 random{stats::splitmix64(options_.seed).next() + sequence_};
  const auto length = [&](std::uint64_t mean) {
    if (spread_ == spread::uniform) return mean - mean / 2 + random.below(mean / 2 * 2 + 1);
    if (spread_ == spread::constant) return mean;
    constexpr double sigma = 0.5;  // E[exp(N(m, s))] = exp(m + s^2/2)
    const double x = static_cast<double>(mean);
    const double drawn = x * std::exp(sigma * random.normal() - sigma * sigma / 2);
    return static_cast<std::uint64_t>(std::clamp(drawn, 1.0, 8 * x) + 0.5);
  };
  const std::uint64_t input = length(input_);
  out.max_tokens = static_cast<std::int64_t>((std::min<std::uint64_t>)(length(output_), static_cast<std::uint64_t>(detail::max_tokens_limit)));
  out.prompt_tokens_planned = static_cast<std::int64_t>(input);
  if (options_.reuse_prompts) random = stats::xoshiro256{options_.seed};
  begin_prompt(out, input);
  add_to_prompt(out, random, input);
  end_prompt(out);
}

// ---- rows of arrival traces

// Lengths and prefix blocks of the row, scaled. Blocks have 512 tokens in Mooncake's traces and 16 in Bailian's; the row tells
// which: n ids cover its length. Equal ids at equal places are equal text, whatever the row.
HOTPATH_FN result<void> workload::make_trace_prompt(std::string_view line, const trace_row& row, workload_item& out) const {
  if (*row.input < 0 || *row.input > static_cast<std::int64_t>(detail::synthetic_input_limit) || row.output.value_or(0) < 0 || row.output.value_or(0) > detail::max_tokens_limit)
    return detail::bad_line(line, {}, "input_length wants a whole number up to " + std::to_string(detail::synthetic_input_limit) + ", output_length up to " + std::to_string(detail::max_tokens_limit));
  std::size_t ids = 0;
  bool good = true;
  std::int64_t id = 0;
  if (!row.hash_ids.empty()) {
    json::reader in{row.hash_ids};
    good = in.array([&] { good = in.integer(id) && good, ++ids; }) && good;
  }
  if (!good) return detail::bad_line(line, row.hash_ids, "hash_ids is " + detail::shown(row.hash_ids) + ", want an array of whole numbers");
  const auto scaled = [&](double tokens) { return static_cast<std::uint64_t>(tokens * options_.input_scale + 0.5); };
  const auto length = static_cast<std::uint64_t>(*row.input);
  const std::uint64_t wanted = std::clamp<std::uint64_t>(scaled(static_cast<double>(length)), 1, detail::synthetic_input_limit);
  std::uint64_t block = ids == 0 ? length : (length + ids - 1) / ids;
  for (const std::uint64_t usual : {std::uint64_t{512}, std::uint64_t{16}})
    if (ids != 0 && (length + usual - 1) / usual == ids) block = usual;

  if (row.output)
    out.max_tokens = (std::max<std::int64_t>)(1, static_cast<std::int64_t>(static_cast<double>(*row.output) * options_.output_scale + 0.5));
  out.prompt_tokens_planned = static_cast<std::int64_t>(wanted);
  begin_prompt(out, wanted);
  const std::uint64_t pass_seed = stats::splitmix64(options_.seed).next() + (options_.reuse_prompts ? 0 : pass_);
  std::uint64_t made = 0, k = 0;
  const auto add = [&](std::uint64_t of, std::uint64_t until) {
    stats::xoshiro256 random{stats::splitmix64(pass_seed ^ stats::splitmix64(of).next()).next()};
    until = (std::min)(until, wanted);
    if (until > made) add_to_prompt(out, random, until - made), made = until;
  };
  json::reader in{row.hash_ids.empty() ? std::string_view("[]") : row.hash_ids};
  in.array([&] { in.integer(id), add(static_cast<std::uint64_t>(id), scaled(static_cast<double>(++k * block))); });
  add(detail::hash_id(std::to_string(row_)), wanted);  // what no id covers is this row's own
  end_prompt(out);
  return {};
}

HOTPATH_FN void workload::begin_prompt(workload_item& out, std::uint64_t tokens) const {
  out.chat = options_.chat.value_or(false) && !options_.prompt_ids;
  if (options_.prompt_ids) out.prompt_json.reserve(static_cast<std::size_t>(tokens) * 4 + 1);
  out.prompt_json = options_.prompt_ids ? "[" : out.chat ? R"([{"role":"user","content":")" : "\"";
}

HOTPATH_FN void workload::add_to_prompt(workload_item& out, stats::xoshiro256& random, std::uint64_t tokens) const {
  std::string& json = out.prompt_json;
  const std::size_t before = json.size();
  bool first = json.back() == '[' || json.back() == '"';
  for (std::uint64_t i = 0; i < tokens; ++i, first = false) {
    if (options_.prompt_ids) {
      const auto id = static_cast<unsigned>(detail::first_id + random.below(detail::id_count));
      const char text[] = {',', static_cast<char>('0' + id / 100), static_cast<char>('0' + id / 10 % 10), static_cast<char>('0' + id % 10)};
      json.append(text + (first ? 1 : 0), sizeof text - (first ? 1 : 0));
    } else {
      if (!first) json += ' ';
      json += detail::words[random.below(detail::word_count)];
    }
  }
  if (options_.prompt_ids) return;
  out.prompt_bytes += json.size() - before;
  if (options_.keep_text) out.prompt_text.append(json, before);
}

HOTPATH_FN void workload::end_prompt(workload_item& out) const { out.prompt_json += options_.prompt_ids ? "]" : out.chat ? "\"}]" : "\""; }

// ---- what `traffic` prints and writes

HOTPATH_FN void append_jsonl(std::string& out, const workload_item& item) {
  out.append(item.chat ? "{\"messages\":" : "{\"prompt\":").append(item.prompt_json);
  if (item.max_tokens) out.append(",\"max_tokens\":").append(std::to_string(*item.max_tokens));
  out += item.extra_json;
  if (item.arrived) {
    out += ",\"timestamp\":";
    json::writer{out}.value(item.arrived->ms());
  }
  if (!item.given_id.empty()) {
    out += ",\"id\":";
    json::writer{out}.value(item.given_id);
  }
  out += "}\n";
}

HOTPATH_FN result<workload_summary> summarize(workload& load, std::uint64_t limit) {
  workload_summary s;
  if (limit == 0 && load.endless()) {
    return error{.code = errc::usage, .detail = "has no end", .source = load.description(), .hint = "add requests=N to it"};
  }
  workload_item item;
  while (limit == 0 || s.requests < limit) {
    const auto more = load.next(item);
    if (!more) return more.error();
    if (!*more) break;
    ++s.requests;
    if (item.chat) ++s.chats;
    if (!item.given_id.empty()) ++s.with_id;
    if (item.prompt_tokens_planned) s.prompt_tokens.add(static_cast<std::uint64_t>(*item.prompt_tokens_planned));
    if (item.prompt_bytes != 0 || !item.prompt_tokens_planned) s.prompt_bytes.add(item.prompt_bytes);
    if (item.max_tokens) s.max_tokens.add(static_cast<std::uint64_t>(*item.max_tokens));
  }
  s.duplicate_ids = load.duplicate_ids();
  s.empty_prompts = load.empty_prompts();
  s.lost = load.lost();
  return s;
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
