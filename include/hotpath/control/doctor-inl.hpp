// SPDX-License-Identifier: Apache-2.0
// hotpath/control/doctor-inl.hpp - bodies of control/doctor.hpp
#pragma once
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <hotpath/control/doctor.hpp>
#include <hotpath/core/json.hpp>
#include <hotpath/core/text.hpp>
#include <hotpath/metrics/page.hpp>
#include <hotpath/net/stamp_probe.hpp>
#include <hotpath/replay/api.hpp>

namespace hotpath::inline HOTPATH_ABI::control {

namespace detail {

using enum condition;

// Without a locale.
inline std::string number(double v, int decimals = 1) {
  char text[400];
  return {text, std::to_chars(text, text + sizeof text, v, std::chars_format::fixed, decimals).ptr};
}
// 1,234,567
inline std::string count(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
  return digits;
}

// The beginning of a file of /proc or /sys; empty: not there.
inline std::string beginning(const std::string& path, std::size_t most = 64 << 10) {
  std::string out;
  if (std::FILE* f = std::fopen(path.c_str(), "re"); f != nullptr) {
    out.resize(most);
    out.resize(std::fread(out.data(), 1, most, f));
    std::fclose(f);
  }
  return out;
}
// The number behind `key` in lines of "key: number"; nothing: not there.
inline std::optional<std::uint64_t> field(std::string_view lines, std::string_view key) {
  const std::size_t at = lines.find(key);
  if (at == std::string_view::npos || (at != 0 && lines[at - 1] != '\n')) return std::nullopt;
  std::string_view rest = lines.substr(at + key.size());
  while (!rest.empty() && (rest.front() == ':' || rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
  std::size_t n = 0;
  while (n < rest.size() && hotpath::text::is_digit(rest[n])) ++n;
  std::uint64_t v = 0;
  if (!hotpath::text::to_number(rest.substr(0, n), v)) return std::nullopt;
  return v;
}
inline bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t i = 0; (i = text.find(word, i)) != std::string_view::npos; i += word.size()) {
    const bool begins = i == 0 || hotpath::text::is_space(text[i - 1]) || text[i - 1] == ':';
    const bool ends = i + word.size() == text.size() || hotpath::text::is_space(text[i + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

// Kept once loaded: what CUPTI's initializers allocate is lost with each unloading (libcupti.so.13).
inline bool loads_by_dlopen(const char* library) {
  void* const handle = ::dlopen(library, RTLD_LAZY | RTLD_LOCAL | RTLD_NODELETE);
  if (handle != nullptr) ::dlclose(handle);
  return handle != nullptr;
}

class machine {
 public:
  machine(diagnosis& d, const machine_options& o) : d_(d), o_(o), loads_(o.loads != nullptr ? o.loads : loads_by_dlopen) {}

  void examine() {
    descriptors(), ports(), processors(), memory();
    time_stamp_counter(), clock_source(), frequency(), receive_stamps();
    for (const part& p : o_.parts)
      add("parts", p.name, p.built ? pass : warn, p.built ? "built in" : "not built in", p.built ? p.gives : "without it no " + p.gives, p.built ? "" : p.next);
    gpu();
  }

 private:
  void add(const char* group, std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    d_.rows.push_back({group, std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  }
  std::string read(const char* path) const { return beginning(o_.root + path); }

  void descriptors() {
    rlimit r{};
    if (::getrlimit(RLIMIT_NOFILE, &r) != 0) return add("machine", "open files", unknown, "", "the limit cannot be read");
    constexpr std::uint64_t own = 32;  // as replay::preflight
    const std::uint64_t streams = r.rlim_cur > own ? r.rlim_cur - own : 0;
    const bool low = r.rlim_cur < 1024;
    const bool higher = r.rlim_max == RLIM_INFINITY || r.rlim_max > 65536;
    add("machine", "open files", low ? warn : pass, r.rlim_cur == RLIM_INFINITY ? "no limit" : count(r.rlim_cur), r.rlim_cur == RLIM_INFINITY ? "any number of streams" : "at most " + count(streams) + " streams at once",
        low ? "ulimit -n " + std::string(higher ? "65536" : std::to_string(r.rlim_max)) : "", low);
  }

  void ports() {
    const std::string range = read("/proc/sys/net/ipv4/ip_local_port_range");
    unsigned first = 0, last = 0;
    if (std::sscanf(range.c_str(), "%u %u", &first, &last) != 2 || last < first) return add("machine", "local ports", unknown, "", "the range cannot be read; the kernel's default has 28,232");
    const unsigned n = last - first + 1;
    add("machine", "local ports", n < 10'000 ? warn : pass, count(n), "at most so many connections to one address; each that is closed keeps its port for a minute",
        n < 10'000 ? "sysctl net.ipv4.ip_local_port_range=\"10000 65000\"" : "", n < 1000);
  }

  void processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    double cpus = ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN));
    std::string value = number(cpus, 0);
    long long quota = 0, period = 0;
    if (std::sscanf(read("/sys/fs/cgroup/cpu.max").c_str(), "%lld %lld", &quota, &period) == 2 && period > 0) {
      const double share = static_cast<double>(quota) / static_cast<double>(period);
      if (share < cpus) value += ", " + number(share) + " by the cgroup", cpus = share;
    }
    add("machine", "CPUs", cpus < 2 ? warn : pass, value, cpus < 2 ? "the client shares its only core with whatever else runs here" : "the client keeps one thread busy at the most by default",
        cpus < 2 ? "run it on another machine than the server" : "");
    double load = 0;
    const std::string loads = read("/proc/loadavg");
    if (!hotpath::text::to_number(std::string_view(loads).substr(0, loads.find(' ')), load)) return add("machine", "load", unknown, "", "not told");
    const bool busy = load > 0.8 * cpus;
    add("machine", "load", busy ? warn : pass, number(load, 2) + " over the last minute", busy ? "others use the cores: the client may be late, and would say so" : "the cores are mostly free",
        busy ? "end what else runs here, or measure from another machine" : "");
  }

  void memory() {
    const auto available = field(read("/proc/meminfo"), "MemAvailable");
    if (!available) return add("machine", "memory", unknown, "", "not told");
    std::uint64_t free = *available * 1024, most = 0, used = 0;
    const std::string limit = read("/sys/fs/cgroup/memory.max"), now = read("/sys/fs/cgroup/memory.current");
    if (hotpath::text::to_number(hotpath::text::trim(limit), most) && hotpath::text::to_number(hotpath::text::trim(now), used)) if (const std::uint64_t left = most > used ? most - used : 0; left < free) free = left;
    const bool low = free < 512ull << 20;
    add("machine", "memory", low ? warn : pass, number(static_cast<double>(free) / (1 << 30)) + " GiB available", low ? "little for a run of many streams" : "about 1.5 KiB per stream are needed",
        low ? "end what else runs here" : "", low);
  }

  // ---- clocks

  void time_stamp_counter() {
    const std::string info = read("/proc/cpuinfo");
    const std::size_t flags = info.find("\nflags");
    if (flags == std::string::npos) {
      const bool arm = info.find("\nFeatures") != std::string::npos;  // its counter runs at one rate by the architecture
      return add("clocks", "time stamp counter", arm ? pass : unknown, arm ? "architectural" : "", arm ? "one rate on every core" : "the processor does not tell");
    }
    const std::string_view line = std::string_view(info).substr(flags + 1, info.find('\n', flags + 1) - flags - 1);
    const bool good = has_word(line, "constant_tsc") && has_word(line, "nonstop_tsc");
    add("clocks", "time stamp counter", good ? pass : warn, good ? "invariant" : "not invariant", good ? "one rate, also when a core sleeps" : "its rate or its run depends on the power state",
        good ? "" : "hotpath takes the kernel's clock; nothing to do unless that is slow, below");
  }

  void clock_source() {
    const std::string source(hotpath::text::trim(read("/sys/devices/system/clocksource/clocksource0/current_clocksource")));
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
      const nanoseconds begin = monotonic_now();
      for (int i = 0; i < 200; ++i) static_cast<void>(monotonic_now());
      const double each = static_cast<double>((monotonic_now() - begin).ns) / 201;
      if (each < best) best = each;
    }
    const bool slow = best > 250;  // a system call each time: hpet, acpi_pm, or a hypervisor in between
    add("clocks", "clock source", slow ? warn : pass, (source.empty() ? "not told" : hotpath::text::printable(source, 32)) + ", " + number(best, 0) + " ns a read",
        slow ? "each reading of the clock is a system call, which slows the client" : "read without a system call", slow ? "boot with clocksource=tsc, or ask the host's operator" : "", best > 2000);
  }

  void frequency() {
    const std::string governor(hotpath::text::trim(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")));
    if (governor.empty()) return;  // a virtual machine: it is the host's to set
    const bool good = governor == "performance";
    add("clocks", "CPU frequency", good ? pass : warn, hotpath::text::printable(governor, 32), good ? "does not follow the load" : "follows the load: the first requests after a pause are slower",
        good ? "" : "cpupower frequency-set -g performance");
  }

  void receive_stamps() {
    const auto p = net::probe_stamps();
    if (!p) return add("clocks", "receive stamps", warn, "no loopback", p.error().message(), "bring the loopback up: ip link set lo up", true);
    if (p->stamped == 0)
      return add("clocks", "receive stamps", warn, "none", "SO_TIMESTAMPNS gives nothing here: arrivals are timed when the client reads them, later when it is busy",
                 "gVisor and some emulators lack it; measure from a plain Linux", true);
    // Not every read needs a stamp that can be used: the bridge of the clocks refuses those of a moment in which the machine was too busy to compare them.
    add("clocks", "receive stamps", pass, std::to_string(p->stamped) + " of " + std::to_string(p->reads) + " reads, " + number(p->lag.us()) + " \u00B5s before the read's end",
        "the kernel times arrivals, however busy the client is");
  }

  // ---- GPU: not needed to measure a server; needed where kernels are to be seen

  void gpu() {
    std::size_t devices = 0;
    if (DIR* const dir = ::opendir((o_.root + "/dev").c_str()); dir != nullptr) {
      while (const dirent* e = ::readdir(dir)) {
        const std::string_view name = e->d_name;
        std::uint64_t number_of_it = 0;  // nvidiactl and nvidia-uvm are none
        if (name.starts_with("nvidia") && hotpath::text::to_number(name.substr(6), number_of_it)) ++devices;
      }
      ::closedir(dir);
    }
    const std::string version = read("/proc/driver/nvidia/version");
    if (devices == 0 && version.empty()) {
      add("GPU", "device", warn, "none", "no NVIDIA GPU here: latency and load are measured all the same, kernels are not", "to see kernels, run hotpath on the server's machine too");
    } else {
      add("GPU", "device", devices != 0 ? pass : fail, devices == 0 ? "none" : std::to_string(devices) + (devices == 1 ? " device" : " devices"),
          devices != 0 ? "NVIDIA, by /dev" : "the driver is loaded, but there is no /dev/nvidia0", devices != 0 ? "" : "start the container with its GPUs (--gpus all), or run nvidia-smi once as root");
      const bool cuda = loads_("libcuda.so.1");
      std::string_view line = std::string_view(version).substr(0, version.find('\n'));
      add("GPU", "driver", !version.empty() && cuda ? pass : fail, version.empty() ? "not loaded" : std::string(hotpath::text::printable(line.substr(0, 120))),
          cuda ? "libcuda loads" : "libcuda.so.1 does not load", version.empty() ? "load the kernel module nvidia" : cuda ? "" : "install the driver's user libraries, of the module's version");
      library("NVML", {"libnvidia-ml.so.1"}, "clocks, memory and power of the GPU", "install the driver's user libraries");
    }
    library("CUPTI", {"libcupti.so", "libcupti.so.13", "libcupti.so.12", "libcupti.so.11.0"}, "kernels traced in process", "install cuda-cupti of the server's CUDA version, and put its lib folder into LD_LIBRARY_PATH");
    nsys();
  }
  void library(const char* name, std::initializer_list<const char*> files, const char* gives, const char* next) {
    for (const char* f : files)
      if (loads_(f)) return add("GPU", name, pass, f, gives);
    add("GPU", name, warn, "not found", std::string("not possible without it: ") + gives, next);
  }
  static bool runs(const std::string& file) {
    struct stat s {};
    return ::stat(file.c_str(), &s) == 0 && S_ISREG(s.st_mode) && ::access(file.c_str(), X_OK) == 0;
  }
  void nsys() {
    const char* const env = std::getenv("PATH");
    std::string found;
    hotpath::text::split(o_.path.empty() && env != nullptr ? std::string_view(env) : std::string_view(o_.path), ':', [&](std::string_view dir) {
      if (found.empty() && !dir.empty() && runs(std::string(dir) + "/nsys")) found = std::string(dir) + "/nsys";
    });
    if (!found.empty()) return add("GPU", "Nsight Systems", pass, hotpath::text::printable(found, 128), "a server can be started under it, and its traces read");
    for (const char* dir : {"/usr/local/cuda/bin", "/opt/nvidia/nsight-systems"}) {
      if (runs(o_.root + dir + "/nsys")) found = std::string(dir) + "/nsys";
      DIR* const folder = ::opendir((o_.root + dir).c_str());
      if (folder == nullptr) continue;
      while (const dirent* e = ::readdir(folder))
        if (const std::string f = std::string(dir) + "/" + e->d_name + "/bin/nsys"; e->d_name[0] != '.' && runs(o_.root + f) && f > found) found = f;
      ::closedir(folder);
    }
    if (!found.empty()) return add("GPU", "Nsight Systems", pass, hotpath::text::printable(found, 128), "installed, not on PATH", "export PATH=\"$PATH:" + found.substr(0, found.rfind('/')) + "\"");
    add("GPU", "Nsight Systems", warn, "not found", "traces of the GPU from outside the server are not possible without it", "install nsight-systems-cli");
  }

  diagnosis& d_;
  const machine_options& o_;
  bool (*const loads_)(const char*);
};

// ---- the endpoint

class endpoint {
 public:
  endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages) : d_(d), ask_(ask), metrics_(metrics), context_(context), pages_(pages) {}

  void examine() {
    if (!models()) return;
    const model::scrape page = read_metrics();  // its names tell the engine better than owned_by, but say nothing without metrics
    if (engine_.empty()) engine_ = page.engine == "generic" ? "" : page.engine;
    who(), health(), streaming(), figures(page), profiler(), log_level();
  }

 private:
  void add(std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    d_.rows.push_back({"endpoint", std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  }
  answer get(std::string_view target) const { return ask_(context_, target, "GET"); }
  static std::string shown(std::string_view s, std::size_t max = 96) { return hotpath::text::printable(s, max); }
  bool models() {
    const answer a = get("/v1/models");
    if (!a.error.empty()) {
      add("reachable", fail, "no", shown(a.error, 512), "is the server up, and is this its address?");
      return false;
    }
    if (a.status == 401 || a.status == 403) {
      add("reachable", fail, "HTTP " + std::to_string(a.status), "it wants a key", "give one with --api-key-env or --api-key-file");
      return false;
    }
    add("reachable", pass, number(a.took.ms()) + " ms", "connected and answered");
    if (a.status != 200) {
      add("model", warn, "HTTP " + std::to_string(a.status), "/v1/models does not tell what is served", "name the model with --model", true);
      return true;
    }
    auto served = replay::read_models(a.body, d_.endpoint + "/v1/models");
    if (!served) {
      add("model", warn, "none told", shown(served.error().message(), 512), "name the model with --model", true);
      return true;
    }
    engine_ = served->engine == "tensorrt_llm" ? "trtllm" : served->engine;
    add("model", pass, shown(served->id), served->takes_token_ids ? "takes token ids: prompts of exact lengths are possible" : "prompts are text: their lengths are approximate");
    return true;
  }

  void who() {
    const replay::version_place place = replay::version_place_of(engine_);
    const answer a = get(place.path);
    const bool told = a.error.empty() && a.status == 200;
    const std::string version = told ? replay::text_member(a.body, place.member) : std::string();
    if (told && engine_ == "sglang") server_info_ = a.body;
    if (engine_.empty() && version.empty())
      return add("engine", unknown, "", "neither /v1/models nor its metrics nor /version tell", "say it with --engine, where it matters");
    add("engine", engine_.empty() ? unknown : pass, (engine_.empty() ? "not told" : shown(engine_)) + (version.empty() ? "" : " " + shown(version)), version.empty() ? "its version is not told" : "by its own word");
  }

  void health() {
    const answer a = get("/health");
    if (!a.error.empty()) return add("health", warn, "no answer", shown(a.error, 512), "", true);
    if (a.status == 200) return add("health", pass, "HTTP 200", "the engine runs");
    if (a.status == 404 || a.status == 405) return add("health", unknown, "no /health", "the server does not tell");
    add("health", fail, "HTTP " + std::to_string(a.status), a.status == 503 ? "still loading, or the engine is dead" : "the server is not well", "look into the server's log");
  }

  void streaming() { add("streaming", unknown, "not tried", "no request that generates tokens was sent", "--send-request sends one of a few tokens"); }

  model::scrape read_metrics() {
    model::scrape s;
    for (const std::string_view path : pages_) {
      page_ = metrics_(context_, path, "GET");
      page_path_ = path.empty() ? "the page" : std::string(path);
      if (!page_.error.empty()) break;
      if (page_.status != 200) continue;
      s = metrics::read_page(page_.body);
      if (s.ok() && metrics::kind_of(page_.body) != metrics::body_kind::iteration_stats) return s;  // else perhaps the other one is text
      if (&path == &pages_.back()) return s;
    }
    return s;
  }

  // How an engine's metrics are switched on.
  std::string metrics_flag() const {
    if (engine_ == "vllm") return "start vLLM without --disable-log-stats";
    if (engine_ == "sglang") return "start SGLang with --enable-metrics (all ranks: --enable-metrics-for-all-schedulers)";
    if (engine_ == "trtllm") return "start trtllm-serve with return_perf_metrics: true and enable_iter_perf_stats: true among its LLM arguments";
    if (engine_ == "llamacpp") return "start llama-server with --metrics";
    return "switch the server's metrics on, or say where they are with --metrics-url";
  }

  void figures(const model::scrape& s) {
    if (!page_.error.empty()) return add("metrics", warn, "no answer", shown(page_.error, 512), metrics_flag(), true);
    if (page_.status == 401 || page_.status == 403) return add("metrics", warn, "HTTP " + std::to_string(page_.status), "they want a key", "give one with --header, or the metrics' own address with --metrics-url", true);
    if (page_.status != 200) return add("metrics", warn, "HTTP " + std::to_string(page_.status), "reports will have no figures of the engine", metrics_flag(), true);
    if (!s.ok()) return add("metrics", warn, "not metrics", shown(s.error, 512), metrics_flag(), true);
    if (s.series.empty()) return add("metrics", warn, "nothing known", "the page has no name that is known: reports will have no figures of the engine", metrics_flag(), true);
    std::array<bool, model::engine_metrics.size()> has{};
    std::vector<std::string_view> sources;
    for (const model::metric_series& m : s.series) {
      has[static_cast<std::size_t>(m.what)] = true;
      bool seen = false;
      for (const std::string_view known : sources) seen = seen || known == m.source;
      if (!seen) sources.push_back(m.source);
    }
    std::size_t n = 0;
    for (const bool h : has) n += h ? 1 : 0;
    std::string problems;
    for (const std::string& p : s.problems) problems += "; " + shown(p, 128);
    add("metrics", s.problems.empty() ? pass : warn, (s.engine.empty() ? "generic" : s.engine) + " on " + page_path_ + (sources.size() > 1 ? ", " + std::to_string(sources.size()) + " engines" : ""),
        std::to_string(n) + " of " + std::to_string(has.size()) + " figures that reports can show" + problems);
    std::string missing;
    for (const model::engine_metric m : {model::engine_metric::running, model::engine_metric::waiting, model::engine_metric::kv_usage, model::engine_metric::preemptions, model::engine_metric::prefix_queries,
                                         model::engine_metric::prompt_tokens, model::engine_metric::generation_tokens, model::engine_metric::queue, model::engine_metric::prefill,
                                         model::engine_metric::decode, model::engine_metric::ttft, model::engine_metric::itl, model::engine_metric::e2e})
      if (!has[static_cast<std::size_t>(m)]) missing += (missing.empty() ? "" : ", ") + std::string(model::facts_of(m).name);
    if (missing.empty()) return add("engine figures", pass, "all", "queue, prefill, decode, latencies, KV cache, prefix hits, preemptions, tokens");
    const bool once = engine_ == "vllm" || engine_ == "sglang";  // their histograms appear with the first request
    add("engine figures", warn, "not all", "not told: " + missing, engine_ == "trtllm" ? metrics_flag() : once ? "some appear with the first request; others are of newer versions" : "this engine may not have them");
  }

  void profiler() {
    if (engine_ == "trtllm")
      return add("profiler", unknown, "no route", "TensorRT-LLM is profiled by its environment", "start it with TLLM_PROFILE_START_STOP=A-B, and TLLM_TORCH_PROFILE_TRACE=FILE");
    if (engine_ == "llamacpp") return add("profiler", unknown, "no route", "llama.cpp has none", "run the server under nsys");
    // OPTIONS starts nothing anywhere: a route that exists answers it with 405 and says what it allows.
    const answer a = ask_(context_, "/start_profile", "OPTIONS");
    if (!a.error.empty()) return add("profiler", unknown, "no answer", shown(a.error, 512));
    const std::string flag = engine_ == "vllm" ? "start vLLM with --profiler-config '{\"profiler\":\"torch\",\"torch_profiler_dir\":\"/abs/dir\"}'" : "";
    if (a.status == 404) return add("profiler", warn, "not enabled", "kernels of this server cannot be traced on request", flag.empty() ? "start the server with its profiler, or under nsys" : flag);
    if (a.status == 405) return add("profiler", pass, "there", engine_ == "sglang" ? "/start_profile answers; it may want the admin key" : "/start_profile answers");
    add("profiler", unknown, "HTTP " + std::to_string(a.status), "whether /start_profile is there cannot be told without starting a profile", flag);
  }

  void log_level() {
    const std::string level = replay::text_member(server_info_, "log_level");
    if (!level.empty())
      return add("log level", level == "info" || level == "debug" ? pass : warn, shown(level, 32), level == "info" || level == "debug" ? "batches are logged" : "batches are not logged",
                 level == "info" || level == "debug" ? "" : "start SGLang with --log-level info");
    add("log level", unknown, "not told", "servers do not tell it over HTTP",
        engine_ == "vllm" ? "for steps and requests in vLLM's log: VLLM_LOGGING_LEVEL=DEBUG and --enable-logging-iteration-details" : "");
  }

  diagnosis& d_;
  const asker ask_, metrics_;
  void* const context_;
  const std::span<const std::string_view> pages_;
  answer page_;
  std::string engine_, server_info_, page_path_;
};

}  // namespace detail

HOTPATH_FN void examine_machine(diagnosis& d, const machine_options& options) { detail::machine{d, options}.examine(); }

HOTPATH_FN void examine_endpoint(diagnosis& d, asker ask, asker metrics, void* context, std::span<const std::string_view> pages) {
  detail::endpoint{d, ask, metrics, context, pages}.examine();
}

HOTPATH_FN void judge_answer(diagnosis& d, const model::request& r) {
  std::vector<symptom> rows;
  const auto add = [&](std::string name, condition state, std::string value, std::string meaning, std::string next = {}, bool limits = false) {
    rows.push_back({"endpoint", std::move(name), state, limits, std::move(value), std::move(meaning), std::move(next)});
  };
  if (r.status != model::request_status::ok) {
    add("streaming", condition::fail, std::string(name_of(r.error)), hotpath::text::printable(r.error_message, 512), "send one by hand, and look into the server's log");
  } else {
    const std::size_t n = r.chunks.count();
    const std::string value = detail::count(n) + (n == 1 ? " event" : " events") + ", first after " + detail::number((r.first_content.at - r.sent.at).ms()) + " ms";
    if (n > 1) add("streaming", condition::pass, value, "tokens arrive as they are made");
    else add("streaming", condition::warn, value, "the whole answer came at once: TTFT and TPOT cannot be told apart", "does a proxy between here and the server buffer it?", true);
    if (r.tokens_from == model::token_source::usage) add("usage", condition::pass, "told", "token counts are the server's own");
    else add("usage", condition::warn, "not told", "token counts are guesses: one per event", "does a proxy drop stream_options.include_usage?", true);
    std::size_t kernel = 0;
    auto log = r.chunks.read();
    while (const auto e = log.next()) kernel += e->kernel ? 1u : 0u;
    add("stamps of arrivals", kernel == n ? condition::pass : condition::warn, detail::count(kernel) + " of " + detail::count(n) + " by the kernel",
        kernel == n ? "on the way from this server, too" : "the others are the client's own clock, later when it is busy", "", kernel == 0);
  }
  for (std::size_t i = 0; i < d.rows.size(); ++i) {
    if (d.rows[i].name != "streaming") continue;
    d.rows.erase(d.rows.begin() + static_cast<std::ptrdiff_t>(i));
    d.rows.insert(d.rows.begin() + static_cast<std::ptrdiff_t>(i), rows.begin(), rows.end());
    return;
  }
  d.rows.insert(d.rows.end(), rows.begin(), rows.end());
}

}  // namespace hotpath::inline HOTPATH_ABI::control
