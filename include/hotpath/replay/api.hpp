// SPDX-License-Identifier: Apache-2.0
// hotpath/replay/api.hpp - the OpenAI-compatible streaming APIs: what to post, what an event says.
//   Covers /v1/completions and /v1/chat/completions of vLLM, SGLang, TensorRT-LLM, llama.cpp and Dynamo.
//
//     replay::event_reader r;
//     const replay::event_facts& e = r.read(sse.data);       // 0.2 us for a chunk of 250 bytes
//     if (e.content) …                                       // a content event: text, reasoning, tool call
//
//   A content event carries non-empty text, content, reasoning, or a tool call's name or arguments: usage counts all of
//   these. Role only, empty text, usage only and `choices: []` are none.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <hotpath/core/json.hpp>
#include <hotpath/model/chunk_log.hpp>
#include <hotpath/replay/workload.hpp>

namespace hotpath::inline HOTPATH_ABI::replay {

enum class api : std::uint8_t { automatic, completions, chat };
inline constexpr std::string_view api_names[] = {"auto", "completions", "chat"};
constexpr std::string_view name_of(api a) { return api_names[static_cast<std::size_t>(a)]; }

struct body_options {
  std::string model = {};
  bool ignore_eos = false;   // sends ignore_eos and min_tokens = max_tokens: a fixed output length
  std::string extra_body = {};  // a JSON object; its members replace those of the workload and ours, except "stream"
};

// Checks that `extra_body` is a JSON object. Errors: usage, with what is wrong.
result<void> check(const body_options&);

// Appends the JSON body of one request. `options` has passed check().
void write_body(std::string& out, const workload_item& item, const body_options& options);

struct event_facts {
  bool done = false;           // data: [DONE]
  bool malformed = false;      // not a JSON object
  bool error = false;          // an error object; event_reader::message() has its text
  bool content = false;
  model::content_kind kind = model::content_kind::text;
  bool finish = false;         // event_reader::finish_reason() has it
  std::uint32_t token_ids = 0; // token ids that the server listed in this event
  bool usage = false;          // a usage object was there
  std::optional<std::int64_t> prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens;
};

class event_reader {
 public:
  // The facts of one event's data; valid until the next call, as the texts are. `text`, when given, receives the content.
  const event_facts& read(std::string_view data, std::string* text = nullptr);
  // The same for a body that is not a stream: an error answer.
  const event_facts& read_error(std::string_view body);

  std::string_view finish_reason() const { return finish_reason_; }
  std::string_view message() const { return message_; }
  std::uint64_t repaired() const { return repaired_; }  // ill-formed places tolerated in the last read

 private:
  void choice(json::reader& r, std::string* text);
  void delta(json::reader& r, std::string* text);
  void usage(json::reader& r);
  void error_object(json::reader& r);
  void content(std::string_view piece, model::content_kind kind, std::string* text);

  event_facts facts_;
  std::string finish_reason_, message_;
  std::uint64_t repaired_ = 0;
};

// The server behind /v1/models: the first model and, where it can be told, the engine.
struct served_model {
  std::string id;
  std::string engine;             // "vllm", "sglang", "tensorrt_llm", "llamacpp", …: owned_by as it is; empty: not told
  bool takes_token_ids = false;   // known to accept a prompt of token ids on /v1/completions
};
// Errors: malformed (not JSON, no "data"), empty (no model served).
result<served_model> read_models(std::string_view body, std::string_view source);

// Where a server tells the version of its engine: a member of a JSON object.
struct version_place {
  std::string_view path, member;
};
version_place version_place_of(std::string_view engine);
// A text member of the outermost object, at most 128 bytes; empty: it has none, or this is no JSON.
std::string text_member(std::string_view body, std::string_view name);

}  // namespace hotpath::inline HOTPATH_ABI::replay

#if HOTPATH_HEADER_ONLY
#include <hotpath/replay/api-inl.hpp>
#endif
