// SPDX-License-Identifier: Apache-2.0
// Any bytes as a workload file: what comes out is JSON that reads back as the same, every line is accounted for, a second pass
// gives the same requests. The first byte chooses the options.
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <hotpath/replay/workload.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {
namespace replay = hotpath::replay;

void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_traffic_jsonl: %s\n", what.c_str());
  std::abort();
}

// A regular file without a disk.
struct memory_file {
  int fd = ::memfd_create("traffic", MFD_CLOEXEC);
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  void hold(std::string_view bytes) {
    require(::ftruncate(fd, 0) == 0 && ::pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()), "memfd");
  }
};

std::vector<replay::workload_item> read(replay::workload& w, bool& failed) {
  std::vector<replay::workload_item> out;
  failed = false;
  for (replay::workload_item item;;) {
    auto more = w.next(item);
    failed = !more;
    if (failed) {
      const std::string m = more.error().message();
      require(!m.empty() && m.find('\n') == std::string::npos, "an error that is not one line: " + m);
    }
    if (failed || !*more) return out;
    require(item.row == out.size(), "rows out of order");
    out.push_back(item);
  }
}

void check(const replay::workload_item& item) {
  require(nlohmann::json::accept(item.prompt_json), "a prompt that is no JSON: " + item.prompt_json);
  require(nlohmann::json::accept("{\"x\":1" + item.extra_json + "}"), "members that are no JSON: " + item.extra_json);
  require(item.max_tokens && *item.max_tokens >= 1, "max_tokens below 1");
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static memory_file file, second;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  file.hold(bytes);
  replay::workload_options options;
  options.keep_text = true;
  options.strict = (data[0] & 1) != 0;
  options.skip_empty = (data[0] & 2) != 0;
  options.forward_unknown = (data[0] & 4) == 0;
  if ((data[0] & 8) != 0) options.chat = (data[0] & 16) != 0;
  if ((data[0] & 32) != 0) options.line_limit = 64;
  auto w = replay::workload::open(file.path, options);
  if (!w) return 0;
  bool failed = false;
  const auto first = read(*w, failed);
  for (const auto& item : first) check(item);
  const std::size_t lines = static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n')) + 1;
  require(first.size() + w->lost().total() <= lines, "more requests and losses than lines");
  require(w->problems().size() == std::min<std::uint64_t>(10, w->lost().total()), "losses that are not told");
  if (failed || first.empty()) return 0;
  require(w->rows() == first.size(), "rows() is not their number");

  std::string written;
  for (const auto& item : first) append_jsonl(written, item);
  second.hold(written);
  auto same = replay::workload::open(second.path, {.skip_empty = false, .strict = true, .keep_text = true});
  require(same.has_value(), "what was written is not read");
  const auto back = read(*same, failed);
  require(!failed && back.size() == first.size(), "what was written has other requests");
  for (std::size_t i = 0; i < back.size(); ++i) {
    const auto &a = first[i], &b = back[i];
    require(a.prompt_json == b.prompt_json && a.extra_json == b.extra_json && a.max_tokens == b.max_tokens && a.given_id == b.given_id && a.chat == b.chat &&
                (!b.prompt_tokens_planned || a.prompt_tokens_planned == b.prompt_tokens_planned) &&  // of made-up words the plan is lost
                a.arrived.has_value() == b.arrived.has_value() && (!a.arrived || std::llabs(a.arrived->ns - b.arrived->ns) < 2'000) && a.prompt_bytes == b.prompt_bytes && a.prompt_text == b.prompt_text,
            "a request came back as another: " + a.prompt_json);
  }

  const auto loss = w->lost().total();
  require(w->rewind().has_value(), "rewind");
  const auto again = read(*w, failed);
  require(!failed && again.size() == first.size() && w->lost().total() == loss, "a second pass has other requests");
  for (const auto& item : again) check(item);
  return 0;
}
