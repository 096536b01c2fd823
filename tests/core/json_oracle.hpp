// SPDX-License-Identifier: Apache-2.0
// tests/core/json_oracle.hpp - hotpath::json::reader against nlohmann's SAX parser: same texts accepted, same values in the same
//   order. Used by the mutation test and the fuzz target, so that both ask for the same thing.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <nlohmann/json.hpp>
#include <hotpath/core/json.hpp>

namespace hotpath_test {

namespace json = hotpath::json;

// What a document says, flat: one letter per event, strings with their length, numbers as their eight bytes.
struct event_log {
  std::string bytes;
  bool merge_whole = false;  // 1.0 is the same as 1

  void mark(char c) { bytes.push_back(c); }
  void text(char c, std::string_view s) {
    mark(c);
    word(s.size());
    bytes.append(s);
  }
  void integer(std::int64_t v) {
    mark('i');
    word(static_cast<std::uint64_t>(v));
  }
  void number(double v) {
    if (merge_whole && v >= -0x1p63 && v < 0x1p63 && v == static_cast<double>(static_cast<std::int64_t>(v)) && (v != 0 || !std::signbit(v)))
      return integer(static_cast<std::int64_t>(v));
    mark('d');
    word(std::bit_cast<std::uint64_t>(v));
  }

 private:
  void word(std::uint64_t v) {
    char b[8];
    std::memcpy(b, &v, 8);
    bytes.append(b, 8);
  }
};

// nlohmann's events. Integers beyond int64 are numbers here, as in the reader.
class nlohmann_handler : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit nlohmann_handler(event_log& log) : log_(log) {}
  bool null() override { return log_.mark('n'), true; }
  bool boolean(bool v) override { return log_.mark(v ? 't' : 'f'), true; }
  bool number_integer(std::int64_t v) override { return log_.integer(v), true; }
  bool number_unsigned(std::uint64_t v) override {
    if (v <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) log_.integer(static_cast<std::int64_t>(v));
    else log_.number(static_cast<double>(v));
    return true;
  }
  bool number_float(double v, const std::string&) override { return log_.number(v), true; }
  bool string(std::string& v) override { return log_.text('s', v), true; }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return log_.mark('{'), true; }
  bool key(std::string& v) override { return log_.text('k', v), true; }
  bool end_object() override { return log_.mark('}'), true; }
  bool start_array(std::size_t) override { return log_.mark('['), true; }
  bool end_array() override { return log_.mark(']'), true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  event_log& log_;
};

inline bool nlohmann_events(std::string_view text, event_log& log) {
  nlohmann_handler handler(log);
  return nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

// The value at the reader, read with the function for its kind. `wrong` collects what contradicts itself.
inline void read_value(json::reader& in, event_log& log, std::string& wrong) {
  switch (in.peek()) {
    case json::kind::object:
      log.mark('{');
      in.object([&](std::string_view key) {
        const std::string copy(key);
        log.text('k', key);
        read_value(in, log, wrong);
        if (key != copy) wrong = "the key changed while its value was read";
      });
      log.mark('}');
      break;
    case json::kind::array:
      log.mark('[');
      in.array([&] { read_value(in, log, wrong); });
      log.mark(']');
      break;
    case json::kind::string: {
      std::string_view v;
      if (in.string(v)) log.text('s', v);
      break;
    }
    case json::kind::number: {
      std::string_view text;
      if (!in.raw(text)) break;
      json::reader as_integer(text), as_number(text);
      std::int64_t i = 0;
      double d = 0;
      const bool whole = as_integer.integer(i);
      if (!as_number.number(d)) wrong = "number() refuses what skip() accepts";
      if (!as_integer.ok() || !as_integer.finish() || !as_number.finish()) wrong = "a number ends elsewhere for integer() or number()";
      if (whole && static_cast<double>(i) != d) wrong = "integer() and number() differ";
      if (whole && text.find_first_of(".eE") == std::string_view::npos) log.integer(i);
      else log.number(d);
      break;
    }
    case json::kind::boolean: {
      bool v = false;
      if (in.boolean(v)) log.mark(v ? 't' : 'f');
      break;
    }
    case json::kind::null:
      if (in.null()) log.mark('n');
      break;
    case json::kind::end:
    case json::kind::error:
      if (in.skip()) wrong = "skip() accepts what peek() calls no value";
      break;
  }
}

// Reads with wrong types, leaves members unread, copies raw text: whatever the caller does, the verdict must be the same.
inline void read_carelessly(json::reader& in, std::uint64_t& dice) {
  dice = dice * 6364136223846793005u + 1442695040888963407u;
  std::string_view s;
  std::int64_t i;
  double d;
  bool b;
  switch (dice >> 60) {
    case 0: in.string(s); break;
    case 1: in.integer(i); break;
    case 2: in.number(d); break;
    case 3: in.boolean(b); break;
    case 4: in.null(); break;
    case 5: in.skip(); break;
    case 6: in.raw(s); break;
    case 7: break;
    case 8: case 9: case 10: case 11: in.object([&](std::string_view) { read_carelessly(in, dice); }); break;
    default: in.array([&] { read_carelessly(in, dice); }); break;
  }
}

struct comparison {
  bool accepted = false;    // by both
  bool over_limit = false;  // refused by our limits, which nlohmann does not have
  std::string difference;   // empty: none
};

inline comparison compare_with_nlohmann(std::string_view text) {
  comparison c;
  event_log theirs, ours, tolerant_log;
  const bool accepted = nlohmann_events(text, theirs);

  json::reader in(text);
  read_value(in, ours, c.difference);
  const bool read = in.finish();
  if (!c.difference.empty()) return c;
  if (!read && in.failure().code == hotpath::errc::over_limit) {
    c.over_limit = true;
    return c;
  }
  if (read != accepted) c.difference = accepted ? "nlohmann accepts, we refuse: " + in.failure().message() : "we accept, nlohmann refuses";
  else if (read && ours.bytes != theirs.bytes) c.difference = "values differ";
  if (!c.difference.empty()) return c;
  c.accepted = accepted;

  json::reader skipper(text);
  skipper.skip();
  if (skipper.finish() != read) c.difference = "skip() and the reading functions disagree";
  else if (!read && skipper.failure().message() != in.failure().message())
    c.difference = "skip() says " + skipper.failure().message() + ", reading says " + in.failure().message();

  std::uint64_t dice = text.size();
  json::reader careless(text);
  if (careless.peek() != json::kind::end) {
    const std::size_t before = careless.offset();
    read_carelessly(careless, dice);
    if (careless.ok() && careless.offset() == before) careless.skip();
    if (careless.finish() != read) c.difference = "the verdict depends on which functions read";
  }

  json::reader tolerant(text, json::mode::tolerant_text);
  read_value(tolerant, tolerant_log, c.difference);
  const bool tolerated = tolerant.finish();
  if (read && (!tolerated || tolerant.repaired() != 0 || tolerant_log.bytes != ours.bytes)) c.difference = "tolerant_text differs on valid text";
  if (!read && tolerated && tolerant.repaired() == 0) c.difference = "tolerant_text repairs without counting";
  return c;
}

// Writes what it reads; the result must be accepted by nlohmann whatever bytes the strings held.
inline void copy_value(json::reader& in, json::writer& out) {
  switch (in.peek()) {
    case json::kind::object:
      out.object_begin();
      in.object([&](std::string_view key) {
        out.key(key);
        copy_value(in, out);
      });
      out.object_end();
      break;
    case json::kind::array:
      out.array_begin();
      in.array([&] { copy_value(in, out); });
      out.array_end();
      break;
    case json::kind::string: {
      std::string_view v;
      in.string(v);
      out.value(v);
      break;
    }
    case json::kind::number: {
      std::string_view text;
      std::int64_t i = 0;
      double d = 0;
      in.raw(text);
      json::reader number(text);
      if (text.find_first_of(".eE") == std::string_view::npos && number.integer(i)) {
        out.value(i);
      } else {
        number.reset(text);
        number.number(d);
        out.value(d);
      }
      break;
    }
    case json::kind::boolean: {
      bool v = false;
      in.boolean(v);
      out.value(v);
      break;
    }
    default:
      in.null();
      out.null();
      break;
  }
}

}  // namespace hotpath_test
