// SPDX-License-Identifier: Apache-2.0
// api.hpp - the OpenAI API: what a body asks for, and how an answer is written, as a stream of events or whole.
#pragma once
#include <charconv>
#include <limits>
#include "engine.hpp"
#include "text.hpp"
#include <hotpath/core/json.hpp>

namespace server {

struct completion {
  bool chat = false, stream = false, usage = false, usage_in_each = false;
  request ask;
};

// Reads the members of a body; the first thing that is wrong is kept.
class body_reader {
 public:
  explicit body_reader(std::string_view body) : r_(body) {}

  json::reader& json() { return r_; }
  void wrong(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  const std::string& wrong() const { return wrong_; }

  bool null() { return r_.peek() == json::kind::null && r_.null(); }
  void flag(std::string_view name, bool& out) {
    if (!null() && !r_.boolean(out)) wrong(std::string(name) + " must be true or false");
  }
  template <class T>
  void whole(std::string_view name, std::int64_t least, T& out) {
    std::int64_t n = 0;
    if (null()) return;
    if (!r_.integer(n)) return wrong(std::string(name) + " must be a whole number");
    if (n < least || static_cast<std::uint64_t>(n) > std::numeric_limits<T>::max())
      return wrong(std::string(name) + " must be at least " + std::to_string(least) + ", got " + std::to_string(n));
    out = static_cast<T>(n);
  }
  void number(std::string_view name, int least, int most, double& out) {
    if (!null() && (!r_.number(out) || !(out >= least && out <= most)))
      wrong(std::string(name) + " must be a number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  void text(std::string_view name, std::string& out) {
    std::string_view s;
    if (null()) return;
    if (r_.string(s)) out = s;
    else wrong(std::string(name) + " must be a string");
  }
  // A string, token ids, or a list with one of either.
  void prompt(std::vector<kv::token>& out, bool inside = false) {
    std::string_view s;
    if (r_.peek() == json::kind::string) {
      if (r_.string(s)) encode(s, out);
      return;
    }
    std::size_t elements = 0, lists = 0;
    const bool list = r_.peek() == json::kind::array && r_.array([&] {
      ++elements;
      std::int64_t id = 0;
      if (r_.peek() == json::kind::number) {
        if (!r_.integer(id) || id < 0 || id > 0xffffffff) return wrong("token ids must be whole numbers, 0 or more");
        out.push_back(static_cast<kv::token>(id));
      } else if (++lists; inside || lists > 1) {
        wrong("only one prompt per request is supported");
      } else {
        prompt(out, true);
      }
    });
    if (!list || (lists != 0 && elements != lists)) wrong("prompt must be a string or a list of token ids");
  }
  void messages(std::vector<kv::token>& out) {
    if (r_.peek() != json::kind::array) return wrong("messages must be a list");
    r_.array([&] {
      std::string role = "user", content;
      const bool object = r_.object([&](std::string_view key) {
        std::string_view s;
        if (key == "role") text("role", role);
        else if (key == "content" && r_.peek() != json::kind::array) text("content", content);
        else if (key == "content") r_.array([&] { r_.object([&](std::string_view k) { if (k == "text" && r_.string(s)) content += s; }); });
      });
      if (!object) wrong("each message must be an object");
      encode_message(role, content, out);
    });
    out.push_back(assistant_says);
  }
  void stop(std::vector<std::string>& out) {
    const auto one = [&] { text("stop", out.emplace_back()); };
    if (null()) return;
    if (r_.peek() == json::kind::array) r_.array(one);
    else one();
    std::erase(out, "");
    if (out.size() > 16) wrong("stop has more than 16 strings");
  }

 private:
  json::reader r_;
  std::string wrong_;
};

// The body of /v1/completions or /v1/chat/completions; members that are not known are skipped.
// Errors: malformed (not JSON), usage (what is wrong with it), not_found (another model).
inline result<completion> read_completion(std::string_view body, bool chat, std::string_view served, const model_options& m, std::uint64_t default_seed) {
  completion c;
  c.chat = chat;
  sampling& how = c.ask.how;
  how.seed = default_seed;
  std::uint32_t max_tokens = 0, max_completion_tokens = 0;
  std::int64_t n = 1;
  std::string model;
  body_reader in{body};
  json::reader& r = in.json();
  const bool object = r.object([&](std::string_view key) {
    if (key == "model") in.text(key, model);
    else if (key == "prompt" && !chat) in.prompt(c.ask.prompt);
    else if (key == "messages" && chat) in.messages(c.ask.prompt);
    else if (key == "max_tokens") in.whole(key, 1, max_tokens);
    else if (key == "max_completion_tokens") in.whole(key, 1, max_completion_tokens);
    else if (key == "min_tokens") in.whole(key, 0, how.min_tokens);
    else if (key == "n") in.whole(key, 1, n);
    else if (key == "seed") in.whole(key, std::numeric_limits<std::int64_t>::min(), how.seed);
    else if (key == "temperature") in.number(key, 0, 2, how.temperature);
    else if (key == "ignore_eos") in.flag(key, how.ignore_eos);
    else if (key == "stop") in.stop(how.stop);
    else if (key == "stream") in.flag(key, c.stream);
    else if (key == "stream_options" && !in.null())
      r.object([&](std::string_view k) {
        if (k == "include_usage") in.flag(k, c.usage);
        else if (k == "continuous_usage_stats") in.flag(k, c.usage_in_each);
      });
  });
  if (!r.finish()) return error{.code = errc::malformed, .detail = "the body is not JSON: " + r.failure().message()};
  if (!object) in.wrong("the body must be a JSON object");
  if (n != 1) in.wrong("n must be 1: this server gives one answer per request");
  if (!in.wrong().empty()) return error{.code = errc::usage, .detail = in.wrong()};
  if (!model.empty() && model != served) return error{.code = errc::not_found, .detail = "the model `" + model + "` does not exist"};
  const auto room = static_cast<std::uint32_t>(m.max_len > c.ask.prompt.size() ? m.max_len - c.ask.prompt.size() : 1);
  how.max_tokens = max_completion_tokens != 0 ? max_completion_tokens : max_tokens != 0 ? max_tokens : chat ? room : std::min(room, 16u);
  return c;
}

inline std::string error_body(int status, std::string_view message) {
  std::string out;
  json::writer w{out};
  w.object_begin();
  w.key("error"), w.object_begin();
  w.member("message", message);
  w.member("type", status == 404 ? "NotFoundError" : status == 503 ? "ServiceUnavailableError" : "BadRequestError");
  w.key("param"), w.null();
  w.member("code", status);
  w.object_end(), w.object_end();
  return out;
}

// Writes one answer. Each output is one token, and one event, unless a stop string may be in the making: then text waits until it is known.
class reply {
 public:
  reply(const completion& asked, std::string id, std::string_view model, std::int64_t created) : asked_(asked), id_(std::move(id)), model_(model), created_(created) {
    for (const std::string& s : asked.ask.how.stop) hold_back_ = std::max(hold_back_, s.size() - 1);
    prompt_tokens_ = asked.ask.prompt.size();
  }

  // The events of one output, appended to `out`.
  void add_events(const output& o, std::string& out) {
    if (asked_.chat && !greeted_) event(out, "", true, finish::none);
    greeted_ = true;
    take(o);
    const std::size_t ready = done() ? text_.size() : text_.size() - std::min(hold_back_, text_.size() - sent_);
    if (ready > sent_ || done()) event(out, std::string_view{text_}.substr(sent_, ready - sent_), false, why_);
    sent_ = ready;
    if (!done()) return;
    if (asked_.usage) {
      out += "data: ";
      json::writer w{out};
      head(w, chunk());
      w.key("choices"), w.array_begin(), w.array_end();
      usage(w);
      w.object_end();
      out += "\n\n";
    }
    out += "data: [DONE]\n\n";
  }
  void take(const output& o) {
    if (o.why == finish::abort) return static_cast<void>(why_ = o.why);
    ++tokens_;
    cached_ = o.cached_tokens;
    if (o.has_token) text_ += static_cast<char>(o.token);
    text_.resize(text_.size() - o.cut);
    why_ = o.why;
  }
  bool done() const { return why_ != finish::none; }

  // The whole answer as one object, when done().
  std::string body() const {
    std::string out;
    json::writer w{out};
    head(w, asked_.chat ? "chat.completion" : "text_completion");
    w.key("choices"), w.array_begin(), w.object_begin();
    w.member("index", 0);
    if (asked_.chat) w.key("message"), w.object_begin(), w.member("role", "assistant"), w.member("content", text_), w.object_end();
    else w.member("text", text_);
    w.key("logprobs"), w.null();
    w.member("finish_reason", name(why_));
    w.object_end(), w.array_end();
    usage(w);
    w.object_end();
    return out;
  }

 private:
  const char* chunk() const { return asked_.chat ? "chat.completion.chunk" : "text_completion"; }
  static std::string_view name(finish f) { return finish_names[static_cast<std::size_t>(f)]; }
  void head(json::writer& w, std::string_view object) const {
    w.object_begin();
    w.member("id", id_), w.member("object", object), w.member("created", created_), w.member("model", model_);
  }
  void usage(json::writer& w) const {
    w.key("usage"), w.object_begin();
    w.member("prompt_tokens", prompt_tokens_), w.member("total_tokens", prompt_tokens_ + tokens_), w.member("completion_tokens", tokens_);
    w.key("prompt_tokens_details"), w.object_begin(), w.member("cached_tokens", cached_), w.object_end();
    w.object_end();
  }
  void event(std::string& out, std::string_view text, bool role, finish why) const {
    out += "data: ";
    json::writer w{out};
    head(w, chunk());
    w.key("choices"), w.array_begin(), w.object_begin();
    w.member("index", 0);
    if (asked_.chat) {
      w.key("delta"), w.object_begin();
      if (role) w.member("role", "assistant");
      w.member("content", text);
      w.object_end();
    } else {
      w.member("text", text);
    }
    w.key("logprobs"), w.null();
    w.key("finish_reason");
    if (why == finish::none) w.null();
    else w.value(name(why));
    w.object_end(), w.array_end();
    if (asked_.usage_in_each) usage(w);
    w.object_end();
    out += "\n\n";
  }
  const completion& asked_;
  std::string id_, model_, text_;
  std::int64_t created_;
  std::size_t sent_ = 0, hold_back_ = 0, prompt_tokens_ = 0;
  std::uint32_t tokens_ = 0, cached_ = 0;
  finish why_ = finish::none;
  bool greeted_ = false;
};

}  // namespace server
