// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/server_args-inl.hpp - bodies of kernel/server_args.hpp.
#pragma once
#include <utility>
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/server_args.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace detail {

class args_reader {
 public:
  args_reader(server_args& out, const args_limits& l) : out_(out), limits_(l) {}

  void object(json::reader& in, const std::string& prefix) {
    in.object([&](std::string_view key) {
      std::string name = prefix;
      if (!name.empty()) name += '.';
      name += text::printable(key, 256);
      value(in, name);
    });
  }
  bool full() const { return full_; }

 private:
  void value(json::reader& in, const std::string& name) {
    if (full_) return;                                  // the reader skips it
    const auto kind = in.peek();
    if (kind == json::kind::object) return object(in, name);
    if (kind == json::kind::array) return array(in, name);
    std::string_view v;
    if (kind == json::kind::string) {
      if (!in.string(v)) return;
      if (!v.empty() && v.front() == '{' && nested(v, name)) return;
    } else if (!in.raw(v)) {
      return;
    }
    add(name, v);
  }

  void array(json::reader& in, const std::string& name) {
    std::string_view raw;
    if (!in.raw(raw)) return;
    bool objects = false;                               // only then the elements are facts of their own
    json::reader first(raw, json::mode::tolerant_text, {.depth = limits_.depth});
    first.array([&] { objects = objects || first.peek() == json::kind::object; });
    if (!objects) return add(name, raw);
    json::reader again(raw, json::mode::tolerant_text, {.depth = limits_.depth});
    std::size_t i = 0;
    again.array([&] {
      std::string element = name;
      element.append(".").append(std::to_string(i++));
      value(again, element);
    });
  }

  // A text that holds an object: arguments as the command line had them. False: it is a text like any other.
  bool nested(std::string_view v, const std::string& name) {
    if (depth_ == 2) return false;
    const std::string copy(v);                          // the view ends with the next text that is read
    const std::size_t before = out_.size();
    json::reader in(copy, json::mode::tolerant_text, {.depth = limits_.depth});
    ++depth_;
    object(in, name);
    --depth_;
    if (in.finish() && out_.size() != before) return true;
    out_.resize(before);
    return false;
  }

  void add(const std::string& name, std::string_view v) {
    if (out_.size() >= limits_.facts) {
      full_ = true;
      return;
    }
    const auto dot = name.rfind('.');
    const std::string_view last = dot == std::string::npos ? std::string_view(name) : std::string_view(name).substr(dot + 1);
    out_.push_back({name, text::is_secret_name(last) ? std::string(text::redacted) : text::repair_utf8(v.substr(0, limits_.value))});
  }

  server_args& out_;
  const args_limits& limits_;
  unsigned depth_ = 0;
  bool full_ = false;
};

constexpr char arg_letter(char c) { return c == '-' ? '_' : text::to_lower(c); }
inline bool same_arg(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (arg_letter(a[i]) != arg_letter(b[i])) return false;
  return true;
}

// Names of one thing in the arguments of SGLang, vLLM, TensorRT-LLM and TokenSpeed.
inline constexpr std::string_view tensor_parallel_names[] = {"tp_size", "tensor_parallel_size", "attn_tp_size", "dense_tp_size", "moe_tp_size", "tp"};
inline constexpr std::string_view model_names[] = {"model_path", "model", "served_model_name", "model_name", "hf_model_dir"};
// SGLang's multimodal server says one of these when it does not run the model itself.
inline constexpr std::string_view wrong_backend_words[] = {"Falling back to diffusers backend", "Using diffusers backend", "Loaded diffusers pipeline"};

}  // namespace detail

HOTPATH_FN result<server_args> parse_server_args(std::string_view json, args_limits limits) {
  if (json.size() > limits.bytes)
    return error{.code = errc::over_limit, .detail = "server arguments of " + std::to_string(json.size()) + " bytes, want at most " + std::to_string(limits.bytes)};
  json::reader in(json, json::mode::tolerant_text, {.depth = limits.depth});
  const auto kind = in.peek();
  if (in.ok() && kind != json::kind::object)
    return error{.code = errc::malformed, .detail = kind == json::kind::end ? "is empty, want a JSON object of server arguments" : "is no JSON object of server arguments"};
  server_args out;
  detail::args_reader reader(out, limits);
  reader.object(in, {});
  if (!in.finish()) return in.failure();
  if (reader.full()) return error{.code = errc::over_limit, .detail = "more than " + std::to_string(limits.facts) + " server arguments"};
  return out;
}

HOTPATH_FN const std::string* find_arg(const server_args& args, std::string_view key) {
  const std::string* nested = nullptr;
  for (const auto& fact : args) {
    if (detail::same_arg(fact.key, key)) return &fact.value;
    const auto dot = fact.key.size() > key.size() ? fact.key.size() - key.size() : 0;
    if (nested == nullptr && dot != 0 && fact.key[dot - 1] == '.' && detail::same_arg(std::string_view(fact.key).substr(dot), key)) nested = &fact.value;
  }
  return nested;
}

HOTPATH_FN flag_state flag_of(const server_args& args, std::string_view key) {
  const std::string* const v = find_arg(args, key);
  if (v == nullptr) return flag_state::unknown;
  for (const std::string_view off : {"", "0", "0.0", "false", "null", "none", "off", "disabled"})
    if (text::equal_ignoring_case(*v, off)) return flag_state::off;
  return flag_state::on;
}

HOTPATH_FN std::optional<int> tensor_parallel_size(const server_args& args) {
  std::optional<int> most;
  for (const std::string_view name : detail::tensor_parallel_names) {
    const std::string* const v = find_arg(args, name);
    std::int64_t n = 0;
    if (v != nullptr && text::to_number(*v, n) && n > 0 && n < 1'000'000 && n > most.value_or(0)) most = static_cast<int>(n);
  }
  return most;
}

HOTPATH_FN std::string model_of(const server_args& args) {
  for (const std::string_view name : detail::model_names)
    if (const std::string* const v = find_arg(args, name); v != nullptr && !v->empty() && *v != "null") return *v;
  return {};
}

HOTPATH_FN std::optional<wrong_backend> find_wrong_backend(std::string_view log) {
  std::size_t first = std::string_view::npos;
  std::string_view words;
  for (const std::string_view w : detail::wrong_backend_words)
    if (const auto at = log.substr(0, first).find(w); at != std::string_view::npos) first = at, words = w;
  if (words.empty()) return {};
  std::uint64_t line = 1;
  for (const char c : log.substr(0, first)) line += c == '\n';
  return wrong_backend{line, words};
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
