// SPDX-License-Identifier: Apache-2.0
// The example server as a program, over HTTP: with our own load client, and with connections that behave badly.
#include <doctest/doctest.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <charconv>
#include <hotpath/net/fetch.hpp>
#include <hotpath/replay.hpp>
#include <hotpath/run/record.hpp>
#include <nlohmann/json.hpp>
#include <support/process.hpp>

using namespace hotpath;
using njson = nlohmann::json;

namespace {
bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

struct server_process {
  explicit server_process(std::vector<std::string> flags = {}) : process_(command(std::move(flags))) {
    REQUIRE(process_.wait_for_out("\n"));
    url = process_.out().substr(0, process_.out().find('\n'));
    endpoint = *net::parse_url(url);
  }
  // A small model, so that what is slow is what the test is about.
  static std::vector<std::string> command(std::vector<std::string> flags) {
    std::vector<std::string> argv = {HOTPATH_SERVER, "--port", "0", "--layers", "2", "--width", "64", "--heads", "4", "--kv-heads", "2", "--ffn", "64", "--max-model-len", "512", "--kv-blocks", "64", "--threads", "1"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }
  net::page get(std::string_view target) const {
    auto page = net::fetch(endpoint, target);
    if (!page) FAIL(page.error().message());
    return *page;
  }
  double metric(std::string_view name, std::string_view label = {}) const {
    const std::string page = get("/metrics").body;
    for (std::size_t at = 0; (at = page.find('\n' + std::string(name) + '{', at)) != std::string::npos; ++at) {
      const std::string_view line = std::string_view{page}.substr(at + 1, page.find('\n', at + 1) - at - 1);
      double v = -1;
      const auto number = line.substr(line.rfind(' ') + 1);
      if (has(line, label)) return std::from_chars(number.data(), number.data() + number.size(), v), v;
    }
    FAIL("no metric " << name);
    return -1;
  }
  // Asks again and again until it is so; false: not within 20 s.
  template <class F>
  bool until(F&& f) const {
    for (const nanoseconds end = monotonic_now() + nanoseconds{20'000'000'000}; monotonic_now() < end;)
      if (f()) return true;
    return false;
  }
  bool quiet() const {
    return until([&] { return metric("vllm:num_requests_running") == 0 && metric("vllm:num_requests_waiting") == 0 && metric("vllm:kv_cache_usage_perc") == 0; });
  }
  hotpath_test::finished end(int signal = SIGTERM) {
    process_.signal(signal);
    return process_.finish();
  }

  hotpath_test::process process_;
  std::string url;
  net::url endpoint;
};

// A connection without manners.
struct raw {
  explicit raw(const server_process& s, int receive_buffer = 0) {
    fd = ::socket(AF_INET, SOCK_STREAM, 0);
    if (receive_buffer != 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval patience{30, 0};  // a server that hangs fails the test, and does not hang it
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(s.url.substr(s.url.rfind(':') + 1))));
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
  }
  ~raw() { hang_up(); }
  raw(const raw&) = delete;
  raw& operator=(const raw&) = delete;
  void post(const std::string& target, const std::string& body, const std::string& more = {}) const {
    const std::string text = "POST " + target + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + more + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    REQUIRE(::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  std::string some() const {
    char bytes[4096];
    const ssize_t n = ::recv(fd, bytes, sizeof bytes, 0);
    return {bytes, n > 0 ? static_cast<std::size_t>(n) : 0};
  }
  // One response; its body decoded.
  std::pair<int, std::string> response() const {
    net::response_parser parser;
    std::string body;
    while (parser.now() == net::response_parser::state::head || parser.now() == net::response_parser::state::body) {
      const std::string bytes = some();
      if (bytes.empty()) parser.eof();
      parser.feed(bytes, [&](std::string_view piece) { body += piece; });
    }
    CHECK(parser.now() == net::response_parser::state::done);
    return {parser.head().status, body};
  }
  void hang_up() {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
  int fd = -1;
};

std::pair<int, njson> ask(const server_process& s, const std::string& target, const std::string& body) {
  const raw c{s};
  c.post(target, body);
  const auto [status, text] = c.response();
  return {status, njson::parse(text)};
}
}  // namespace

TEST_CASE("server_http: a load of ours is answered whole, and the server's counters are what the client saw") {
  const server_process s{{"--kv-blocks", "40", "--max-num-seqs", "8", "--max-num-batched-tokens", "96"}};
  const auto who = run::identify(s.endpoint, {}, nanoseconds{5'000'000'000});
  REQUIRE(who.has_value());
  CHECK(who->id == "hotpath-example");
  CHECK(who->engine == "hotpath");
  CHECK(who->takes_token_ids);

  auto load = replay::workload::open("synthetic:input=100,output=40,dist=uniform", {.seed = 3, .prompt_ids = true});
  REQUIRE(load.has_value());
  const replay::client<> client{{.url = s.url, .body = {.model = "hotpath-example", .ignore_eos = true}}};
  const auto first = client.run(*load, replay::closed({.streams = 16, .requests = 60}));
  REQUIRE(first.has_value());
  // The same prompts over and over: a prefix that is shared.
  auto again = replay::workload::open("synthetic:input=200,output=20", {.seed = 3, .prompt_ids = true, .reuse_prompts = true});
  REQUIRE(again.has_value());
  const auto second = client.run(*again, replay::closed({.streams = 4, .requests = 20}));
  REQUIRE(second.has_value());

  std::int64_t prompt = 0, output = 0, cached = 0;
  std::size_t ok = 0;
  for (const auto* requests : {&first->requests, &second->requests})
    for (const model::request& r : *requests) {
      REQUIRE_MESSAGE(r.status == model::request_status::ok, r.error_message);
      CHECK(r.tokens_from == model::token_source::usage);
      CHECK(r.completion_tokens == r.output_tokens_asked);
      CHECK(r.prompt_tokens == r.prompt_tokens_planned);
      CHECK(static_cast<std::int64_t>(r.chunks.count()) == *r.completion_tokens);  // a token is an event
      CHECK(r.finish_reason == "length");
      prompt += *r.prompt_tokens, output += *r.completion_tokens, cached += *r.cached_tokens;
      ++ok;
    }
  CHECK(ok == 80);
  CHECK(s.quiet());
  CHECK(s.metric("vllm:prompt_tokens_total") == static_cast<double>(prompt));
  CHECK(s.metric("vllm:generation_tokens_total") == static_cast<double>(output));
  CHECK(s.metric("vllm:prompt_tokens_cached_total") == static_cast<double>(cached));
  CHECK(s.metric("vllm:prefix_cache_queries_total") == static_cast<double>(prompt));
  CHECK(s.metric("vllm:prefix_cache_hits_total") == static_cast<double>(cached));
  CHECK(s.metric("vllm:request_success_total", "length") == 80);
  CHECK(s.metric("vllm:request_success_total", "abort") == 0);
  CHECK(s.metric("vllm:time_to_first_token_seconds_count") == 80);
  CHECK(s.metric("vllm:inter_token_latency_seconds_count") == static_cast<double>(output) - 80);
  CHECK(s.metric("vllm:request_queue_time_seconds_count") == 80);
  CHECK(cached > 10 * 192);
  CHECK(s.metric("vllm:num_preemptions_total") >= 1);
  CHECK(s.metric("vllm:request_num_preemptions_sum") == s.metric("vllm:num_preemptions_total"));
  CHECK(s.metric("vllm:iteration_tokens_total_sum") >= static_cast<double>(prompt - cached + output) - 80);
}

TEST_CASE("server_http: a stream has a first event with the role, one event per token, usage where asked for, and an end") {
  const server_process s;
  const raw c{s};
  c.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hello"}],"max_tokens":5,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true}})", "X-Request-Id: mine-1\r\n");
  const auto [status, text] = c.response();
  CHECK(status == 200);
  std::vector<njson> events;
  bool done = false;
  replay::sse_parser sse;
  sse.feed(text, [&](const replay::sse_event& e) {
    if (e.data == "[DONE]") done = true;
    else events.push_back(njson::parse(e.data));
  });
  CHECK(done);
  REQUIRE(events.size() == 7);
  CHECK(events[0]["choices"][0]["delta"] == njson{{"role", "assistant"}, {"content", ""}});
  std::string said;
  for (std::size_t i = 1; i <= 5; ++i) {
    CHECK(events[i]["id"] == "chatcmpl-mine-1");
    CHECK(events[i]["object"] == "chat.completion.chunk");
    CHECK(events[i]["choices"][0]["delta"]["content"].get<std::string>().size() == 1);
    CHECK(events[i]["choices"][0]["finish_reason"] == (i == 5 ? njson("length") : njson(nullptr)));
    CHECK(events[i]["usage"]["completion_tokens"] == i);
    said += events[i]["choices"][0]["delta"]["content"].get<std::string>();
  }
  CHECK(events[6]["choices"].empty());
  CHECK(events[6]["usage"] == njson{{"prompt_tokens", 8}, {"total_tokens", 13}, {"completion_tokens", 5}, {"prompt_tokens_details", {{"cached_tokens", 0}}}});

  // The same, whole, on the same connection.
  c.post("/v1/chat/completions", R"({"messages":[{"role":"user","content":"hello"}],"max_tokens":5,"ignore_eos":true})");
  const auto whole = njson::parse(c.response().second);
  CHECK(whole["object"] == "chat.completion");
  CHECK(whole["choices"][0]["message"] == njson{{"role", "assistant"}, {"content", said}});
}

TEST_CASE("server_http: what it says of itself, and errors as OpenAI's") {
  const server_process s{{"--served-model-name", "tiny"}};
  const auto models = njson::parse(s.get("/v1/models").body);
  CHECK(models["data"][0]["id"] == "tiny");
  CHECK(models["data"][0]["owned_by"] == "hotpath");
  CHECK(models["data"][0]["max_model_len"] == 512);
  CHECK(s.get("/health").status == 200);
  CHECK(s.get("/health").body.empty());
  CHECK(njson::parse(s.get("/version").body).contains("version"));
  CHECK(s.get("/metrics").content_type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(s.get("/nothing").status == 404);
  CHECK(ask(s, "/tokenize", R"({"prompt":"ab"})").second == njson{{"count", 2}, {"max_model_len", 512}, {"tokens", {97, 98}}, {"token_strs", nullptr}});
  CHECK(ask(s, "/tokenize", R"({"text":"ab"})").first == 400);
  const auto check_error = [&](const std::string& body, int status, const std::string& words) {
    const auto [got, answer] = ask(s, "/v1/completions", body);
    CHECK(got == status);
    CHECK(answer["error"]["code"] == status);
    CHECK(has(answer["error"]["message"].get<std::string>(), words));
  };
  check_error("{", 400, "not JSON");
  check_error(R"({"prompt":""})", 400, "the prompt is empty");
  check_error(R"({"prompt":"x","model":"other"})", 404, "does not exist");
  check_error(R"({"prompt":[5000]})", 400, "out of vocabulary");
  check_error(R"({"prompt":"x","max_tokens":512})", 400, "maximum context length is 512");
  CHECK(s.metric("vllm:prompt_tokens_total") == 0);
}

TEST_CASE("server_http: a reader that hangs up frees its blocks, while it waits, while it reads, and when it wanted the whole answer at once") {
  const server_process s{{"--max-num-seqs", "1", "--layers", "8", "--width", "256", "--ffn", "512", "--max-model-len", "8192", "--kv-blocks", "512"}};
  const std::string longest = R"({"prompt":"abc","max_tokens":8000,"ignore_eos":true)";
  raw reads{s}, waits{s}, whole{s};
  reads.post("/v1/completions", longest + R"(,"stream":true})");
  for (std::string got; !has(got, "data: ");) {
    const std::string more = reads.some();
    REQUIRE_FALSE(more.empty());
    got += more;
  }
  waits.post("/v1/completions", longest + R"(,"stream":true})");
  whole.post("/v1/completions", longest + "}");
  REQUIRE(s.until([&] { return s.metric("vllm:num_requests_running") == 1 && s.metric("vllm:num_requests_waiting") == 2; }));
  waits.hang_up();
  CHECK(s.until([&] { return s.metric("vllm:num_requests_waiting") == 1; }));
  reads.hang_up();
  CHECK(s.until([&] { return s.metric("vllm:num_requests_waiting") == 0; }));
  whole.hang_up();
  CHECK(s.quiet());
  CHECK(s.metric("vllm:request_success_total", "abort") == 3);
  CHECK(s.metric("vllm:request_success_total", "length") == 0);
}

TEST_CASE("server_http: a reader that takes nothing holds up nobody") {
  // Each event carries the model's name: 3,000 of them are 6 MB, more than the sockets between hold.
  const server_process s{{"--max-model-len", "4096", "--kv-blocks", "300", "--served-model-name", std::string(2000, 'm')}};
  const raw slow{s, 2048};
  slow.post("/v1/completions", R"({"prompt":"abc","max_tokens":3000,"ignore_eos":true,"stream":true})");
  for (int i = 0; i < 5; ++i) CHECK(ask(s, "/v1/completions", R"({"prompt":"x","max_tokens":400,"ignore_eos":true})").second["usage"]["completion_tokens"] == 400);
  CHECK(s.quiet());  // all of it is computed, although nobody has read it
  CHECK(s.metric("vllm:generation_tokens_total") == 5000);
  const auto [status, text] = slow.response();
  CHECK(status == 200);
  std::size_t events = 0;
  for (std::size_t at = 0; (at = text.find("data: {", at)) != std::string::npos; ++at) ++events;
  CHECK(events == 3000);
}

TEST_CASE("server_http: a signal ends it with 0: what is open ends first, in time or as aborted, and idle connections are closed") {
  for (const int signal : {SIGTERM, SIGINT}) {
    CAPTURE(signal);
    server_process s{{"--grace", "0", "--layers", "8", "--width", "256", "--ffn", "512", "--max-model-len", "8192", "--kv-blocks", "512"}};
    const raw idle{s}, open{s};
    idle.post("/v1/completions", R"({"prompt":"x","max_tokens":1})");
    CHECK(idle.response().first == 200);
    open.post("/v1/completions", R"({"prompt":"x","max_tokens":8000,"ignore_eos":true,"stream":true})");
    std::string got;
    while (!has(got, "data: ")) {
      const std::string more = open.some();
      REQUIRE_FALSE(more.empty());
      got += more;
    }
    s.process_.signal(signal);
    for (std::string more; !(more = open.some()).empty();) got += more;
    CHECK(has(got, R"("finish_reason":"abort")"));
    CHECK(got.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
    const auto done = s.process_.finish();
    CHECK(done.code == 0);
    CHECK(has(done.err, "Shutting down"));
  }
  server_process patient{{"--grace", "20"}};
  const raw open{patient};
  open.post("/v1/completions", R"({"prompt":"x","max_tokens":500,"ignore_eos":true})");
  REQUIRE(patient.until([&] { return patient.metric("vllm:num_requests_running") == 1 || patient.metric("vllm:request_success_total", "length") == 1; }));
  patient.process_.signal(SIGTERM);
  CHECK(njson::parse(open.response().second)["usage"]["completion_tokens"] == 500);
  CHECK(patient.process_.finish().code == 0);
}

TEST_CASE("server_http: log lines have vLLM's shape, and hold neither prompts nor answers") {
  server_process s{{"--log-requests", "on", "--log-iterations", "on", "--log-level", "debug", "--log-stats-interval", "0.05"}};
  const auto [status, answer] = ask(s, "/v1/completions", R"({"prompt":"topsecretprompt","max_tokens":30,"ignore_eos":true})");
  REQUIRE(status == 200);
  s.get("/health");
  REQUIRE(s.process_.wait_for_err("Prefix cache hit rate"));   // is told from the first request on
  const std::string log = s.end().err;
  for (const char* part : {"Application startup complete.", ") INFO ", "Received request cmpl-", "Added request cmpl-", ": params: SamplingParams(n=1, ", "Called check_health.",
                           "Engine 000: Iteration(0): 1 context requests, 15 context tokens, 0 generation requests, 0 generation tokens, iteration elapsed time: ",
                           "Engine 000: Iteration(29): 0 context requests, 0 context tokens, 1 generation requests, 1 generation tokens, iteration elapsed time: ", " ms, CPU KV cache usage: ",
                           "Engine 000: Avg prompt throughput: ", " tokens/s, Avg generation throughput: ", " tokens/s, Running: ", " reqs, Waiting: 0 reqs, CPU KV cache usage: ", ", Prefix cache hit rate: 0.0%",
                           "CPU KV cache size: 1,024 tokens, Maximum concurrency for 512 tokens per request: 2.00x", "\" 200 OK\n"}) {
    CAPTURE(part);
    CHECK(has(log, part));
  }
  CHECK_FALSE(has(log, "topsecretprompt"));
  CHECK_FALSE(has(log, answer["choices"][0]["text"].get<std::string>().substr(0, 12)));
}

TEST_CASE("server_http: flags that make no sense end it with 2 and one line, and a port that is taken with 4") {
  const auto refused = [](std::vector<std::string> flags) {
    flags.insert(flags.begin(), HOTPATH_SERVER);
    const auto done = hotpath_test::run(flags);
    CHECK(done.out == "");
    CHECK(done.code == 2);
    return done.err;
  };
  CHECK(has(refused({"--nonsense", "1"}), "unknown flag --nonsense"));
  CHECK(has(refused({"--port"}), "--port needs a value"));
  CHECK(has(refused({"--layers", "x"}), "--layers cannot be x"));
  CHECK(has(refused({"--layers=-1"}), "--layers cannot be -1"));
  CHECK(has(refused({"--prefix-cache", "maybe"}), "--prefix-cache cannot be maybe"));
  CHECK(has(refused({"--width", "100"}), "multiple of 16"));
  CHECK(has(refused({"--max-num-seqs", "0"}), "must be 1 or more"));
  CHECK(has(hotpath_test::run({HOTPATH_SERVER, "--help"}).out, "--max-num-batched-tokens"));
  const server_process s;
  const auto taken = hotpath_test::run({HOTPATH_SERVER, "--port", s.url.substr(s.url.rfind(':') + 1)});
  CHECK(taken.code == 4);
  CHECK(has(taken.err, "cannot listen"));
}
