// SPDX-License-Identifier: Apache-2.0
// bench_trace FILE [READS] - reads a Kineto JSON trace, plain or gzip, into a timeline; one line of JSON with GB/s of text, by way.
//   bench_trace --make FILE MIB [NAMES.tsv] writes a synthetic trace, and FILE.gz beside it: 60 % Python frames, GPU events, API calls, operators
//     with nested args, 2 % of the strings with escapes, above 3 million events per GB; kernel names from the last column of NAMES.tsv (or made up).
//   one core: one thread; two cores: two. The best of READS (3) counts. peak_rss and rows are of the last read.
//   tests/bench/traces runs it beside CPython's json, orjson and HTA.
#include <sys/resource.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json.hpp>
#include <zlib.h>
#include <hotpath/trace.hpp>
#include <hotpath/trace/zlib.hpp>
#if HOTPATH_HAS_ISAL
#include <hotpath/trace/isal.hpp>
#endif

using namespace hotpath;

namespace {

std::uint64_t state = 1;
std::uint64_t random(std::uint64_t below) { return ((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % below; }

std::vector<std::string> kernel_names(const char* tsv) {
  std::vector<std::string> out;
  if (tsv != nullptr) {
    std::ifstream in(tsv);
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#' || line.starts_with("suggested_family")) continue;
      std::string name;
      for (const char c : line.substr(line.rfind('\t') + 1)) {
        if (c == '"' || c == '\\') name += '\\';
        name += c;
      }
      out.push_back(name);
    }
  }
  for (int i = 0; out.size() < 800; ++i)
    out.push_back("void at::native::vectorized_elementwise_kernel<4, made::up_functor_" + std::to_string(i) + "<c10::BFloat16>, std::array<char*, 3ul> >(int, made::up_functor_" + std::to_string(i) +
                  "<c10::BFloat16>, std::array<char*, 3ul>)");
  return out;
}

// Writes to a plain file and a gzip one at once.
class both_files {
 public:
  both_files(const std::string& path) : plain_(std::fopen(path.c_str(), "wb")), packed_(gzopen((path + ".gz").c_str(), "wb4")) {}
  ~both_files() {
    flush();
    std::fclose(plain_);
    gzclose(packed_);
  }
  bool ok() const { return plain_ != nullptr && packed_ != nullptr; }
  void put(std::string_view s) {
    buffer_ += s, bytes += s.size();
    if (buffer_.size() > (1 << 20)) flush();
  }
  std::uint64_t bytes = 0;

 private:
  void flush() {
    std::fwrite(buffer_.data(), 1, buffer_.size(), plain_);
    gzwrite(packed_, buffer_.data(), static_cast<unsigned>(buffer_.size()));
    buffer_.clear();
  }
  std::FILE* plain_;
  gzFile packed_;
  std::string buffer_;
};

int make(const char* path, std::uint64_t bytes, const char* tsv) {
  const std::vector<std::string> kernels = kernel_names(tsv);
  std::vector<std::string> frames, ops;
  for (int i = 0; i < 1500; ++i)
    frames.push_back("/usr/lib/python3/site-packages/engine/layers/module_" + std::to_string(i % 90) + ".py(" + std::to_string(10 + i * 7 % 900) + "): forward_" + std::to_string(i) + (i % 50 == 0 ? "\\n\\u00e9" : ""));
  for (int i = 0; i < 120; ++i) ops.push_back("aten::operator_" + std::to_string(i) + (i % 50 == 0 ? "\\\"q\\\"" : ""));
  both_files out(path);
  if (!out.ok()) return std::perror(path), 1;
  out.put("{\n  \"schemaVersion\": 1,\n  \"deviceProperties\": [{\"id\": 0, \"name\": \"Made GPU\", \"totalGlobalMem\": 85018279936, \"computeMajor\": 9, \"computeMinor\": 0, \"numSms\": 132}],\n  \"with_stack\": 1,\n  \"traceEvents\": [\n");
  struct launch { unsigned long long correlation, op; };
  std::vector<launch> launched;  // kernels run in the order of their launches
  std::size_t next_launch = 0;
  unsigned long long last_op = 1;
  std::uint64_t n = 0, id = 1, us = 4909914216210;
  char text[4096];
  while (out.bytes < bytes) {
    if (n++ != 0) out.put(",\n");
    us += 1 + random(4);
    const auto fraction = static_cast<unsigned>(random(1000));
    const auto part = random(100);
    const auto e = static_cast<unsigned long long>(id), t = static_cast<unsigned long long>(us);
    if (n % 3000 == 1) {  // an engine step; 2.5 us an event
      std::snprintf(text, sizeof text, "  {\"ph\": \"X\", \"cat\": \"user_annotation\", \"name\": \"execute_context_%d(%d)_generation_%d(%d)\", \"pid\": 251, \"tid\": 251, \"ts\": %llu.%03u, \"dur\": 7400.5, \"args\": {\"External id\": %llu}}",
                    n % 9000 == 1, n % 9000 == 1 ? 4096 : 0, n % 9000 == 1 ? 0 : 32, n % 9000 == 1 ? 0 : 32, t, fraction, e);
    } else if (part < 60) {
      std::snprintf(text, sizeof text, "  {\"ph\": \"X\", \"cat\": \"python_function\", \"name\": \"%s\", \"pid\": 251, \"tid\": 251, \"ts\": %llu.%03u, \"dur\": %u.%03u, \"args\": {\"Python parent id\": %llu, \"Python id\": %llu, \"Ev Idx\": %llu}}",
                    frames[random(frames.size())].c_str(), t, fraction, static_cast<unsigned>(random(900)), fraction, e, e + 1, e + 7);
    } else if (part < 75) {
      std::snprintf(text, sizeof text,
                    "  {\"ph\": \"X\", \"cat\": \"cpu_op\", \"name\": \"%s\", \"pid\": 251, \"tid\": 251, \"ts\": %llu.%03u, \"dur\": %u.%03u, \"args\": {\"External id\": %llu, \"Record function id\": 0, \"Concrete Inputs\": [\"\", \"%s\", \"[1, 2]\"], \"Input type\": [\"c10::BFloat16\", "
                    "\"Scalar\", \"\"], \"Input Strides\": [[4096, 1], [], []], \"Input Dims\": [[32, 4096], [], []], \"Ev Idx\": %llu}}",
                    ops[random(ops.size())].c_str(), t, fraction, 1 + static_cast<unsigned>(random(90)), fraction, last_op = e, random(50) == 0 ? "\\u0041\\n" : "False", e + 7);
    } else if (part < 85) {
      std::snprintf(text, sizeof text, "  {\"ph\": \"X\", \"cat\": \"cuda_runtime\", \"name\": \"cudaLaunchKernel\", \"pid\": 251, \"tid\": 251, \"ts\": %llu.%03u, \"dur\": 4.%03u, \"args\": {\"External id\": %llu, \"cbid\": 211, \"correlation\": %llu}}", t, fraction, fraction, last_op, e);
      launched.push_back({e, last_op});
    } else if (part < 93 && next_launch < launched.size()) {
      const launch& l = launched[next_launch++];
      std::snprintf(text, sizeof text,
                    "  {\"ph\": \"X\", \"cat\": \"kernel\", \"name\": \"%s\", \"pid\": 0, \"tid\": 7, \"ts\": %llu.%03u, \"dur\": %u.%03u, \"args\": {\"External id\": %llu, \"queued\": 0, \"device\": 0, \"context\": 1, \"stream\": 7, \"correlation\": %llu, \"registers per thread\": %u, "
                    "\"shared memory\": 0, \"blocks per SM\": 5.300000, \"warps per SM\": 21.200001, \"grid\": [%u, 106, 1], \"block\": [128, 1, 1], \"est. achieved occupancy %%\": 33}}",
                    kernels[random(kernels.size())].substr(0, 3000).c_str(), t, fraction, static_cast<unsigned>(random(90)), fraction, l.op, l.correlation, 16 + 8 * static_cast<unsigned>(random(8)), 1 + static_cast<unsigned>(random(64)));
    } else {
      std::snprintf(text, sizeof text, "  {\"ph\": \"%c\", \"id\": %llu, \"pid\": 251, \"tid\": 251, \"ts\": %llu.%03u, \"cat\": \"ac2g\", \"name\": \"ac2g\", \"bp\": \"e\"}", part & 1 ? 's' : 'f', e, t, fraction);
    }
    id += 1 + random(3);
    out.put(text);
  }
  out.put("\n  ],\n  \"traceName\": \"made\"\n}\n");
  std::printf("%llu events, %llu bytes\n", static_cast<unsigned long long>(n), static_cast<unsigned long long>(out.bytes));
  return 0;
}

// The anchor: nlohmann's SAX parser with a handler that does nothing, on the first 16 MiB of the text.
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
double nlohmann_gb_s(const char* path) {
  std::string text(16 << 20, '\0');
  gzFile f = gzopen(path, "rb");  // plain files too
  text.resize(static_cast<std::size_t>(std::max(0, gzread(f, text.data(), static_cast<unsigned>(text.size())))));
  gzclose(f);
  ignore handler;
  const std::clock_t begin = std::clock();
  nlohmann::json::sax_parse(text, &handler);
  return static_cast<double>(text.size()) / (static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC) / 1e9;
}

struct outcome {
  double gb_s = 0, cpu_gb_s = 0;   // by the clock; by processor time of all threads, which other programs disturb less
  std::uint64_t text = 0, events = 0, rows = 0, row_bytes = 0;
};
template <class Inflater>
bool measure(const char* path, unsigned threads, int reads, outcome& best) {
  for (int i = 0; i < reads; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const std::clock_t begin_cpu = std::clock();
    auto t = trace::read<Inflater>(path, {.threads = threads});
    const double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const double cpu = static_cast<double>(std::clock() - begin_cpu) / CLOCKS_PER_SEC;
    if (!t) return std::fprintf(stderr, "%s\n", t.error().message().c_str()), false;
    best.gb_s = std::max(best.gb_s, static_cast<double>(t->about.text_bytes) / s / 1e9);
    best.cpu_gb_s = std::max(best.cpu_gb_s, static_cast<double>(t->about.text_bytes) / cpu / 1e9);
    best.text = t->about.text_bytes, best.events = t->about.events;
    best.rows = t->gpu.size() + t->api.size() + t->ops.size() + t->frames.size() + t->annotations.size() + t->syncs.size();
    best.row_bytes = t->gpu.size() * sizeof(model::gpu_event) + t->api.size() * sizeof(model::api_call) + t->ops.size() * sizeof(model::cpu_op) + t->frames.size() * sizeof(model::frame) +
                     t->annotations.size() * sizeof(model::annotation) + t->syncs.size() * sizeof(model::sync_event);
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 4 && std::string_view(argv[1]) == "--make") return make(argv[2], std::strtoull(argv[3], nullptr, 10) << 20, argc > 4 ? argv[4] : nullptr);
  if (argc < 2) return std::fprintf(stderr, "bench_trace FILE [READS] | bench_trace --make FILE MIB [NAMES.tsv]\n"), 2;
  const int reads = argc > 2 ? std::atoi(argv[2]) : 3;
  const bool packed = std::string_view(argv[1]).ends_with(".gz");
  outcome o;
  std::string line = "{";
  const auto row = [&]<class Inflater>(const char* name, Inflater*, unsigned threads) {
    o = {};
    if (!measure<Inflater>(argv[1], threads, reads, o)) std::exit(3);
    char text[128];
    std::snprintf(text, sizeof text, "\"%s_gb_s\": %.3f, \"%s_per_cpu_second\": %.3f, ", name, o.gb_s, name, o.cpu_gb_s);
    line += text;
  };
  if (!packed) {
    row("one_core", static_cast<trace::plain*>(nullptr), 1);
    row("two_cores", static_cast<trace::plain*>(nullptr), 2);
  } else {
    row("zlib_one_core", static_cast<trace::zlib*>(nullptr), 1);
    row("zlib_two_cores", static_cast<trace::zlib*>(nullptr), 2);
#if HOTPATH_HAS_ISAL
    row("isal_one_core", static_cast<trace::isal*>(nullptr), 1);
    row("isal_two_cores", static_cast<trace::isal*>(nullptr), 2);
#endif
  }
  struct rusage use {};
  ::getrusage(RUSAGE_SELF, &use);
  char anchor[64];
  std::snprintf(anchor, sizeof anchor, "\"nlohmann_sax_per_cpu_second\": %.3f, ", nlohmann_gb_s(argv[1]));
  line += anchor;
  std::printf("%s\"text_bytes\": %llu, \"events\": %llu, \"bytes_per_row\": %.1f, \"rows_mib\": %.1f, \"peak_rss_mib\": %.1f}\n", line.c_str(), static_cast<unsigned long long>(o.text), static_cast<unsigned long long>(o.events),
              o.rows != 0 ? static_cast<double>(o.row_bytes) / static_cast<double>(o.rows) : 0.0, static_cast<double>(o.row_bytes) / (1 << 20), static_cast<double>(use.ru_maxrss) / 1024);
  return 0;
}
