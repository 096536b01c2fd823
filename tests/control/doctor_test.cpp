// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <clocale>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <hotpath/control.hpp>
#include <hotpath/net/stamp_probe.hpp>
#include <support/data.hpp>
#include <support/process.hpp>
#include <support/scripted_server.hpp>
#include <support/temp_dir.hpp>

using namespace hotpath;
using model::condition;

namespace {

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

const model::symptom& row(const model::diagnosis& d, std::string_view name) {
  for (const model::symptom& s : d.rows)
    if (s.name == name) return s;
  FAIL("no row " << name);
  std::abort();
}
bool there(const model::diagnosis& d, std::string_view name) {
  for (const model::symptom& s : d.rows)
    if (s.name == name) return true;
  return false;
}

// A machine made of files.
struct tree {
  hotpath_test::temp_dir dir;
  void file(const std::string& path, const std::string& text, mode_t mode = 0644) const {
    const std::string full = dir.path() + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << text;
    chmod(full.c_str(), mode);
  }
  model::diagnosis examine(bool (*loads)(const char*) = [](const char*) { return false; }, std::vector<control::part> parts = {}) const {
    model::diagnosis d;
    control::examine_machine(d, {.root = dir.path(), .path = dir.path() + "/bin", .loads = loads, .parts = std::move(parts)});
    return d;
  }
};

// An engine made of answers; what is not there is 404. Remembers what it was asked.
struct engine {
  std::map<std::string, control::answer> pages;  // by "METHOD target"
  std::vector<std::string> asked;
  void page(const std::string& target, std::string body, int status = 200) { pages[target].status = status, pages[target].body = std::move(body); }
  void serves(std::string_view owner) {
    page("GET /v1/models", R"({"object":"list","data":[{"id":"tiny","object":"model","owned_by":")" + std::string(owner) + R"("}]})");
    page("GET /health", "");
  }
  model::diagnosis examine(std::vector<std::string_view> where = {"/metrics", "/prometheus/metrics"}) {
    model::diagnosis d;
    d.endpoint = "http://engine";
    const auto ask = [](void* p, std::string_view target, std::string_view method) {
      engine& e = *static_cast<engine*>(p);
      const std::string key = std::string(method) + " " + std::string(target);
      e.asked.push_back(key);
      const auto it = e.pages.find(key);
      control::answer a;
      if (it == e.pages.end()) a.status = 404;
      else a = it->second;
      return a;
    };
    control::examine_endpoint(d, ask, ask, this, where);
    return d;
  }
};

// Real and generated pages of engines; empty where there are none.
std::string metrics_folder() { return hotpath_test::data_or_skip("metrics").value_or(""); }

}  // namespace

TEST_CASE("control: a machine with everything has no gap, and each thing that is taken away is one row") {
  tree t;
  t.file("/proc/sys/net/ipv4/ip_local_port_range", "10000\t65000\n");
  t.file("/proc/loadavg", "0.10 0.20 0.30 1/100 4711\n");
  t.file("/proc/meminfo", "MemTotal:       32000000 kB\nMemFree:         100 kB\nMemAvailable:   16777216 kB\n");
  t.file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu tsc constant_tsc rep_good nonstop_tsc cpuid\n\nprocessor\t: 1\n");
  t.file("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
  t.file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n");
  t.file("/dev/nvidia0", "");
  t.file("/dev/nvidia1", "");
  t.file("/dev/nvidiactl", "");
  t.file("/proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15\nGCC version: 12\n");
  t.file("/bin/nsys", "#!", 0755);
  const std::vector<control::part> parts = {{"SQLite", "recorded runs", true, "build it"}};
  const auto everything = [](const char*) { return true; };
  const auto d = t.examine(everything, parts);
  for (const model::symptom& s : d.rows) {
    CAPTURE(s.name);
    if (s.name == "CPUs" || s.name == "open files" || s.name == "clock source" || s.name == "receive stamps") continue;  // of this machine
    CHECK(s.state == condition::pass);
    CHECK(s.next == "");
    CHECK(s.meaning != "");
  }
  CHECK(row(d, "local ports").value == "55,001");
  CHECK(row(d, "memory").value == "16.0 GiB available");
  CHECK(row(d, "device").value == "2 devices");
  CHECK(has(row(d, "driver").value, "570.86.15"));
  CHECK(row(d, "Nsight Systems").value == t.dir.path() + "/bin/nsys");

  const auto gap = [&](std::string_view name, condition state, bool limits, std::string_view next, bool (*loads)(const char*) = [](const char*) { return true; }) {
    const auto e = t.examine(loads, parts);
    const auto& s = row(e, name);
    CAPTURE(s.value);
    CHECK(s.name == name);
    CHECK((s.state == state));
    CHECK(s.limits == limits);
    CHECK(has(s.next, next));
  };
  t.file("/proc/sys/net/ipv4/ip_local_port_range", "60000 60500\n");
  gap("local ports", condition::warn, true, "sysctl");
  t.file("/proc/sys/net/ipv4/ip_local_port_range", "soon\n");
  gap("local ports", condition::unknown, false, "");
  t.file("/proc/loadavg", "900.10 0 0 1/1 1\n");
  gap("load", condition::warn, false, "end what else runs here");
  t.file("/sys/fs/cgroup/memory.max", "1073741824\n");
  t.file("/sys/fs/cgroup/memory.current", "1000000000\n");
  gap("memory", condition::warn, true, "");
  t.file("/sys/fs/cgroup/memory.max", "max\n");
  gap("memory", condition::pass, false, "");
  t.file("/sys/fs/cgroup/cpu.max", "50000 100000\n");
  CHECK(has(row(t.examine(), "CPUs").value, "0.5 by the cgroup"));
  gap("CPUs", condition::warn, false, "another machine");
  t.file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu tsc constant_tsc_not nonstop_tsc\n");
  gap("time stamp counter", condition::warn, false, "");
  t.file("/proc/cpuinfo", "processor\t: 0\nBogoMIPS\t: 50\nFeatures\t: fp asimd\n");
  gap("time stamp counter", condition::pass, false, "");
  t.file("/proc/cpuinfo", "");
  gap("time stamp counter", condition::unknown, false, "");
  t.file("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
  gap("CPU frequency", condition::warn, false, "cpupower");
  std::filesystem::remove(t.dir.path() + "/bin/nsys");
  gap("Nsight Systems", condition::warn, false, "install");
  t.file("/opt/nvidia/nsight-systems/2025.1/bin/nsys", "#!", 0755);
  gap("Nsight Systems", condition::pass, false, "export PATH");
  gap("driver", condition::fail, false, "user libraries", [](const char* l) { return std::string_view(l) != "libcuda.so.1"; });
  gap("CUPTI", condition::warn, false, "LD_LIBRARY_PATH", [](const char* l) { return !std::string_view(l).starts_with("libcupti"); });
  gap("NVML", condition::warn, false, "", [](const char*) { return false; });
  std::filesystem::remove(t.dir.path() + "/dev/nvidia0"), std::filesystem::remove(t.dir.path() + "/dev/nvidia1");
  gap("device", condition::fail, false, "--gpus all");
  CHECK(t.examine().limited());
  std::filesystem::remove(t.dir.path() + "/proc/driver/nvidia/version");
  gap("device", condition::warn, false, "server's machine");
  CHECK(!there(t.examine(), "driver"));
  const auto none = t.examine([](const char*) { return false; }, {{"SQLite", "recorded runs", false, "build it"}});
  CHECK((row(none, "SQLite").state == condition::warn));
  CHECK(row(none, "SQLite").next == "build it");
}

TEST_CASE("control: a machine that tells nothing, or nonsense, is unknown and never a crash") {
  tree empty;
  const auto d = empty.examine();
  for (const char* name : {"local ports", "load", "memory", "time stamp counter"}) CHECK((row(d, name).state == condition::unknown));
  CHECK(!there(d, "CPU frequency"));
  tree odd;
  for (const char* path : {"/proc/sys/net/ipv4/ip_local_port_range", "/proc/loadavg", "/proc/meminfo", "/proc/cpuinfo", "/sys/fs/cgroup/cpu.max", "/sys/fs/cgroup/memory.max",
                           "/sys/devices/system/clocksource/clocksource0/current_clocksource", "/proc/driver/nvidia/version"})
    odd.file(path, std::string(300'000, '\xff') + "MemAvailable: 99999999999999999999 kB\nflags");
  for (const model::symptom& s : odd.examine().rows) CHECK(!has(s.value, "\xff"));
}

TEST_CASE("control: this machine is looked at for real") {
  model::diagnosis d;
  int looks = 0;
  do {
    d = {};  // on a busy machine there are moments in which the clocks cannot be compared
    control::examine_machine(d);
  } while (row(d, "receive stamps").state != condition::pass && ++looks < 50);
  CHECK((row(d, "receive stamps").state == condition::pass));
  CHECK(has(row(d, "clock source").value, " ns a read"));
  CHECK(has(row(d, "open files").meaning, "streams at once"));
  auto p = net::probe_stamps();
  for (int again = 0; again < 100 && p && p->stamped == 0; ++again) p = net::probe_stamps();  // a moment in which the clocks could not be compared
  REQUIRE(p.has_value());
  CHECK(p->reads == 8);
  CHECK(p->stamped > 0);  // on a busy machine not of every read
  CHECK(p->lag > nanoseconds{});
  CHECK(p->lag < 1_s);
}

TEST_CASE("control: the limit of open files of the process is told as streams") {
  rlimit before{}, low{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  low = before, low.rlim_cur = 600;
  REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
  model::diagnosis d;
  control::examine_machine(d);
  setrlimit(RLIMIT_NOFILE, &before);
  const auto& s = row(d, "open files");
  CHECK((s.state == condition::warn));
  CHECK(s.limits);
  CHECK(has(s.meaning, "568 streams"));
  CHECK(has(s.next, "ulimit -n"));
}

TEST_CASE("control: an endpoint is asked nothing that makes it work, start or change") {
  for (const char* owner : {"vllm", "sglang", "llamacpp", "tensorrt_llm", "someone"}) {
    engine e;
    e.serves(owner);
    static_cast<void>(e.examine());
    CHECK(e.asked.size() >= 4);
    for (const std::string& what : e.asked) {
      CAPTURE(what);
      const bool harmless = what == "GET /v1/models" || what == "GET /metrics" || what == "GET /prometheus/metrics" || what == "GET /version" || what == "GET /props" || what == "GET /server_info" ||
                            what == "GET /health" || what == "OPTIONS /start_profile";
      CHECK(harmless);
    }
  }
}

TEST_CASE("control: a vLLM with everything, and one with nothing switched on") {
  const std::string folder = metrics_folder();
  if (folder.empty()) return;
  const auto metrics_of = [&](std::string_view file) { return hotpath_test::read_file(folder + "/" + std::string(file)); };
  engine e;
  e.serves("vllm");
  e.page("GET /version", R"({"version":"0.33.0"})");
  e.page("GET /metrics", metrics_of("gen_vllm_0.33_dp2_t2.prom"));
  e.page("OPTIONS /start_profile", R"({"detail":"Method Not Allowed"})", 405);
  const auto d = e.examine();
  CHECK(row(d, "engine").value == "vllm 0.33.0");
  CHECK((row(d, "metrics").state == condition::pass));
  CHECK(has(row(d, "metrics").value, "vllm on /metrics, 2 engines"));
  CHECK((row(d, "engine figures").state == condition::pass));
  CHECK((row(d, "profiler").state == condition::pass));
  CHECK((row(d, "streaming").state == condition::unknown));
  CHECK(has(row(d, "streaming").next, "--send-request"));
  CHECK(!d.limited());

  engine bare;
  bare.serves("vllm");
  const auto b = bare.examine();
  CHECK((row(b, "metrics").state == condition::warn));
  CHECK(row(b, "metrics").limits);
  CHECK(has(row(b, "metrics").next, "without --disable-log-stats"));
  CHECK((row(b, "profiler").state == condition::warn));
  CHECK(has(row(b, "profiler").next, "--profiler-config"));
  CHECK(b.limited());
  bare.page("OPTIONS /start_profile", "", 200);  // a proxy that says yes to every OPTIONS
  CHECK((row(bare.examine(), "profiler").state == condition::unknown));
}

TEST_CASE("control: each engine by its own words, with its own flags") {
  const std::string folder = metrics_folder();
  if (folder.empty()) return;
  const auto metrics_of = [&](std::string_view file) { return hotpath_test::read_file(folder + "/" + std::string(file)); };
  engine sglang;
  sglang.serves("sglang");
  sglang.page("GET /server_info", R"({"model_path":"x","log_level":"warning","version":"0.5.23","internal_states":[{}]})");
  auto d = sglang.examine();
  CHECK(row(d, "engine").value == "sglang 0.5.23");
  CHECK(has(row(d, "metrics").next, "--enable-metrics"));
  CHECK((row(d, "log level").state == condition::warn));
  CHECK(has(row(d, "log level").next, "--log-level info"));
  sglang.page("GET /metrics", metrics_of("gen_sglang_0.5.23_tp2_t2.prom"));
  CHECK(has(row(sglang.examine(), "metrics").value, "sglang on /metrics"));

  engine trt;
  trt.serves("tensorrt_llm");
  trt.page("GET /version", R"({"version":"1.2.1"})");
  trt.page("GET /metrics", R"([{"cpuMemUsage":0,"gpuMemUsage":1,"iter":1}])");
  trt.page("GET /prometheus/metrics", metrics_of("gen_trtllm_t2.prom"));
  d = trt.examine();
  CHECK(row(d, "engine").value == "trtllm 1.2.1");
  CHECK(has(row(d, "metrics").value, "trtllm on /prometheus/metrics"));
  CHECK(has(row(d, "profiler").next, "TLLM_PROFILE_START_STOP"));
  for (const std::string& what : trt.asked) CHECK(!has(what, "start_profile"));

  engine llama;
  llama.serves("llamacpp");
  llama.page("GET /props", R"({"build_info":"b7010-abc","default_generation_settings":{}})");
  d = llama.examine();
  CHECK(row(d, "engine").value == "llamacpp b7010-abc");
  CHECK(has(row(d, "metrics").next, "--metrics"));
  llama.page("GET /metrics", metrics_of("llamacpp_real_2025.txt"));
  CHECK((row(llama.examine(), "engine figures").state == condition::warn));

  engine someone;  // /v1/models does not tell the engine, its metrics do
  someone.page("GET /v1/models", R"({"object":"list","data":[{"id":"x","object":"model"}]})");
  someone.page("GET /metrics", metrics_of("gen_vllm_0.33_dp1_t2.prom"));
  CHECK(row(someone.examine(), "engine").value == "vllm");
}

TEST_CASE("control: what a server answers instead is said as it is") {
  engine e;
  e.page("GET /v1/models", "", 401);
  auto d = e.examine();
  REQUIRE(d.rows.size() == 1);
  CHECK((d.rows[0].state == condition::fail));
  CHECK(has(d.rows[0].next, "--api-key-env"));
  e.page("GET /v1/models", "", 404);
  e.page("GET /health", "", 503);
  e.page("GET /metrics", "<html>\x1b]0;owned\x07</html>");
  d = e.examine();
  CHECK(row(d, "model").limits);
  CHECK((row(d, "health").state == condition::fail));
  CHECK((row(d, "metrics").state == condition::warn));
  e.page("GET /v1/models", R"({"object":"list","data":[]})");
  CHECK(has(row(e.examine(), "model").next, "--model"));
  e.page("GET /v1/models", "\x1b[2J not json");
  for (const model::symptom& s : e.examine().rows)
    for (const std::string& t : {s.value, s.meaning, s.next})
      for (const char c : t) CHECK(static_cast<unsigned char>(c) >= 0x20);
  e.serves("x"), e.page("GET /metrics", "# nothing\nunheard_of 1\n");
  CHECK(row(e.examine(), "metrics").value == "nothing known");
  e.page("GET /metrics", "", 403);
  CHECK(has(row(e.examine(), "metrics").next, "--metrics-url"));
  e.pages["GET /v1/models"] = {.error = "http://engine/v1/models: cannot connect: Connection refused", .status = 0, .body = {}, .took = {}};
  d = e.examine();
  CHECK(d.rows.size() == 1);
  CHECK(has(d.rows[0].meaning, "Connection refused"));
}

// net::tcp that remembers what was sent to which port.
struct recording : net::tcp {
  static inline std::map<std::uint16_t, std::string> wire;
  std::uint16_t port = 0;
  net::io connect(const net::address& to) noexcept {
    port = ntohs(reinterpret_cast<const sockaddr_in&>(to.storage).sin_port);
    return net::tcp::connect(to);
  }
  net::io send(std::string_view out) noexcept {
    wire[port] += out;
    return net::tcp::send(out);
  }
};

TEST_CASE("control: over a socket: a key reaches the endpoint and no other server, and no row") {
  scripted::server server, elsewhere;
  model::diagnosis d;
  const control::endpoint_options options{.headers = {{"Authorization", "Bearer CANARY"}}, .metrics_url = elsewhere.url() + "/other/metrics"};
  REQUIRE(control::examine_endpoint<recording>(d, "http://user:CANARY@" + server.url().substr(7), options));
  CHECK(has(recording::wire[server.port()], "Bearer CANARY"));
  CHECK(has(recording::wire[elsewhere.port()], "GET /other/metrics "));
  CHECK(!has(recording::wire[elsewhere.port()], "Authorization"));
  CHECK(d.endpoint == server.url());
  CHECK((row(d, "reachable").state == condition::pass));
  CHECK(row(d, "model").value == "scripted");
  CHECK(has(row(d, "metrics").value, "vllm on the page"));
  CHECK((row(d, "profiler").state == condition::warn));
  for (const model::symptom& s : d.rows) CHECK(!has(s.value + s.meaning + s.next, "CANARY"));
  CHECK(server.now().requests == 0);  // no POST
  CHECK(elsewhere.now().other == 1);
  server.on("/start_profile", {scripted::say(scripted::http(405, R"({"detail":"Method Not Allowed"})", "allow: POST\r\n"))});
  model::diagnosis with;
  REQUIRE(control::examine_endpoint(with, server.url()));
  CHECK((row(with, "profiler").state == condition::pass));
  model::diagnosis bad;
  CHECK(!control::examine_endpoint(bad, "ftp://x"));
  CHECK(!control::examine_endpoint(bad, server.url(), {.metrics_url = "ftp://x"}));
}

TEST_CASE("control: an endpoint that accepts and never answers ends within its time limit") {
  scripted::server server;
  server.on("/v1/models", {scripted::hold()});
  model::diagnosis d;
  REQUIRE(control::examine_endpoint(d, server.url(), {.timeout = 50_ms}));
  REQUIRE(d.rows.size() == 1);
  CHECK((d.rows[0].state == condition::fail));
  CHECK(has(d.rows[0].meaning, "in time"));
}

TEST_CASE("control: what one answer tells replaces the row that said nothing was tried") {
  const auto with = [](auto&& change) {
    model::request r;
    r.status = model::request_status::ok;
    r.sent = {1_s, model::stamp_source::user, true}, r.first_content = {1'060_ms, model::stamp_source::kernel, true};
    for (int i = 0; i < 8; ++i) r.chunks.append({.at = 1_s, .tokens = 0, .exact = true, .kernel = true});
    r.tokens_from = model::token_source::usage, r.completion_tokens = 8;
    change(r);
    model::diagnosis d;
    d.rows = {{"endpoint", "engine", condition::pass, false, "", "", ""}, {"endpoint", "streaming", condition::unknown, false, "not tried", "", ""}, {"endpoint", "metrics", condition::pass, false, "", "", ""}};
    control::judge_answer(d, r);
    CHECK(d.rows.front().name == "engine");
    CHECK(d.rows.back().name == "metrics");
    return d;
  };
  auto d = with([](model::request&) {});
  CHECK(d.rows.size() == 5);
  CHECK(row(d, "streaming").value == "8 events, first after 60.0 ms");
  CHECK(!d.limited());
  d = with([](model::request& r) {
    r.chunks = {};
    r.chunks.append({.at = 1_s});
  });
  CHECK(row(d, "streaming").limits);
  CHECK(has(row(d, "streaming").next, "proxy"));
  CHECK(row(d, "stamps of arrivals").limits);
  d = with([](model::request& r) { r.tokens_from = model::token_source::chunks; });
  CHECK(row(d, "usage").limits);
  d = with([](model::request& r) { r.status = model::request_status::failed, r.error = model::error_class::http_5xx, r.error_message = "out of memory\x1b[2J"; });
  CHECK((row(d, "streaming").state == condition::fail));
  CHECK(row(d, "streaming").value == "http_5xx");
  CHECK(!has(row(d, "streaming").meaning, "\x1b"));
  CHECK(!there(d, "usage"));
}

TEST_CASE("control: F-OUT-11 the locale changes no number of a diagnosis") {
  const hotpath_test::temp_dir dir;
  hotpath_test::run({"localedef", "--quiet", "-i", "de_DE", "-f", "UTF-8", dir.file("de_DE.UTF-8")});
  setenv("LOCPATH", dir.path().c_str(), 1);
  const bool german = std::setlocale(LC_ALL, "de_DE.UTF-8") != nullptr;
  unsetenv("LOCPATH");
  if (!german) return hotpath_test::skip("localedef cannot make de_DE.UTF-8 (package locales)");
  tree t;
  t.file("/proc/meminfo", "MemAvailable:   16777216 kB\n");
  t.file("/proc/loadavg", "0.75 0.20 0.30 1/100 4711\n");
  const auto d = t.examine();
  std::setlocale(LC_ALL, "C");
  CHECK(row(d, "memory").value == "16.0 GiB available");
  CHECK(has(row(d, "load").value, "0.75 over"));
}
