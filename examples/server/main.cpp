// SPDX-License-Identifier: Apache-2.0
// main.cpp - a small inference server with the OpenAI API: flags, HTTP (cpp-httplib), shutdown. See engine.hpp for what it does.
//   hotpath_server --port 8000            prints its address on stdout, one line, when it is ready
//   curl localhost:8000/v1/completions -d '{"prompt": "Hello", "max_tokens": 20}'
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sys/socket.h>
#include <netinet/in.h>
#include <variant>

#include <httplib.h>

#include <hotpath/core/random.hpp>
#include <hotpath/version.hpp>
#include "api.hpp"
#include "service.hpp"

using namespace server;

namespace {

// ---- flags --------------------------------------------------------------------------------------------------------------

struct settings {
  model_options model = {};
  engine_options engine = {};
  server::log log = {};
  std::string host = "127.0.0.1", name = "hotpath-example", log_level = "info";
  std::uint32_t port = 8000, connections = 512, max_waiting = 1024;
  double grace = 2;
};

struct flag {
  const char *name, *help;
  std::variant<std::uint32_t*, std::uint64_t*, double*, bool*, std::string*> to;
};

std::vector<flag> flags_of(settings& s) {
  return {{"host", "address to listen on", &s.host},
          {"port", "0: any free one", &s.port},
          {"served-model-name", "the model's name", &s.name},
          {"layers", "of the transformer", &s.model.layers},
          {"width", "of a layer", &s.model.width},
          {"heads", "of queries; width / heads is a multiple of 16", &s.model.heads},
          {"kv-heads", "of keys and values", &s.model.kv_heads},
          {"ffn", "width of the feed-forward layer", &s.model.ffn},
          {"vocab", "token ids that a prompt may hold", &s.model.vocab},
          {"experts", "0: a dense feed-forward layer", &s.model.experts},
          {"top-k", "experts per token", &s.model.top_k},
          {"seed", "of the weights, and of requests that give none", &s.model.seed},
          {"threads", "that compute", &s.model.threads},
          {"max-model-len", "tokens of a request, prompt and answer", &s.model.max_len},
          {"kv-blocks", "blocks of the KV cache", &s.model.blocks},
          {"block-size", "tokens per block, a multiple of 16", &s.model.block_tokens},
          {"max-num-batched-tokens", "computed in one step", &s.engine.max_batched_tokens},
          {"max-num-seqs", "requests that run at a time", &s.engine.max_seqs},
          {"prefix-cache", "on or off", &s.engine.prefix_cache},
          {"chunked-prefill", "on or off", &s.engine.chunked_prefill},
          {"max-waiting", "more are turned away with 503; 0: no limit", &s.max_waiting},
          {"connections", "threads for them: more than streams at a time", &s.connections},
          {"log-requests", "on or off: a line for each", &s.log.requests},
          {"log-iterations", "on or off: a line for each step", &s.log.iterations},
          {"log-stats-interval", "seconds between statistics lines; 0: none", &s.log.stats_seconds},
          {"log-level", "info or debug", &s.log_level},
          {"grace", "seconds that requests have to finish at a shutdown", &s.grace}};
}

bool set(const flag& f, std::string_view text) {
  return std::visit([&](auto* to) {
    using T = std::remove_reference_t<decltype(*to)>;
    if constexpr (std::is_same_v<T, std::string>) return *to = text, true;
    else if constexpr (std::is_same_v<T, bool>) return *to = text == "on", text == "on" || text == "off";
    else return std::from_chars(text.data(), text.data() + text.size(), *to).ptr == text.data() + text.size() && !text.empty();
  }, f.to);
}

std::string shown(const flag& f) {
  return std::visit([](const auto* to) -> std::string {
    using T = std::remove_cvref_t<decltype(*to)>;
    if constexpr (std::is_same_v<T, std::string>) return *to;
    else if constexpr (std::is_same_v<T, bool>) return *to ? "on" : "off";
    else if constexpr (std::is_same_v<T, double>) return std::to_string(*to).substr(0, 4);
    else return std::to_string(*to);
  }, f.to);
}

// --name value and --name=value. Ends the program for --help and for what is not understood.
settings read_flags(int argc, char** argv) {
  settings s;
  s.model.threads = std::max(2u, std::thread::hardware_concurrency()) - 1;  // one core is for connections, and for whoever sends the load
  const std::vector<flag> flags = flags_of(s);
  const auto stop = [](const std::string& why) { std::fprintf(stderr, "hotpath_server: %s\n", why.c_str()), std::exit(2); };
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--help" || name == "-h") {
      for (const flag& f : flags) std::printf("  --%-24s %s [%s]\n", f.name, f.help, shown(f).c_str());
      std::exit(0);
    }
    std::optional<std::string> value;
    if (const auto equals = name.find('='); equals != std::string::npos) value = name.substr(equals + 1), name.resize(equals);
    else if (i + 1 < argc) value = argv[++i];
    const auto found = std::find_if(flags.begin(), flags.end(), [&](const flag& f) { return name == std::string("--") + f.name; });
    if (found == flags.end()) stop("unknown flag " + name + "; --help lists all");
    if (!value) stop(name + " needs a value: " + found->help);
    if (!set(*found, *value)) stop(name + " cannot be " + *value + ": " + found->help);
  }
  if (s.log_level != "info" && s.log_level != "debug") stop("--log-level is info or debug");
  if (s.port > 65'535 || s.connections == 0 || s.connections > 1000) stop("--port is at most 65535, --connections 1 to 1000 (select() is the limit of the HTTP library)");
  s.log.debug_lines = s.log_level == "debug";
  for (const auto& good : {check(s.model), check(s.engine, s.model)})
    if (!good) stop(good.error().message());
  return s;
}

// ---- HTTP ---------------------------------------------------------------------------------------------------------------

class front {
 public:
  front(service& engine, const settings& s) : engine_(engine), s_(s) {
    http_.new_task_queue = [n = s.connections] { return new httplib::ThreadPool(n); };
    http_.set_tcp_nodelay(true);
    http_.set_keep_alive_max_count(SIZE_MAX), http_.set_keep_alive_timeout(3600);
    http_.set_read_timeout(60), http_.set_write_timeout(60);  // a reader that takes nothing for so long has gone
    http_.set_payload_max_length(16u << 20);
    http_.set_socket_options([this](socket_t listener) {
      const int yes = 1;
      setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      listener_ = listener;
    });
    http_.set_error_handler([](const httplib::Request& in, httplib::Response& out) {
      if (out.body.empty()) out.set_content(error_body(out.status, out.status == 404 ? "no route " + in.method + " " + in.path : "the request cannot be read"), "application/json");
    });
    http_.set_exception_handler([](const httplib::Request&, httplib::Response& out, std::exception_ptr) { fail(out, 500, "internal error"); });
    http_.Get("/health", [this](const auto&, auto& out) { s_.log.debug(role::api, "Called check_health."), out.status = closing_ ? 503 : 200; });
    http_.Get("/version", [](const auto&, auto& out) { out.set_content("{\"version\":\"" HOTPATH_VERSION_STRING "\"}", "application/json"); });
    http_.Get("/metrics", [this](const auto&, auto& out) { out.set_content(engine_.metrics_page(), "text/plain; version=0.0.4; charset=utf-8"); });
    http_.Get("/v1/models", [this](const auto&, auto& out) { out.set_content(models(), "application/json"); });
    http_.Post("/tokenize", [this](const auto& in, auto& out) { tokenize(in, out); });
    for (const bool chat : {false, true})
      http_.Post(chat ? "/v1/chat/completions" : "/v1/completions", [this, chat](const auto& in, auto& out) {
        complete(in, out, chat);
        s_.log.access(in.remote_addr, in.remote_port, in.method, in.path, out.status < 0 ? 200 : out.status);
      });
  }

  // The port, or 0 with errno when it cannot be had.
  int bind() {
    const int port = s_.port == 0 ? http_.bind_to_any_port(s_.host) : http_.bind_to_port(s_.host, static_cast<int>(s_.port)) ? static_cast<int>(s_.port) : 0;
    if (port > 0) ::listen(listener_, 1024);  // the library asks for a queue of 5: bursts of connections would be dropped
    return port > 0 ? port_ = port : 0;
  }
  void serve() { http_.listen_after_bind(); }
  // Nothing new is answered. (Not stop(): the library would cut off the answers that are under way.)
  void close_door() { closing_ = true; }
  // Waits until all answers are written, at most so long. True: they are.
  bool wait_for_answers(double seconds) {
    std::unique_lock hold{mutex_};
    return quiet_.wait_for(hold, std::chrono::duration<double>(seconds), [&] { return answering_ == 0; });
  }
  // Ends serve(). Connections that wait for another request would keep it for as long as they may: they are hung up on.
  void hang_up() {
    http_.stop();
    for (int fd = 3; fd < FD_SETSIZE; ++fd) {
      sockaddr_storage at{}, peer{};
      socklen_t size = sizeof at, peer_size = sizeof peer;
      if (getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) != 0 || getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) continue;
      const int port = at.ss_family == AF_INET    ? ntohs(reinterpret_cast<sockaddr_in&>(at).sin_port)
                       : at.ss_family == AF_INET6 ? ntohs(reinterpret_cast<sockaddr_in6&>(at).sin6_port)
                                                  : 0;
      if (port == port_) ::shutdown(fd, SHUT_RDWR);
    }
  }

 private:
  // One answer under way; lives as long as its response.
  struct answer {
    completion asked;
    std::shared_ptr<stream> from = std::make_shared<stream>();
    std::optional<reply> text;
    std::vector<output> arrived;
    std::string bytes;
  };

  static void fail(httplib::Response& out, int status, std::string_view why) {
    out.status = status;
    if (status == 503) out.set_header("Retry-After", "1");
    out.set_content(error_body(status, why), "application/json");
  }

  void complete(const httplib::Request& in, httplib::Response& out, bool chat) {
    const nanoseconds arrival = monotonic_now();
    if (closing_) return fail(out, 503, "the server is shutting down");
    auto asked = read_completion(in.body, chat, s_.name, s_.model, s_.model.seed);
    if (!asked) return fail(out, asked.error().code == errc::not_found ? 404 : 400, asked.error().detail);
    auto a = std::make_shared<answer>();
    a->asked = *std::move(asked);
    const std::string id = (chat ? "chatcmpl-" : "cmpl-") + request_id(in) + (chat ? "" : "-0");
    a->text.emplace(a->asked, id, s_.name, realtime_now().ns / 1'000'000'000);
    request& r = a->asked.ask;
    r.arrival = arrival;
    r.id = id + "-" + hex(8);
    if (s_.log.requests)
      s_.log.info(role::api, "Received request " + id + ": params: SamplingParams(n=1, temperature=" + std::to_string(r.how.temperature) + ", seed=" + std::to_string(r.how.seed) +
                                 ", ignore_eos=" + (r.how.ignore_eos ? "True" : "False") + ", max_tokens=" + std::to_string(r.how.max_tokens) + "), lora_request: None.");
    if (auto taken = engine_.submit(r, a->from); !taken) return fail(out, taken.error().code == errc::over_limit ? 503 : 400, taken.error().detail);

    {
      const std::lock_guard hold{mutex_};
      ++answering_;
    }
    out.status = 200;
    if (in.has_header("X-Request-Id")) out.set_header("X-Request-Id", in.get_header_value("X-Request-Id"));
    out.set_chunked_content_provider(
        a->asked.stream ? "text/event-stream" : "application/json", [a](std::size_t, httplib::DataSink& to) { return write_more(*a, to); },
        [this, a](bool) {  // written, or the reader has gone
          if (!a->text->done()) engine_.abort(a->from);
          const std::lock_guard hold{mutex_};
          if (--answering_ == 0) quiet_.notify_all();
        });
  }

  // Writes what has come; false: the reader has gone.
  static bool write_more(answer& a, httplib::DataSink& to) {
    a.arrived.clear(), a.bytes.clear();
    if (!a.from->wait(a.arrived, std::chrono::milliseconds{100})) return to.is_writable();
    for (const output& o : a.arrived)
      if (a.asked.stream) a.text->add_events(o, a.bytes);
      else a.text->take(o);
    if (!a.asked.stream && a.text->done()) a.bytes = a.text->body();
    if (a.bytes.empty()) return to.is_writable();
    if (!to.write(a.bytes.data(), a.bytes.size())) return false;
    if (a.text->done()) to.done();
    return true;
  }

  void tokenize(const httplib::Request& in, httplib::Response& out) const {
    body_reader body{in.body};
    std::vector<kv::token> tokens;
    bool any = false;
    const bool object = body.json().object([&](std::string_view key) {
      if (key == "prompt") any = true, body.prompt(tokens);
      else if (key == "messages") any = true, body.messages(tokens);
    });
    if (!body.json().finish() || !object || !any) return fail(out, 400, "want a JSON object with \"prompt\" or \"messages\"");
    if (!body.wrong().empty()) return fail(out, 400, body.wrong());
    std::string text;
    json::writer w{text};
    w.object_begin();
    w.member("count", tokens.size()), w.member("max_model_len", s_.model.max_len);
    w.key("tokens"), w.array_begin();
    for (const kv::token t : tokens) w.value(t);
    w.array_end();
    w.key("token_strs"), w.null();
    w.object_end();
    out.set_content(text, "application/json");
  }

  std::string models() const {
    std::string out;
    json::writer w{out};
    w.object_begin(), w.member("object", "list");
    w.key("data"), w.array_begin(), w.object_begin();
    w.member("id", s_.name), w.member("object", "model"), w.member("created", started_), w.member("owned_by", "hotpath"), w.member("root", s_.name);
    w.key("parent"), w.null();
    w.member("max_model_len", s_.model.max_len);
    w.object_end(), w.array_end(), w.object_end();
    return out;
  }

  // The client's own where it is fit for a log line, else a random one.
  std::string request_id(const httplib::Request& in) {
    const std::string given = in.get_header_value("X-Request-Id");
    const bool fit = !given.empty() && given.size() <= 64 && given.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") == std::string::npos;
    return fit ? given : hex(16);
  }
  std::string hex(int digits) {
    char text[17];
    std::snprintf(text, sizeof text, "%016lx", static_cast<unsigned long>(stats::splitmix64{random_.fetch_add(0x9e3779b97f4a7c15)}.next()));
    return {text, static_cast<std::size_t>(digits)};
  }

  service& engine_;
  const settings& s_;
  httplib::Server http_;
  socket_t listener_ = -1;
  int port_ = 0;
  std::int64_t started_ = realtime_now().ns / 1'000'000'000;
  std::atomic<std::uint64_t> random_{static_cast<std::uint64_t>(realtime_now().ns)};
  std::atomic<bool> closing_{false};
  std::mutex mutex_;
  std::condition_variable quiet_;
  std::size_t answering_ = 0;  // answers whose last byte is not written
};

std::string thousands(std::uint64_t n) {
  std::string s = std::to_string(n);
  for (std::size_t i = s.size(); i > 3;) s.insert(i -= 3, ",");
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const settings s = read_flags(argc, argv);
  // Signals are waited for below; no other thread gets them. A reader that has gone is no reason to end.
  sigset_t ends;
  sigemptyset(&ends), sigaddset(&ends, SIGTERM), sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const nanoseconds begin = monotonic_now();
  s.log.info(role::api, "version " HOTPATH_VERSION_STRING " of the hotpath example server, model " + s.name);
  model m{s.model};
  char text[256];
  std::snprintf(text, sizeof text, "Model loading took %.2f GiB memory and %.2f seconds", static_cast<double>(m.parameters()) * 4 / (1 << 30), (monotonic_now() - begin).s());
  s.log.info(role::core, text);
  s.log.info(role::core, "Using max model len " + std::to_string(s.model.max_len));
  if (s.engine.chunked_prefill)
    s.log.info(role::core, "Chunked prefill is enabled with max_num_batched_tokens=" + std::to_string(s.engine.max_batched_tokens) + ".");
  const std::uint64_t kv_tokens = std::uint64_t{s.model.blocks} * s.model.block_tokens;
  std::snprintf(text, sizeof text, "CPU KV cache size: %s tokens, Maximum concurrency for %s tokens per request: %.2fx", thousands(kv_tokens).c_str(), thousands(s.model.max_len).c_str(),
                static_cast<double>(kv_tokens) / s.model.max_len);
  s.log.info(role::core, text);

  service engine{m, s.engine, s.name, s.log, s.max_waiting};
  front http{engine, s};
  const int port = http.bind();
  if (port == 0) return std::fprintf(stderr, "hotpath_server: cannot listen on %s:%u: %s\n", s.host.c_str(), s.port, std::strerror(errno)), 4;
  std::thread door{[&] { http.serve(); }};
  const bool ipv6 = s.host.find(':') != std::string::npos;
  std::printf(ipv6 ? "http://[%s]:%d\n" : "http://%s:%d\n", s.host.c_str(), port), std::fflush(stdout);
  s.log.info(role::api, "Application startup complete.");

  int signal = 0;
  sigwait(&ends, &signal);
  s.log.info(role::api, "Shutting down");
  http.close_door();
  http.wait_for_answers(s.grace);
  engine.stop();  // what has not finished ends with the reason "abort"
  http.wait_for_answers(1);
  http.hang_up();
  door.join();
  return 0;
}
