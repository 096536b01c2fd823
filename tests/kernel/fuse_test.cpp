// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fstream>
#include <hotpath/kernel/detail/fuse_words.hpp>
#include <hotpath/kernel/family.hpp>
#include <hotpath/kernel/fuse.hpp>
#include <hotpath/kernel/name.hpp>
#include <hotpath/kernel/step.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#include "dom.hpp"
#include "support/data.hpp"

using namespace hotpath;
using namespace hotpath::kernel;

namespace {

struct launch {
  std::uint32_t stream = 7;
  double us = 1;
  std::string op = {}, place = {}, name = {};
};

// A subject of kernels that follow each other, one microsecond between them on their stream, classified by the rules of the product.
class typed {
 public:
  // Each repetition of the list is a layer; half of them belong to each of two steps.
  typed(const std::vector<launch>& list, const std::string& device, int repeat = 6) {
    trace.processes.resize(1);
    trace.devices.push_back({.name = device});
    s.steps.steps.resize(2);
    std::int64_t now = 0;
    for (int r = 0; r < repeat; ++r)
      for (const launch& k : list) add(k, now, r * 2 / repeat), now += static_cast<std::int64_t>(k.us * 1000) + 1000;
    s.trace = &trace;
  }
  void add(const launch& k, std::int64_t begin, int step) {
    const bool set = k.name.starts_with("Memset"), copy = k.name.starts_with("Memcpy");
    trace.gpu.push_back({.begin = nanoseconds{begin}, .duration = nanoseconds{static_cast<std::int64_t>(k.us * 1000)}, .name = trace.names.intern(k.name), .stream = k.stream,
                         .kind = set ? model::gpu_kind::set : copy ? model::gpu_kind::copy : model::gpu_kind::kernel});
    s.identities.push_back({trace.names.intern(k.name), canonical_name(k.name), short_name(k.name), classify(k.name, {.cpu_op = k.op, .site = k.place})});
    const auto i = static_cast<std::uint32_t>(s.chosen.size());
    s.identity_of.push_back(same(k, i)), s.map.site_of.push_back(s.map.sites.intern({.cpu_op = k.op, .location = k.place})), s.chosen.push_back(i);
    s.steps.step_of.push_back(static_cast<std::uint32_t>(step)), s.steps.stage_of.push_back(stage::all);
    launches.push_back(k);
  }
  model::timeline trace;
  subject s;
  std::vector<launch> launches;

 private:
  std::uint32_t same(const launch& k, std::uint32_t i) const {
    for (std::uint32_t j = 0; j < launches.size(); ++j)
      if (launches[j].name == k.name && launches[j].op == k.op && launches[j].place == k.place) return j;
    return i;
  }
};

const fusion_row* find(const fusion_table& t, std::string_view id, fusion_state state) {
  for (const auto& row : t.rows)
    if (row.id == id && row.state == state) return &row;
  return nullptr;
}
std::string text_of(const fusion_table& t) {
  std::string out;
  for (const auto& row : t.rows) out += row.id + (row.state == fusion_state::opportunity ? " opportunity " : " fused ") + row.confidence + "; ";
  if (t.similarity) out += t.similarity->first + ": " + t.similarity->second;
  return out;
}

// tests/kernel/data/fuse/<id>.txt: framework, device and args hold for the lists below them; a kernel's line is "stream microseconds | operator | place | name".
struct kernel_list {
  std::string framework, device, args, kind;         // kind: "positive opportunity", "positive already_fused", "negative"
  std::vector<launch> launches;
};
std::vector<kernel_list> lists_of(const std::string& path) {
  std::vector<kernel_list> out;
  kernel_list now;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.starts_with("framework ")) now.framework = line.substr(10);
    else if (line.starts_with("device ")) now.device = line.substr(7);
    else if (line.starts_with("args ")) now.args = line.substr(5);
    else if (line.starts_with("positive ") || line == "negative") now.kind = line, now.launches.clear(), out.push_back(now);
    else {
      launch k;
      std::size_t at = 0;
      k.stream = static_cast<std::uint32_t>(std::stoul(line, &at));
      k.us = std::stod(line.substr(at));
      std::string* const parts[] = {&k.op, &k.place, &k.name};
      std::size_t bar = line.find(" | ");
      for (std::string* part : parts) {
        const std::size_t next = part == &k.name ? std::string::npos : line.find(" | ", bar + 3);
        *part = line.substr(bar + 3, next == std::string::npos ? next : next - bar - 3);
        if (*part == "-") part->clear();
        bar = next;
      }
      out.back().launches.push_back(k);
    }
  }
  return out;
}

fusion_table run(const kernel_list& l, double min_share = 0) {
  const typed t(l.launches, l.device);
  const auto args = *parse_server_args(l.args);
  return fuse(t.s, stage::all, {.framework = l.framework, .args = &args, .min_share = min_share});
}

// A real trace, everything chosen: names, steps, operators through the external id; no places.
struct real {
  std::unique_ptr<model::timeline> held;                // the subject points to it, wherever this object goes
  subject s;
  explicit real(model::timeline read) : held(std::make_unique<model::timeline>(std::move(read))) {
    const model::timeline& t = *held;
    s.trace = &t, s.steps = find_steps(t);
    std::vector<std::pair<std::uint64_t, name_id>> ops;
    for (const auto& o : t.ops)
      if (o.external != model::no_id) ops.emplace_back(o.external, o.name);
    std::vector<std::pair<name_id, name_id>> known;
    for (std::uint32_t i = 0; i < t.gpu.size(); ++i) {
      name_id op = 0;
      if (ops.size() < 20'000)                        // the large traces do without: quadratic
        for (const auto& [external, name] : ops)
          if (external == t.gpu[i].external) { op = name; break; }
      std::uint32_t id = 0;
      while (id < known.size() && known[id] != std::pair(t.gpu[i].name, op)) ++id;
      if (id == known.size()) {
        known.emplace_back(t.gpu[i].name, op);
        const std::string_view raw = t.name(t.gpu[i].name);
        s.identities.push_back({t.gpu[i].name, canonical_name(raw), short_name(raw), classify(raw, {.cpu_op = t.name(op)})});
      }
      s.identity_of.push_back(id), s.map.site_of.push_back(s.map.sites.intern(kernel::site_text{.cpu_op = t.name(op)})), s.chosen.push_back(i);
    }
  }
};
std::optional<real> open(const std::string& file) {
  const auto path = hotpath_test::data_or_skip("torch-traces/" + file);
  if (!path) return {};
  return real(hotpath_test::load_dom(*path));
}

const launch gemm{.us = 40, .name = "nvjet_tst_64x64_64x16_2x1_v_bz_TNT"};
const launch rms{.us = 6, .name = "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*)"};
const launch quant{.us = 4, .name = "void vllm::scaled_fp8_quant_kernel_strided<c10::BFloat16, c10::Float8_e4m3fn>(c10::Float8_e4m3fn*)"};
const launch rope{.us = 7, .name = "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)"};
const launch store{.us = 5, .name = "void (anonymous namespace)::store_kvcache<2048l, 4, false, long>(StoreKVCacheParams)"};
const launch all_reduce{.us = 20, .name = "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(RankData*)"};

}  // namespace

TEST_CASE("kernel: every executable fusion pattern finds its kernels, and not those that only look like them") {
  std::size_t tried = 0;
  for (const fuse_pattern& p : builtin_patterns()) {
    if (!p.id.starts_with('F')) continue;
    const auto lists = lists_of(std::string(hotpath_test::source_dir()) + "/tests/kernel/data/fuse/" + p.id + ".txt");
    std::size_t positive = 0, negative = 0;
    for (const kernel_list& l : lists) {
      CAPTURE(p.id);
      CAPTURE(l.kind);
      const fusion_table t = run(l);
      const bool opportunity = find(t, p.id, fusion_state::opportunity) != nullptr, fused = find(t, p.id, fusion_state::already_fused) != nullptr;
      if (l.kind == "negative") {
        ++negative;
        CHECK_MESSAGE(!opportunity, text_of(t));
        CHECK_MESSAGE(!fused, text_of(t));
      } else {
        ++positive;
        CHECK_MESSAGE(opportunity == (l.kind == "positive opportunity"), text_of(t));
        CHECK_MESSAGE(fused == (l.kind == "positive already_fused"), text_of(t));
      }
    }
    CHECK_MESSAGE(positive == 1, p.id);
    CHECK_MESSAGE(negative == 1, p.id);
    ++tried;
  }
  CHECK(tried == 47);
}

TEST_CASE("kernel: on a known framework no pattern of another one fires") {
  for (const fuse_pattern& p : builtin_patterns()) {
    if (!p.id.starts_with('F')) continue;
    for (kernel_list l : lists_of(std::string(hotpath_test::source_dir()) + "/tests/kernel/data/fuse/" + p.id + ".txt")) {
      if (l.kind == "negative") continue;
      const std::string own = l.framework;
      for (const std::string_view other : {"sglang", "vllm", "trtllm", "tokenspeed"}) {
        l.framework = other;
        for (const auto& row : run(l).rows)
          for (const fuse_pattern& q : builtin_patterns())
            if (q.id == row.id) CHECK_MESSAGE((q.frameworks.empty() || q.frameworks.find(other) != std::string::npos), p.id << " as " << other << ": " << q.id);
      }
      l.framework = "unknown";
      for (const auto& row : run(l).rows) CHECK_MESSAGE(row.state == fusion_state::already_fused, p.id << " as unknown: " << row.id);
    }
  }
}

TEST_CASE("kernel: an opportunity counts the kernels that would disappear, and its gain is bounded by their time") {
  const typed t({gemm, rms, quant}, "NVIDIA H100");
  const fusion_table table = fuse(t.s, stage::all, {.framework = "vllm", .min_share = 0});
  const fusion_row* const row = find(table, "F34", fusion_state::opportunity);
  REQUIRE(row != nullptr);
  CHECK(row->related == 24_us);                         // six times the quantization; the norm, longer, stays
  CHECK(row->share == doctest::Approx(100.0 * 4 / 50));
  CHECK(row->repetitions == 6);
  CHECK(*row->adjacency == doctest::Approx(100));
  CHECK(*row->gain_per_step == 12_us);                  // two steps
  CHECK(row->confidence == "confirmed");
  REQUIRE(row->evidence.size() == 2);
  CHECK(row->evidence[0].second == doctest::Approx(12));
  CHECK(row->candidate == "vllm/compilation/passes/fusion/rms_quant_fusion.py");
  CHECK(row->rationale == "RMSNorm and quantization can be one kernel; here 2 follow each other on one stream in 6 of 6 repetitions");
}

TEST_CASE("kernel: of a chain with a collective only the launch gap is gained, but for the memory-bound part") {
  const typed t({gemm, all_reduce, rms}, "NVIDIA H100");
  const auto args = *parse_server_args(R"({"tensor_parallel_size":8})");
  const fusion_table table = fuse(t.s, stage::all, {.framework = "vllm", .args = &args, .min_share = 0});
  const fusion_row* const row = find(table, "C089", fusion_state::opportunity);
  REQUIRE(row != nullptr);
  CHECK(row->confidence == "low");
  CHECK(row->related == 36_us);
  CHECK(*row->gain_per_step == 18_us);                  // the norm's own time bounds gap and traffic
  launch slow = rms;
  slow.us = 30;                                         // now the all-reduce is the shorter one: its time is not traffic
  const typed u({gemm, all_reduce, slow}, "NVIDIA H100");
  const fusion_table other = fuse(u.s, stage::all, {.framework = "vllm", .args = &args, .min_share = 0});
  REQUIRE(find(other, "C089", fusion_state::opportunity) != nullptr);
  CHECK(*find(other, "C089", fusion_state::opportunity)->gain_per_step == 3_us);   // three gaps of 1 us a step
}

TEST_CASE("kernel: kernels that follow each other in fewer than 80 of 100 repetitions are no opportunity") {
  const auto adjacent = [&](int together, int apart) {
    typed t({}, "NVIDIA H100");
    std::int64_t now = 0;
    const auto add = [&](const launch& k) { t.add(k, now, 0), now += 100'000; };
    for (int i = 0; i < together; ++i) add(rms), add(quant), add(gemm);
    for (int i = 0; i < apart; ++i) add(rms), add(gemm), add(quant), add(gemm);
    const fusion_table table = fuse(t.s, stage::all, {.framework = "vllm", .min_share = 0});
    return find(table, "F34", fusion_state::opportunity) != nullptr;
  };
  CHECK(adjacent(8, 2));
  CHECK_FALSE(adjacent(79, 21));
  CHECK_FALSE(adjacent(1, 0));                          // once is no loop
  CHECK(adjacent(2, 0));
}

TEST_CASE("kernel: a chain does not go across a step, and a copy between its kernels is looked through once") {
  const launch copy{.us = 1, .name = "Memcpy DtoD (Device -> Device)"};
  const auto fires = [&](std::vector<launch> list) {
    const typed t(list, "NVIDIA H100");
    const auto table = fuse(t.s, stage::all, {.framework = "vllm", .min_share = 0});
    return find(table, "F34", fusion_state::opportunity) != nullptr;
  };
  CHECK(fires({gemm, rms, copy, quant}));
  CHECK_FALSE(fires({gemm, rms, copy, copy, quant}));
  typed t({}, "NVIDIA H100");
  std::int64_t now = 0;
  t.s.steps.steps.resize(9);
  for (int i = 0; i < 8; ++i) t.add(rms, now, i), now += 9'000, t.add(quant, now, i + 1), now += 9'000;
  CHECK(find(fuse(t.s, stage::all, {.framework = "vllm", .min_share = 0}), "F34", fusion_state::opportunity) == nullptr);
}

TEST_CASE("kernel: conditions are told with their state, and a flag that is off is said") {
  const typed t({gemm, all_reduce, rms}, "NVIDIA H100");
  const auto table = [&](std::string_view json) {
    const auto args = *parse_server_args(json);
    return fuse(t.s, stage::all, {.framework = "sglang", .args = &args, .min_share = 0});
  };
  const auto conditions = [](const fusion_row* row) {
    std::string out;
    if (row != nullptr)
      for (const auto& [text, state] : row->conditions) out += text + (state == condition_state::met ? " +; " : state == condition_state::not_met ? " -; " : " ?; ");
    return out;
  };
  CHECK(conditions(find(table(R"({"tp_size":8,"enable_flashinfer_allreduce_fusion":false})"), "F01", fusion_state::opportunity)) ==
        "framework is sglang +; tp_size >= 2 (it is 8) +; platform is cuda +; enable_flashinfer_allreduce_fusion is off -; ");
  const auto off = table(R"({"tp_size":8,"enable_flashinfer_allreduce_fusion":false})");
  CHECK(find(off, "F01", fusion_state::opportunity)->rationale.ends_with("; enable_flashinfer_allreduce_fusion is off"));
  CHECK(find(off, "F01", fusion_state::opportunity)->confidence == "confirmed");
  CHECK(conditions(find(table(R"({"enable_flashinfer_allreduce_fusion":true,"enable_deterministic_inference":true})"), "F01", fusion_state::opportunity)) ==
        "framework is sglang +; tp_size >= 2 (a collective ran) +; platform is cuda +; enable_flashinfer_allreduce_fusion is on +; enable_deterministic_inference is on -; ");
  const auto one = table(R"({"tp_size":1})");
  CHECK(one.rows.empty());
  REQUIRE(one.similarity);
  CHECK(one.similarity->first == "high");
  CHECK(one.similarity->second.find("tp_size >= 2 (it is 1)") != std::string::npos);
}

TEST_CASE("kernel: the similarity note is high, medium or low by rule, and absent beside an opportunity") {
  const launch norm_k{.us = 6, .name = "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*)"};
  const auto note = [&](std::vector<launch> list, std::string_view framework, std::string_view json = "{}") {
    const typed t(list, "AMD Instinct MI300X");
    const auto args = *parse_server_args(json);
    return fuse(t.s, stage::all, {.framework = framework, .args = &args});
  };
  // High: Qwen3's chain, all adjacent, in a model that is not known; medium: the cache write of a chain of three is missing; low: not adjacent.
  const auto high = note({gemm, norm_k, rope, store}, "unknown");
  REQUIRE(high.similarity);
  CHECK(high.similarity->first == "high");
  CHECK(high.similarity->second.find("framework is") != std::string::npos);
  CHECK(high.rows.empty());
  const fuse_pattern three{.id = "T", .name = "three", .chain = {{"rmsnorm"}, {"rope|rotary"}, {"store kvcache"}}};
  const auto own = [&](std::vector<launch> list) {
    const typed t(list, "AMD Instinct MI300X");
    return fuse(t.s, stage::all, {.framework = "sglang", .patterns = std::span(&three, 1)});
  };
  CHECK(own({gemm, norm_k, rope, store}).rows.size() == 1);
  CHECK_FALSE(own({gemm, norm_k, rope, store}).similarity);
  REQUIRE(own({gemm, norm_k, rope, gemm}).similarity);
  CHECK(own({gemm, norm_k, rope, gemm}).similarity->first == "medium");
  REQUIRE(own({norm_k, gemm, rope, gemm, store}).similarity);
  CHECK(own({norm_k, gemm, rope, gemm, store}).similarity->first == "low");
  CHECK_FALSE(own({gemm, norm_k, gemm}).similarity);
}

TEST_CASE("kernel: a pattern that names another one replaces it, and one with the same kernels is not said twice") {
  const auto ids = [](const std::vector<fuse_pattern>& patterns) {
    const typed t({gemm, rms, quant}, "NVIDIA H100");
    std::string out;
    for (const auto& row : fuse(t.s, stage::all, {.framework = "vllm", .patterns = patterns, .min_share = 0}).rows) out += row.id;
    return out;
  };
  const fuse_pattern wide{.id = "A", .name = "A", .chain = {{"rmsnorm"}, {"quant"}}, .priority = 5};
  fuse_pattern wide_alone = wide, other{.id = "B", .name = "B", .chain = {{"is:gemm"}, {"rmsnorm"}}}, same{.id = "C", .name = "C", .chain = {{"norm|rmsnorm"}, {"quant"}}};
  wide_alone.suppresses = "X|B";
  CHECK(ids({wide, other}).size() == 2);
  CHECK(ids({other, wide_alone}) == "A");
  CHECK(ids({same, wide}) == "A");
}

TEST_CASE("kernel: rows below the share are counted, not shown") {
  const typed t({gemm, rms, quant, gemm, gemm}, "NVIDIA H100");
  const auto all = fuse(t.s, stage::all, {.framework = "vllm", .min_share = 0}), cut = fuse(t.s, stage::all, {.framework = "vllm", .min_share = 50});
  CHECK(all.rows.size() == 1);
  CHECK(cut.rows.empty());
  CHECK(cut.hidden_rows == all.rows.size());
}

TEST_CASE("kernel: chains that no pattern knows are listed, those that one names are not") {
  const launch pow{.us = 5, .op = "aten::pow", .name = "void at::native::vectorized_elementwise_kernel<4, at::native::(anonymous namespace)::pow_tensor_scalar_kernel_impl<float, float>(at::TensorIteratorBase&)::{lambda()#1}, std::array<char*, 2ul> >(int)"};
  const launch mean{.us = 4, .op = "aten::mean", .name = "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::MeanOps<float, float, float, float>, unsigned int, float, 4> >(int)"};
  const typed t({gemm, pow, mean, gemm, rms, quant}, "NVIDIA H100");
  const auto table = fuse(t.s, stage::all, {.framework = "vllm"});
  CHECK(find(table, "F34", fusion_state::opportunity) != nullptr);
  REQUIRE(table.chains.size() == 1);
  CHECK(table.chains[0].kernels.size() == 2);
  CHECK(table.chains[0].repetitions == 6);
  CHECK(*table.chains[0].gain_per_step == 12_us);
  CHECK(fuse(t.s, stage::all, {.framework = "vllm", .chains = 0}).chains.empty());
}

TEST_CASE("kernel: words of all patterns are found in one pass as they are one by one") {
  kernel::detail::word_list words;
  kernel::detail::fuse_terms terms;
  for (const fuse_pattern& p : builtin_patterns()) {
    CHECK(kernel::detail::compile_words(p.fused, words, terms));
    for (const fuse_group& g : p.chain) CHECK((kernel::detail::compile_words(g.any, words, terms) && kernel::detail::compile_words(g.none, words, terms)));
  }
  for (const char* more : {"v", "x", "3d", "rms", "a b c"}) static_cast<void>(words.add(more));
  CHECK(words.size() > 300);
  std::size_t found = 0;
  const auto compare = [&](const std::string& text) {
    std::vector<std::uint8_t> has(words.size());
    words.mark(text, has.data());
    for (std::uint32_t w = 1; w < words.size(); ++w) {
      CHECK_MESSAGE((has[w] != 0) == match_words(text, words[w]), text << " / " << words[w]);
      found += has[w];
    }
  };
  for (const fuse_pattern& p : builtin_patterns()) {
    if (!p.id.starts_with('F')) continue;
    for (const kernel_list& l : lists_of(std::string(hotpath_test::source_dir()) + "/tests/kernel/data/fuse/" + p.id + ".txt"))
      for (const launch& k : l.launches)
        for (const std::string& text : {words_of(k.name).function, kernel::detail::plain_words(k.op), kernel::detail::plain_words(k.place)}) compare(text);
  }
  for (const char* text : {"", " ", " v ", " v 3 d ", "rms norm", " fused add rms norm 2 d ", " a b ", " a b c d ", " x1 "}) compare(text);
  CHECK(found > 200);
}

TEST_CASE("kernel: words in a template argument, a type or part of a word are no evidence") {
  const launch att{.us = 40, .name = "void paged_attention_ll4mi_QKV_mfma16_kernel<0, __hip_bfloat16, (vllm::Fp8KVCacheDataType)0, 1, 128>(__hip_bfloat16 const*)"};
  const launch ck{.us = 40, .name = "void ck_tile::kentry<2, ck_tile::FmhaBatchPrefillWithPagedKVCacheKernel<ck_tile::BlockFmhaPipeline>>(int)"};
  const launch gemma{.us = 5, .name = "void gemma_normal_europe_kernel<float>(float*)"};
  for (const auto& list : {std::vector{gemm, rope, att}, std::vector{gemm, rope, ck}, std::vector{gemm, gemma, store}})
    for (const std::string_view framework : {"sglang", "vllm", "trtllm", "tokenspeed"}) {
      const typed t(list, "NVIDIA H100");
      const auto table = fuse(t.s, stage::all, {.framework = framework, .min_share = 0});
      for (const auto& row : table.rows) CHECK_MESSAGE(row.state == fusion_state::already_fused, text_of(table));
    }
}

TEST_CASE("kernel: built-in fusion patterns are whole: 47 with lists of kernels, 137 of the reading list, distinct ids, words that can be compared") {
  std::size_t f = 0, c = 0;
  for (const fuse_pattern& p : builtin_patterns()) {
    f += p.id.starts_with('F'), c += p.id.starts_with('C');
    CHECK_MESSAGE((!p.fused.empty() || !p.chain.empty()), p.id);
    CHECK_MESSAGE(p.low == !p.id.starts_with('F'), p.id);
    CHECK_MESSAGE(p.chain.size() <= 8, p.id);
    for (const fuse_group& g : p.chain) CHECK_MESSAGE(!g.any.empty(), p.id);
    for (const fuse_pattern& q : builtin_patterns()) CHECK_MESSAGE((&p == &q || p.id != q.id), p.id);
  }
  CHECK(f == 47);
  CHECK(c == 137);
  // Written as a user would, all of them pass the checks of user patterns: no empty word, no family that does not exist.
  std::string json = "[";
  const auto quote = [](std::string_view s) { std::string out = "\""; for (const char ch : s) { if (ch == '"' || ch == '\\') out += '\\'; out += ch; } return out + "\""; };
  for (const fuse_pattern& p : builtin_patterns()) {
    json += (json.size() > 1 ? ",{\"id\":" : "{\"id\":") + quote(p.id) + ",\"fused\":" + quote(p.fused) + ",\"fused_none\":" + quote(p.fused_none) + ",\"chain\":[";
    for (std::size_t g = 0; g < p.chain.size(); ++g) json += std::string(g != 0 ? "," : "") + "{\"any\":" + quote(p.chain[g].any) + ",\"none\":" + quote(p.chain[g].none) + "}";
    json += "]}";
  }
  const auto back = parse_patterns(json + "]");
  REQUIRE_MESSAGE(back, back.error().message());
  CHECK(back->size() == builtin_patterns().size());
}

TEST_CASE("kernel: patterns of a user extend the built-in ones, replace one of the same id, or all") {
  const auto mine = parse_patterns(R"({"patterns":[{"id":"X1","frameworks":["vllm","sglang"],"chain":[{"any":["my norm","rmsnorm"],"none":"gated"},"quant"],"min_tp":1,"priority":7,)"
                                   R"("min_share":0.5,"what":"norm and quant","candidate":"my/file.py","toggles":["a","!b"]},{"id":"F34","fused":"other"}]})");
  REQUIRE_MESSAGE(mine, mine.error().message());
  CHECK(mine->size() == builtin_patterns().size() + 1);
  const fuse_pattern& x = (*mine)[mine->size() - 2];
  CHECK(x.id == "X1");
  CHECK(x.name == "X1");
  CHECK(x.frameworks == "vllm|sglang");
  CHECK(x.chain[0].any == "my norm|rmsnorm");
  CHECK(x.chain[0].none == "gated");
  CHECK(x.chain[1].any == "quant");
  CHECK(x.toggles == "a|!b");
  const typed t({gemm, rms, quant}, "NVIDIA H100");
  const auto table = fuse(t.s, stage::all, {.framework = "vllm", .patterns = *mine});
  CHECK(find(table, "X1", fusion_state::opportunity) != nullptr);
  CHECK(find(table, "F34", fusion_state::opportunity) == nullptr);
  // Of patterns for the same kernels the user's is shown, unless it says otherwise.
  for (const auto& [priority, shown] : {std::pair{"", true}, {",\"priority\":-1", false}}) {
    const auto own = parse_patterns(std::string(R"([{"id":"X2","chain":["rmsnorm","quant"])") + priority + "}]");
    REQUIRE(own);
    CHECK((find(fuse(t.s, stage::all, {.framework = "vllm", .patterns = *own}), "X2", fusion_state::opportunity) != nullptr) == shown);
  }
  const auto alone = parse_patterns(R"({"patterns":[{"id":"X1","fused":["rms norm"]}],"replace":true})");
  REQUIRE(alone);
  CHECK(alone->size() == 1);
  const auto fused = fuse(t.s, stage::all, {.patterns = *alone});
  REQUIRE(fused.rows.size() == 1);
  CHECK(fused.rows[0].state == fusion_state::already_fused);
  CHECK(fused.rows[0].related == 36_us);
}

TEST_CASE("kernel: user patterns that cannot mean anything are refused with the reason") {
  const auto message = [](std::string_view json) {
    const auto r = parse_patterns(json);
    REQUIRE_MESSAGE(!r, json);
    return r.error().message();
  };
  CHECK(message("5") == "want {\"patterns\": [..]}");
  CHECK(message("[{\"fused\":\"a\"}]") == "pattern 1: it has no id");
  CHECK(message("[{\"id\":\"a\",\"fused\":\"b\"},{\"id\":\"a\",\"fused\":\"b\"}]") == "pattern 2: the id a is there twice");
  CHECK(message("[{\"id\":\"a\"}]") == "pattern 1: neither \"fused\" nor \"chain\" has words");
  CHECK(message("[{\"id\":\"a\",\"fused\":\"b\",\"fusd\":1}]") == "pattern 1: unknown member \"fusd\"");
  CHECK(message("[{\"id\":\"a\",\"fused\":\"is:gem\"}]") == "pattern 1: \"is:gem\" is no word, or no family follows is:");
  CHECK(message("[{\"id\":\"a\",\"fused\":\"x||y\"}]").find("no word") != std::string::npos);
  CHECK(message("[{\"id\":\"a\",\"chain\":[{\"any\":\"\"},\"b\"]}]") == "pattern 1: a group of the chain has no words");
  CHECK(message("[{\"id\":\"a\",\"chain\":[{\"some\":\"b\"}]}]") == "pattern 1: unknown member \"some\" of a group, want any or none");
  CHECK(message("[{\"id\":\"a\",\"fused\":5}]") == "pattern 1: \"fused\" wants a text or a list of texts");
  CHECK(message("[{\"id\":\"a\",\"fused\":\"b\",\"min_tp\":0}]") == "pattern 1: min_tp must be from 1 to 1000000");
  CHECK(message("{\"pattern\":[]}").find("unknown member \"pattern\"") != std::string::npos);
  CHECK(message("[{\"id\":\"a\",").find("line 1") == 0);
}

TEST_CASE("kernel: nothing to look at is an empty table") {
  CHECK(fuse(subject{}, stage::decode).rows.empty());
  CHECK(fuse(subject{}, stage::decode).at == stage::decode);
  const typed t({gemm, rms, quant}, "NVIDIA H100");
  CHECK(fuse(t.s, stage::decode, {.framework = "vllm"}).rows.empty());
}

TEST_CASE("kernel: no pattern is an opportunity on traces that are of no serving framework, even when one is claimed") {
  for (const char* file : {"tracelens/hf_bert-small_h100.json.gz", "tracelens/hf_owlv2-large_h100.json.gz", "hta/timeline_sampled_rank0.json.gz", "tracelens/gpu_only_mi210.json.gz",
                           "deepseek/dsv3_train_dualpipe.json.gz", "hta/cpu_only_rank34.pt.trace.json.gz"}) {
    const auto r = open(file);
    if (!r) return;
    for (const char* framework : {"", "sglang", "vllm", "trtllm", "tokenspeed"}) {
      const auto args = *parse_server_args(R"({"tp_size":8,"model_path":"deepseek glm qwen3 qwen3.5 minimax kimi ltx gpt-oss"})");
      for (std::size_t at = 0; at < std::size(model::stage_names); ++at)
        for (const auto& row : fuse(r->s, static_cast<stage>(at), {.framework = framework, .args = *framework != 0 ? &args : nullptr, .min_share = 0}).rows)
          CHECK_MESSAGE(row.state == fusion_state::already_fused, file << " as " << framework << ": " << row.id);
    }
  }
}

TEST_CASE("kernel: on serving traces the chains that repeat are found, and the type Fp8KVCacheDataType is no quantization") {
  const auto sglang = open("tracelens/sglang_qwen3-8b_decode_mi3xx.json.gz");
  if (!sglang) return;
  const auto table = fuse(sglang->s, stage::decode, {.framework = "sglang"});
  const fusion_row* const norm_rope = find(table, "F05", fusion_state::opportunity);
  REQUIRE_MESSAGE(norm_rope != nullptr, text_of(table));
  CHECK(norm_rope->repetitions == 36);                  // the layers of Qwen3-8B
  CHECK(*norm_rope->adjacency == doctest::Approx(100));
  CHECK(norm_rope->related == nanoseconds{165'971});     // summed from the file by another program: the shorter of each norm and the rotary embedding behind it
  CHECK(*norm_rope->gain_per_step == norm_rope->related);
  CHECK(find(table, "F03", fusion_state::already_fused) != nullptr);
  CHECK(find(table, "F17", fusion_state::opportunity) == nullptr);
  const sequence seq = sequence_of(sglang->s, stage::decode);
  std::uint64_t layers = 0;
  for (const auto& part : seq.parts)
    if (const auto l = find_loop(seq.tokens_of(part))) layers = (std::max)(layers, l->repetitions);
  CHECK(layers == 36);

  const auto vllm = open("tracelens/vllm_b200_eager_prefill.json.gz");
  if (!vllm) return;
  const auto b200 = fuse(vllm->s, stage::prefill, {.framework = "vllm"});
  const fusion_row* const ar = find(b200, "C089", fusion_state::opportunity);
  REQUIRE_MESSAGE(ar != nullptr, text_of(b200));
  CHECK(ar->repetitions == 73);                         // two per layer of 36, and the embedding's
  CHECK(ar->related == nanoseconds{456'644});
  CHECK(ar->rationale.find("in 73 of 73 repetitions, with a copy between them in 73") != std::string::npos);
  CHECK(find(b200, "F32", fusion_state::opportunity) == nullptr);
  CHECK(find(b200, "F34", fusion_state::opportunity) == nullptr);
  CHECK(find(b200, "F41", fusion_state::already_fused) != nullptr);

  const auto prefill = open("tracelens/sglang_qwen3-8b_prefill_mi3xx.json.gz");
  if (!prefill) return;
  const auto bf16 = fuse(prefill->s, stage::prefill, {.framework = "vllm", .min_share = 0});   // its norm kernel has "quant" in its name and quantizes nothing
  for (const char* id : {"F32", "F34", "F35", "C090", "C091", "C093"}) CHECK_MESSAGE(find(bf16, id, fusion_state::opportunity) == nullptr, id);
}
