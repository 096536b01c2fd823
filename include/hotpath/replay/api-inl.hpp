// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <hotpath/replay/api.hpp>

#include <algorithm>
#include <utility>
#include <vector>
#include <hotpath/core/text.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

HOTPATH_FN result<void> check(const body_options& options) {
  if (options.extra_body.empty()) return {};
  json::reader r{options.extra_body};
  const bool object = r.object([&](std::string_view) {});
  if (!r.finish()) return r.failure("extra body");
  if (!object) return error{.code = errc::usage, .detail = "the extra body must be a JSON object", .hint = "for example {\"temperature\": 0}"};
  return {};
}

HOTPATH_FN void write_body(std::string& out, const workload_item& item, const body_options& options) {
  // Members in order of first mention; a later mention replaces the value: ours, then the workload's, then the user's.
  std::vector<std::pair<std::string, std::string>> members;
  const auto set = [&](std::string_view key, std::string_view raw) {
    const auto it = std::find_if(members.begin(), members.end(), [&](const auto& m) { return m.first == key; });
    if (it != members.end()) it->second = raw;
    else members.emplace_back(key, raw);
  };
  const auto set_all = [&](std::string_view object) {
    json::reader r{object};
    r.object([&](std::string_view key) {
      const std::string name{key};
      std::string_view raw;
      if (r.raw(raw) && name != "stream") set(name, raw);
    });
  };
  std::string model;
  json::writer{model}.value(std::string_view{options.model});
  set("model", model);
  set(item.chat ? "messages" : "prompt", item.prompt_json);
  if (item.max_tokens) {
    const std::string n = std::to_string(*item.max_tokens);
    set("max_tokens", n);
    if (options.ignore_eos) {
      set("ignore_eos", "true");
      set("min_tokens", n);
    }
  }
  set("stream", "true");
  set("stream_options", R"({"include_usage":true})");
  if (!item.extra_json.empty()) set_all("{" + item.extra_json.substr(item.extra_json.find_first_not_of(", ")) + "}");
  if (!options.extra_body.empty()) set_all(options.extra_body);

  char separator = '{';
  for (const auto& [key, raw] : members) {
    out += std::exchange(separator, ',');
    json::writer{out}.value(std::string_view{key});
    out += ':';
    out += raw;
  }
  out += '}';
}

HOTPATH_FN void event_reader::content(std::string_view piece, model::content_kind kind, std::string* text) {
  if (piece.empty()) return;
  // An event with reasoning and answer counts as answer: it is the first output a reader sees.
  if (!facts_.content || kind == model::content_kind::text) facts_.kind = kind;
  facts_.content = true;
  if (text != nullptr && kind != model::content_kind::tool_call) *text += piece;
}

HOTPATH_FN void event_reader::delta(json::reader& r, std::string* text) {
  using model::content_kind;
  std::string_view s;
  r.object([&](std::string_view key) {
    if (key == "content") {
      if (r.string(s)) content(s, content_kind::text, text);
    } else if (key == "reasoning" || key == "reasoning_content") {
      if (r.string(s)) content(s, content_kind::reasoning, text);
    } else if (key == "tool_calls") {
      r.array([&] {
        r.object([&](std::string_view call) {
          if (call != "function") return;
          r.object([&](std::string_view part) {
            if ((part == "name" || part == "arguments") && r.string(s)) content(s, content_kind::tool_call, text);
          });
        });
      });
    }
  });
}

HOTPATH_FN void event_reader::choice(json::reader& r, std::string* text) {
  std::string_view s;
  r.object([&](std::string_view key) {
    if (key == "text") {
      if (r.string(s)) content(s, model::content_kind::text, text);
    } else if (key == "delta") {
      delta(r, text);
    } else if (key == "finish_reason") {
      if (r.string(s) && !s.empty()) {
        facts_.finish = true;
        finish_reason_ = s;
      }
    } else if (key == "token_ids") {
      r.array([&] { ++facts_.token_ids; });
    }
  });
}

HOTPATH_FN void event_reader::usage(json::reader& r) {
  const auto count = [&](std::optional<std::int64_t>& into) {
    if (std::int64_t n; r.integer(n) && n >= 0) into = n;
  };
  facts_.usage |= r.object([&](std::string_view key) {
    if (key == "prompt_tokens") count(facts_.prompt_tokens);
    else if (key == "completion_tokens") count(facts_.completion_tokens);
    else if (key == "prompt_tokens_details")
      r.object([&](std::string_view k) { if (k == "cached_tokens") count(facts_.cached_tokens); });
    else if (key == "completion_tokens_details")
      r.object([&](std::string_view k) { if (k == "reasoning_tokens") count(facts_.reasoning_tokens); });
  });
}

// {"message": …, "type": …, "code": …}, or a plain string; null is no error.
HOTPATH_FN void event_reader::error_object(json::reader& r) {
  std::string_view s;
  switch (r.peek()) {
    case json::kind::null: r.null(); return;
    case json::kind::string:
      r.string(s);
      message_ = s;
      break;
    default: r.object([&](std::string_view key) { if (key == "message" && r.string(s)) message_ = s; });
  }
  facts_.error = true;
}

HOTPATH_FN const event_facts& event_reader::read(std::string_view data, std::string* text) {
  facts_ = {};
  finish_reason_.clear();
  message_.clear();
  repaired_ = 0;
  if (data == "[DONE]") {
    facts_.done = true;
    return facts_;
  }
  json::reader r{data, json::mode::tolerant_text};
  bool flat_error = false;
  const bool object = r.object([&](std::string_view key) {
    std::string_view s;
    if (key == "choices") r.array([&] { choice(r, text); });
    else if (key == "usage") usage(r);
    else if (key == "error") error_object(r);
    else if (key == "object") flat_error |= r.string(s) && s == "error";  // older vLLM: {"object":"error","message":…}
    else if (key == "message" && r.string(s) && message_.empty()) message_ = s;
  });
  facts_.error |= flat_error;
  facts_.malformed = !r.finish() || !object;
  repaired_ = r.repaired();
  return facts_;
}

HOTPATH_FN const event_facts& event_reader::read_error(std::string_view body) {
  read(body);
  if (!message_.empty() || facts_.malformed) return facts_;
  // FastAPI: {"detail": "…"} or {"detail": [{"msg": …, "input": <the request>}]}; the request must not reach us.
  json::reader r{body, json::mode::tolerant_text};
  r.object([&](std::string_view key) {
    std::string_view s;
    if (key != "detail") return;
    if (r.peek() == json::kind::string) {
      if (r.string(s)) message_ = s;
    } else {
      r.array([&] { r.object([&](std::string_view k) { if (k == "msg" && message_.empty() && r.string(s)) message_ = s; }); });
    }
  });
  return facts_;
}

HOTPATH_FN result<served_model> read_models(std::string_view body, std::string_view source) {
  // Engines whose /v1/completions takes a list of token ids as prompt, by the "owned_by" they report:
  // vllm-project/vllm, sgl-project/sglang, NVIDIA/TensorRT-LLM, ggml-org/llama.cpp, and examples/server here.
  static constexpr std::string_view take_ids[] = {"vllm", "sglang", "tensorrt_llm", "llamacpp", "hotpath"};
  served_model m;
  bool list = false;
  json::reader r{body};
  r.object([&](std::string_view key) {
    if (key != "data") return;
    list = r.array([&] {
      std::string_view s;
      const bool first = m.id.empty();
      r.object([&](std::string_view k) {
        if (k == "id" && r.string(s) && first) m.id = s;
        else if (k == "owned_by" && r.string(s) && first) m.engine = s;
      });
    });
  });
  if (!r.finish()) return r.failure(source);
  if (!list) return error{.code = errc::malformed, .detail = "the list of models has no \"data\"", .source = std::string(source), .hint = "name the model with --model"};
  if (m.id.empty()) return error{.code = errc::empty, .detail = "the server names no model", .source = std::string(source), .hint = "name the model with --model"};
  for (const std::string_view name : take_ids) m.takes_token_ids |= m.engine == name;
  return m;
}

HOTPATH_FN version_place version_place_of(std::string_view engine) {
  if (engine == "sglang") return {"/server_info", "version"};
  if (engine == "llamacpp") return {"/props", "build_info"};
  return {"/version", "version"};
}

HOTPATH_FN std::string text_member(std::string_view body, std::string_view name) {
  json::reader in{body, json::mode::tolerant_text};
  std::string out;
  std::string_view s;
  in.object([&](std::string_view key) {
    if (key == name && in.peek() == json::kind::string && in.string(s)) out = s.substr(0, 128);
  });
  return in.finish() ? out : std::string();
}

}  // namespace hotpath::inline HOTPATH_ABI::replay
