// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <hotpath/kernel/family.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <support/data.hpp>
#include <vector>

using namespace hotpath;
using kernel::family;

namespace {

std::vector<std::vector<std::string>> rows_of(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.front() == '#') continue;
    rows.emplace_back();
    for (std::size_t begin = 0, end; begin <= line.size(); begin = end + 1) {
      end = std::min(line.find('\t', begin), line.size());
      rows.back().push_back(line.substr(begin, end - begin));
    }
  }
  return rows;
}
std::string our_data(const char* file) { return std::string(hotpath_test::source_dir()) + "/tests/kernel/data/" + file; }

std::string fnv1a(const std::string& s) {
  std::uint64_t h = 0xcbf29ce484222325u;
  for (const char c : s) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(h));
  return text;
}

std::string what(std::string_view raw, kernel::hints h = {}) { return std::string(kernel::family_name(kernel::classify(raw, h).what)); }
std::string detail_of(std::string_view raw) { return std::string(kernel::classify(raw).detail); }

struct name {
  std::string raw, cpu_op, label;
};
// The names of the shared traces with the families that were fixed by hand before the first rule, by hash.
std::map<std::string, name> labelled(const std::string& names_path) {
  std::map<std::string, name> names;
  for (const auto& row : rows_of(names_path)) {
    if (row[0] == "suggested_family") continue;
    REQUIRE(row.size() >= 8);
    names[fnv1a(row[7])] = {row[7], row[4], {}};
  }
  std::size_t found = 0;
  for (const auto& row : rows_of(our_data("kernel-labels.tsv"))) {
    const auto at = names.find(row[1]);
    REQUIRE_MESSAGE(at != names.end(), row[2]);
    family f{};
    REQUIRE_MESSAGE(kernel::family_from_name(row[0], f), row[0]);
    at->second.label = row[0];
    ++found;
  }
  REQUIRE(found == 823);
  REQUIRE(names.size() == 823);
  return names;
}

// The six traces with the smallest SHA-256 among those with 400 GPU events and more.
std::vector<std::string> held_out(const std::string& facts_path) {
  std::ifstream in(facts_path);
  const nlohmann::json facts = nlohmann::json::parse(in);
  std::vector<std::pair<std::string, std::string>> by_hash;
  for (const auto& t : facts.at("traces"))
    if (t.at("gpu_events").get<int>() >= 400) by_hash.emplace_back(t.at("sha256").get<std::string>(), t.at("file").get<std::string>());
  std::sort(by_hash.begin(), by_hash.end());
  std::vector<std::string> files;
  for (std::size_t i = 0; i < 6 && i < by_hash.size(); ++i) files.push_back(by_hash[i].second.substr(0, by_hash[i].second.find('.')));
  return files;
}

}  // namespace

// The protocol. 1. All 823 names were labelled, from the owning operator and the vendors' naming (kernel-labels.tsv). 2. Rules were written on the
// names of the other 20 traces; names met while labelling alone were left out of them. 3. The rules were frozen, and measured on these six once:
// mean over traces 97.7 % of GPU time (dsv3 97.5, control 99.99, test 100.0, gpu_only 90.8, resnet 98.3, xdit 99.9). 4. After that the table was
// extended from the kernel lists of MIOpen, aiter and TensorRT-LLM, never from these traces: 99.6 %, the lowest 97.5 %. What is checked here is that
// it stays so. The labels and the rules are one author's: the names were not unseen, the rules were not made for them.
TEST_CASE("kernel: the families of six traces that no rule was written for are right for 97 % of GPU time and more, with and without operators") {
  const auto names_path = hotpath_test::data_or_skip("torch-traces/kernel-names.tsv");
  const auto facts_path = hotpath_test::data_or_skip("torch-traces/expected-facts.json");
  if (!names_path || !facts_path) return;
  const auto names = labelled(*names_path);
  const auto kept_back = held_out(*facts_path);
  REQUIRE(kept_back.size() == 6);

  struct sum {
    double right = 0, right_by_name = 0, all = 0;
  };
  std::map<std::string, sum> traces;
  sum* t = nullptr;
  std::string wrong;
  for (const auto& row : rows_of(our_data("kernel-times.tsv"))) {
    if (row[0] == "trace") {
      t = &traces[row[1].substr(0, row[1].find('.'))];
      continue;
    }
    const auto at = names.find(row[0]);
    REQUIRE(at != names.end());
    const double ns = std::stod(row[1]);
    t->all += ns;
    if (what(at->second.raw, {.cpu_op = at->second.cpu_op}) == at->second.label) t->right += ns;
    if (what(at->second.raw) == at->second.label) t->right_by_name += ns;
  }
  REQUIRE(traces.size() == 24);
  double mean = 0, mean_by_name = 0, others = 0, all = 0, right = 0;
  for (const auto& [file, s] : traces) {
    all += s.all;
    right += s.right;
    if (std::find(kept_back.begin(), kept_back.end(), file) == kept_back.end()) {
      others += s.right / s.all / 18;
      continue;
    }
    MESSAGE(file << ": " << 100 * s.right / s.all << " % of GPU time right, " << 100 * s.right_by_name / s.all << " % by name alone");
    CHECK(s.right / s.all >= 0.97);
    CHECK(s.right_by_name / s.all >= 0.97);
    mean += s.right / s.all / 6;
    mean_by_name += s.right_by_name / s.all / 6;
  }
  MESSAGE("mean of the six: " << 100 * mean << " %, by name alone " << 100 * mean_by_name << " %; of the other traces " << 100 * others << " %; of all GPU time " << 100 * right / all << " %");
  CHECK(mean >= 0.99);
  CHECK(mean_by_name >= 0.99);
  CHECK(others >= 0.999);
}

TEST_CASE("kernel: names as the libraries write them have their family") {
  std::size_t count = 0;
  for (const auto& row : rows_of(our_data("kernel-families.tsv"))) {
    ++count;
    CHECK_MESSAGE(what(row[1]) == row[0], row[1] << " by " << kernel::classify(row[1]).rule);
  }
  CHECK(count >= 300);
}

// The names that a search for words in the whole lower-cased name gets wrong.
TEST_CASE("kernel: words count only as words, of the function, and by what it wraps") {
  CHECK(what("void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2> > >(int)") == "attention");   // not gemm: cutlass
  CHECK(what("triton_red_fused__to_copy_add_mean_mul_pow_rsqrt") == "norm");                                                          // not memory: copy
  CHECK(what("triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0") == "norm");
  CHECK(what("void vllm::reshape_and_cache_flash_kernel<__nv_bfloat16, unsigned char, (vllm::Fp8KVCacheDataType)1>(int)") == "kv_cache");   // not quant, not attention
  CHECK(what("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::func_wrapper_t<float, at::native::sum_functor<float, float, float>::operator()"
             "(at::TensorIterator&)::{lambda(float, float)#1}>, unsigned int, float, 4> >(int)") == "reduce");                        // not top-k
  CHECK(what("Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT128x256x32_MI16x16x1_SN") == "gemm");                                    // not other
  CHECK(what("void (anonymous namespace)::store_kvcache<2048l, 4, false, long>((anonymous namespace)::StoreKVCacheParams)") == "kv_cache");
  CHECK(what("gemma_rms_norm_kernel") == "norm");
  CHECK(what("gemma_kernel") == "other");
  CHECK(what("passed_kernel") == "other");            // ssd
  CHECK(what("assmbler_kernel") == "other");          // ssm
  CHECK(what("individual_kernel") == "other");        // div
  CHECK(what("fbgemm_gpu::something(int)") == "other");
  CHECK(what("void flash::flash_fwd_splitkv_combine_kernel<int>(int)") == "attention");
  CHECK(what("void deep_ep::internode::combine<false, 8>(int*)") == "comm");
  CHECK(what("_combine") == "attention_decode");      // of split attention, in SGLang's DeepSeek V4
  CHECK(what("moe_finalize_all_reduce") == "comm");
  CHECK(what("void at::native::(anonymous namespace)::upsample_nearest2d_out_frame<float>(float*)") == "elementwise");   // not sampling
  CHECK(what("void batch_norm_kernel<NormTwoOps>(int)") == "norm");
  CHECK(what("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::NormTwoOps<float, float, float>, unsigned int, float, 4> >(int)") == "reduce");
  CHECK(what("void flashinfer::BatchPrefillWithPagedKVCacheKernel<int>(int)") == "attention_prefill");                    // not kv_cache
  CHECK(what("triton_poi_fused__scaled_dot_product_flash_attention_cat_transpose_view_10") == "elementwise");             // an operator it stands beside
  CHECK(what("triton_poi_fused_addmm_gelu_view_15") == "activation");                                                     // not gemm
  CHECK(what("cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_64x64_64x6_tn_align8") == "gemm");                            // not activation
  CHECK(what("Context Sync") == "other");
  CHECK(what("") == "other");
}

TEST_CASE("kernel: grouped products are told from dense ones by their arguments") {
  const std::string head = "void cutlass::device_kernel<cutlass::gemm::kernel::GemmUniversal<", tail = "cute::tuple<int, int, int> >, cutlass::gemm::collective::CollectiveMma<> > >(int)";
  CHECK(what(head + "cutlass::gemm::GroupProblemShape<" + tail) == "moe");
  CHECK(what(head + "cute::tuple<" + tail) == "gemm");
  for (const char* type : {"1", "2", "3"})
    CHECK(what(std::string("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 7168u, (deep_gemm::GemmType)") + type + ">(float*)") == "moe");
  CHECK(what("void deep_gemm::sm90_fp8_gemm_1d2d_impl<0u, 7168u, (deep_gemm::GemmType)0>(float*)") == "gemm");
}

TEST_CASE("kernel: communication names its collective, a copy its direction") {
  CHECK(detail_of("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)") == "all_reduce");
  CHECK(detail_of("ncclDevKernel_ReduceScatter_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)") == "reduce_scatter");
  CHECK(detail_of("ncclDevKernel_AllGather_RING_LL(ncclDevKernelArgsStorage<4096ul>)") == "all_gather");
  CHECK(detail_of("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclWorkElem)") == "send_recv");
  CHECK(detail_of("ncclKernel_Broadcast_RING_LL_Sum_int8_t(ncclDevComm*, unsigned long, ncclWork*)") == "broadcast");
  CHECK(detail_of("ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)") == "");
  CHECK(detail_of("void vllm::cross_device_reduce_1stage<__nv_bfloat16, 8>(vllm::RankData*)") == "all_reduce");
  CHECK(detail_of("void deep_ep::intranode::dispatch<8, 768>(int4*)") == "dispatch");
  CHECK(detail_of("void deep_ep::internode_ll::combine<true, 7168, 9, 9>(void*)") == "combine");
  CHECK(detail_of("(anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(int)") == "all_reduce");
  const std::pair<const char*, const char*> copies[] = {
      {"Memcpy HtoD (Pinned -> Device)", "HtoD"}, {"Memcpy DtoH (Device -> Pageable)", "DtoH"}, {"Memcpy DtoD (Device -> Device)", "DtoD"}, {"Memcpy PtoP (Device -> Device)", "PtoP"},
      {"[CUDA memcpy Host-to-Device]", "HtoD"}, {"[CUDA memcpy Device-to-Host]", "DtoH"}, {"[CUDA memcpy DtoD]", "DtoD"}, {"CopyDeviceToDevice", "DtoD"}, {"CopyHostToDevice", "HtoD"},
      {"Memcpy", ""}};
  for (const auto& [raw, direction] : copies) {
    const std::string name(raw);
    CAPTURE(name);
    CHECK(what(raw) == "memcpy");
    CHECK(detail_of(raw) == direction);
  }
  CHECK(what("Memset (Device)") == "memset");
  CHECK(what("[CUDA memset]") == "memset");
  CHECK(what("MemcpyLikeName_kernel") != "memcpy");
}

TEST_CASE("kernel: the operator and the Python location settle what a name leaves open, and nothing else") {
  CHECK(what("my_kernel") == "other");
  CHECK(what("my_kernel", {.cpu_op = "aten::mm"}) == "gemm");
  CHECK(what("my_kernel", {.cpu_op = "vllm::unified_attention_with_output"}) == "attention");
  CHECK(what("my_kernel", {.cpu_op = "vllm::moe_forward"}) == "moe");
  CHECK(what("my_kernel", {.site = "vllm/v1/sample/sampler.py:88 forward"}) == "sampling");
  CHECK(what("void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float, at::native::ArgMaxOps<float>, unsigned int, long, 4> >(int)",
             {.site = "vllm/v1/sample/sampler.py:88 forward"}) == "sampling");
  CHECK(what("vllm::rms_norm_kernel", {.cpu_op = "aten::mm"}) == "norm");
  CHECK(what("volta_sgemm_128x32_nt", {.cpu_op = "aten::convolution_backward"}) == "gemm");
  CHECK(what("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >(int)", {.cpu_op = "aten::mm"}) == "elementwise");
  // The two halves asked for one by one, as a trace of few names and many launches does.
  for (const char* name : {"my_kernel", "vllm::rms_norm_kernel", "volta_sgemm_128x32_nt", "Memset (Device)"})
    for (const char* op : {"", "aten::mm", "c10d::allreduce_", "no_such_operator"}) {
      const kernel::kernel_identity alone = kernel::classify(name), launch = kernel::classify_launch({.cpu_op = op}), whole = kernel::classify(name, {.cpu_op = op});
      const kernel::kernel_identity& better = alone.guess && !launch.rule.empty() ? launch : alone;
      CHECK_MESSAGE((whole.what == better.what && whole.rule == better.rule && whole.detail == better.detail && whole.guess == alone.guess), name << " by " << op);
    }
  CHECK(kernel::classify_launch({.cpu_op = "c10d::allreduce_"}).detail == "all_reduce");
}

TEST_CASE("kernel: rows of the user come first, keep their text, and are refused without an id of their own") {
  kernel::family_table table;
  const std::size_t built_in = table.size();
  {
    std::string id = "ours", words = "rms_norm_kernel =my_gemm|^zeta", none = "quant";
    CHECK(table.add({.id = id, .what = family::moe, .words = words, .none = none, .detail = "x"}));
    id = words = none = "overwritten";
  }
  CHECK_FALSE(table.add({.id = "ours", .what = family::moe, .words = "a"}));
  CHECK_FALSE(table.add({.id = "gemm", .what = family::moe, .words = "a"}));
  CHECK_FALSE(table.add({.id = "", .what = family::moe, .words = "a"}));
  CHECK_FALSE(table.add({.id = "empty", .what = family::moe, .words = " | ", .none = "wordthatnorowhas"}));
  CHECK(table.classify("wordthatnorowhas").what == family::other);
  CHECK(table.size() == built_in + 1);
  const auto id = table.classify("zeta_kernel");
  CHECK(id.what == family::moe);
  CHECK(id.rule == "ours");
  CHECK(id.detail == "x");
  CHECK(table.classify("a_zeta_kernel").what == family::other);         // not at the beginning
  CHECK(table.classify("zeta_quant_kernel").what == family::quant);     // a word that must not be there
  CHECK(table.add({.id = "before code", .what = family::other, .words = "memcpy"}));
  CHECK(table.classify("Memcpy HtoD (Pinned -> Device)").rule == "before code");
  CHECK(kernel::classify("zeta_kernel").what == family::other);         // the built-in table is another one
}

TEST_CASE("kernel: rows from JSON are added, or refused by number and reason") {
  kernel::family_table table;
  REQUIRE(kernel::add_rows(table, R"([{"id": "a", "family": "kv_cache", "words": "alpha_beta"}, {"id": "b", "family": "gemm", "words": "x", "on": "cpu_op", "source": "us", "weak": false}])").has_value());
  CHECK(table.classify("AlphaBeta").what == family::kv_cache);
  CHECK(table.classify("unknown", {.cpu_op = "ours::x"}).what == family::gemm);
  const auto says = [&](const char* json, const char* part) {
    const auto done = kernel::add_rows(table, json);
    REQUIRE_FALSE(done.has_value());
    CHECK_MESSAGE(done.error().message().find(part) != std::string::npos, done.error().message());
  };
  says(R"([{"id": "c", "family": "gem", "words": "x"}])", "row 1 (c): family is \"gem\"");
  says(R"([{"id": "a", "family": "gemm", "words": "x"}])", "row 1 (a): want an id");
  says(R"([{"id": "d", "family": "gemm", "words": "x", "on": "line"}])", "on is \"line\"");
  says(R"([{"id": "e", "family": "gemm", "words": "x", "colour": 1}])", "row 1 (e): a member");
  says(R"([{"id": "f")", "");
  says(R"({"id": "f"})", "");
}

TEST_CASE("kernel: every family has a word and a class, and the word leads back") {
  for (std::size_t i = 0; i < kernel::family_count; ++i) {
    family f{};
    REQUIRE(kernel::family_from_name(kernel::family_name(static_cast<family>(i)), f));
    CHECK(static_cast<std::size_t>(f) == i);
  }
  CHECK(kernel::family_name(family::graph) == "graph");
  CHECK(kernel::family_name(static_cast<family>(200)) == "other");
  family f = family::norm;
  CHECK_FALSE(kernel::family_from_name("Gemm", f));
  CHECK(f == family::norm);
  using kernel::overlap_class;
  CHECK(kernel::class_of(family::attention_decode) == overlap_class::compute);
  CHECK(kernel::class_of(family::comm) == overlap_class::comm);
  CHECK(kernel::class_of(family::memset) == overlap_class::memory);
  CHECK(kernel::class_of(family::norm) == overlap_class::elementwise);
  CHECK(kernel::class_of(family::graph) == overlap_class::other);
}

TEST_CASE("kernel: an answer names the row that decided") {
  CHECK(kernel::classify("nvjet_tst_64x64").rule == "gemm");
  CHECK(kernel::classify("rope_kernel").rule == "rope-fused");
  CHECK(kernel::classify("triton_red_fused_sum_7").rule == "inductor-reduce");
  CHECK(kernel::classify("unheard_of").rule == "");
}
