// SPDX-License-Identifier: Apache-2.0
// json_bench [SECONDS_PER_ROW] - core/json.hpp beside nlohmann's SAX parser (a handler that does nothing) and DOM, in one run.
//   g++ -std=c++20 -O2 -I include tests/bench/json_bench.cpp -o json_bench && ./json_bench
//   Each row: best of the repetitions that fit into the time (0.3 s). Rows marked "walk" read every value; "skip" validates only.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json.hpp>
#include <hotpath/core/json.hpp>

namespace json = hotpath::json;

static std::uint64_t allocations = 0;
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size != 0 ? size : 1)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }

namespace {

double seconds_per_row = 0.3;

// Seconds of the fastest call.
template <class F>
double best(F&& work) {
  using clock = std::chrono::steady_clock;
  double least = 1e9;
  const auto until = clock::now() + std::chrono::duration<double>(seconds_per_row);
  do {
    const auto begin = clock::now();
    work();
    least = std::min(least, std::chrono::duration<double>(clock::now() - begin).count());
  } while (clock::now() < until);
  return least;
}

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "json_bench: %s\n", what);
  std::exit(1);
}

struct ignore : nlohmann::json_sax<nlohmann::json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(nlohmann::json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(std::string&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }
};

bool sax(std::string_view text) {
  ignore handler;
  return nlohmann::json::sax_parse(text.begin(), text.end(), &handler);
}

bool skip(std::string_view text, json::mode m) {
  json::reader in(text, m);
  in.skip();
  return in.finish();
}

std::uint64_t walk(json::reader& in) {
  std::string_view s;
  double d = 0;
  bool b = false;
  std::uint64_t sum = 0;
  switch (in.peek()) {
    case json::kind::object: in.object([&](std::string_view key) { sum += key.size() + walk(in); }); break;
    case json::kind::array: in.array([&] { sum += walk(in); }); break;
    case json::kind::string: in.string(s); sum += s.size(); break;
    case json::kind::number: in.number(d); sum += d > 0 ? 1 : 0; break;
    case json::kind::boolean: in.boolean(b); break;
    default: in.null(); break;
  }
  return sum;
}

// What a replay client takes out of a chunk.
struct chunk {
  std::string_view content, finish;
  std::int64_t completion_tokens = -1;
};

chunk read_chunk(json::reader& in, std::string_view payload) {
  chunk c;
  in.reset(payload);
  in.object([&](std::string_view key) {
    if (key == "choices") {
      in.array([&] {
        in.object([&](std::string_view k) {
          if (k == "delta") in.object([&](std::string_view member) { if (member == "content") in.string(c.content); });
          else if (k == "finish_reason") in.string(c.finish);
        });
      });
    } else if (key == "usage") {
      in.object([&](std::string_view k) { if (k == "completion_tokens") in.integer(c.completion_tokens); });
    }
  });
  return c;
}

constexpr std::string_view delta =
    R"({"id":"chatcmpl-9f2c1a7be0d94c7f8a3e5d1c2b4f6a80","object":"chat.completion.chunk","created":1760000000,"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":" the"},"logprobs":null,"finish_reason":null,"token_ids":null}]})";
constexpr std::string_view delta_escaped =
    R"({"id":"chatcmpl-9f2c1a7be0d94c7f8a3e5d1c2b4f6a80","object":"chat.completion.chunk","created":1760000000,"model":"meta-llama/Llama-3.1-8B-Instruct","choices":[{"index":0,"delta":{"content":".\n\n"},"logprobs":null,"finish_reason":null,"token_ids":null}]})";
constexpr std::string_view delta_usage =
    R"({"id":"chatcmpl-9f2c1a7be0d94c7f8a3e5d1c2b4f6a80","object":"chat.completion.chunk","created":1760000000,"model":"m","choices":[{"index":0,"delta":{"content":" the"},"finish_reason":"length"}],"usage":{"prompt_tokens":512,"total_tokens":640,"completion_tokens":128}})";

void payload_row(const char* name, std::string_view payload, std::string_view content) {
  constexpr int n = 20000;
  json::reader in({}, json::mode::tolerant_text);
  require(read_chunk(in, payload).content == content, name);
  const std::uint64_t before = allocations;
  std::uint64_t sum = 0;
  const double ours = best([&] { for (int i = 0; i < n; ++i) sum += read_chunk(in, payload).content.size(); }) / n;
  const std::uint64_t allocated = allocations - before;
  const double theirs = best([&] { for (int i = 0; i < n / 20; ++i) sum += sax(payload) ? 1 : 0; }) / (n / 20);
  const double dom = best([&] {
    for (int i = 0; i < n / 20; ++i) sum += nlohmann::json::parse(payload)["choices"][0]["delta"]["content"].get_ref<const std::string&>().size();
  }) / (n / 20);
  std::printf("%-34s %5zu bytes  ours %6.0f ns  nlohmann SAX %6.0f ns  DOM %6.0f ns  ratio %5.1f  allocations %llu%s\n", name, payload.size(), ours * 1e9,
              theirs * 1e9, dom * 1e9, theirs / ours, static_cast<unsigned long long>(allocated), sum == 0 ? "!" : "");
}

void text_row(const char* name, const std::string& text) {
  require(skip(text, json::mode::strict) && sax(text), name);
  const double size = static_cast<double>(text.size()) / 1e9;
  const double skipped = best([&] { require(skip(text, json::mode::strict), name); });
  std::uint64_t sum = 0;
  const double walked = best([&] {
    json::reader in(text);
    sum += walk(in);
  });
  const double theirs = best([&] { require(sax(text), name); });
  std::printf("%-34s %5.1f MB     skip %5.2f GB/s  walk %5.2f GB/s  nlohmann SAX %5.3f GB/s  ratio %5.1f%s\n", name, size * 1e3, size / skipped,
              size / walked, size / theirs, theirs / walked, sum == 0 ? "!" : "");
}

std::string list_of(std::size_t bytes, const std::vector<std::string>& items) {
  std::string text = "[";
  for (std::size_t i = 0; text.size() < bytes; ++i) text.append(i == 0 ? "" : ",").append(items[i % items.size()]);
  return text + "]";
}

void writer_rows() {
  constexpr int n = 100'000;
  std::string out;
  out.reserve(64u << 20);
  const double rows = best([&] {
    out.clear();
    json::writer w(out);
    for (int i = 0; i < n; ++i) {
      w.object_begin();
      w.member("id", i);
      w.member("status", "ok");
      w.member("ttft_ms", 12.25 + i * 0.001);
      w.member("model", "meta-llama/Llama-3.1-8B-Instruct");
      w.object_end();
    }
  });
  std::printf("%-34s %5.1f MB     ours %5.2f GB/s  %.0f ns a row of four members\n", "writer, request rows", static_cast<double>(out.size()) / 1e6,
              static_cast<double>(out.size()) / rows / 1e9, rows / n * 1e9);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) seconds_per_row = std::strtod(argv[1], nullptr);
  payload_row("chat chunk, content", delta, " the");
  payload_row("chat chunk, escapes", delta_escaped, ".\n\n");
  payload_row("chat chunk, usage", delta_usage, " the");

  std::vector<std::string> events;
  for (int i = 0; i < 1000; ++i) {
    const std::string n = std::to_string(i * 7919 % 1000);
    events.push_back("\n  {\n    \"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<float>" + n +
                     ">\", \"pid\": 0, \"tid\": 7,\n    \"ts\": 5412398" + n + ".211, \"dur\": 3." + n + ",\n    \"args\": {\"External id\": 10" + n +
                     ", \"device\": 0, \"stream\": 7, \"grid\": [216, 1, 1], \"est. achieved occupancy %\": 100}\n  }");
  }
  text_row("chunks", list_of(8u << 20, {std::string(delta), std::string(delta_usage)}));
  text_row("trace events", list_of(8u << 20, events));
  text_row("long ASCII strings", list_of(8u << 20, {'"' + std::string(2000, 'x') + '"'}));
  text_row("escapes", list_of(8u << 20, {R"("line one\nline two\t\"quoted\" \u00e9\ud83d\ude00 and on")"}));
  text_row("text that is not ASCII", list_of(8u << 20, {"\"速度を測ることは難しい。しかし正しく測れば、答えが出る。\""}));
  text_row("integers", list_of(8u << 20, {"1", "4711", "123456", "128000", "77", "1760000000123"}));
  text_row("decimals", list_of(8u << 20, {"0.25", "12.125", "1234.5678", "-0.0012345678", "5412398710.211", "0.1234567890123456"}));
  writer_rows();
}
