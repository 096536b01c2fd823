// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fstream>
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/name.hpp>
#include <set>
#include <string>
#include <support/data.hpp>
#include <vector>

using namespace hotpath;

namespace {
std::string joined(const std::vector<std::string_view>& parts) {
  std::string out;
  for (const auto p : parts) out.append(out.empty() ? "" : ",").append(p);
  return out;
}
}  // namespace

TEST_CASE("kernel: a canonical name has one blank at a time, no parameters, and 0xADDR for an address") {
  using kernel::canonical_name;
  CHECK(canonical_name("void  f<(int)4>\n(float*,\tint)") == "void f<(int)4>");
  CHECK(canonical_name("void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*, int)") == "void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>");
  CHECK(canonical_name("ncclKernel_AllReduce_RING_LL_Sum_float(ncclWorkElem)") == "ncclKernel_AllReduce_RING_LL_Sum_float");
  CHECK(canonical_name("void (anonymous namespace)::f<int>(int)") == "void (anonymous namespace)::f<int>");
  CHECK(canonical_name("std::enable_if<(((8)>(0)))&&vllm::X<int>::exists, void>::type vllm::f<int, 8>(int*)") ==
        "std::enable_if<(((8)>(0)))&&vllm::X<int>::exists, void>::type vllm::f<int, 8>");
  CHECK(canonical_name("kernel_0x7f12ab34cd_x") == "kernel_0xADDR_x");
  CHECK(canonical_name("f<0x7F12AB34>()") == "f<0xADDR>");
  CHECK(canonical_name("f 0x12345") == "f 0x12345");                                      // five digits are no address
  CHECK(canonical_name("Cijk_Alik_Bljk_BBS_BH_MT320x256x64_MI16x16x1") == "Cijk_Alik_Bljk_BBS_BH_MT320x256x64_MI16x16x1");
  CHECK(canonical_name("MT320x256000x64") == "MT320x256000x64");
  CHECK(canonical_name("Memcpy HtoD (Pinned -> Device)") == "Memcpy HtoD (Pinned -> Device)");
  CHECK(canonical_name("Memset (Device)") == "Memset (Device)");
  CHECK(canonical_name("f<X::operator()(int) const::{lambda()#1}>(X) [clone .kd]") == "f<X::operator()(int) const::{lambda()#1}>");
  CHECK(canonical_name("void <unnamed>::f<ns::<unnamed>::X<int>>(T1 *)") == "void (anonymous namespace)::f<ns::(anonymous namespace)::X<int>>");   // as nsys writes it
  CHECK(canonical_name("f(int") == "f(int");                                              // cut off: as it is
  CHECK(canonical_name("") == "");
}

TEST_CASE("kernel: mangled names are read, also those the compiler's demangler does not know") {
  CHECK(kernel::demangle("_ZN5aiter4normIfEEvPT_") == "void aiter::norm<float>(float*)");
  CHECK(kernel::demangle("_ZN5aiter4normIDF16bEEvPT_i") == "void aiter::norm<std::bfloat16_t>(std::bfloat16_t*, int)");   // DF16b: not in libstdc++ 12
  CHECK(kernel::demangle("_ZN5aiter4normIfEEvPT_.kd") == "void aiter::norm<float>(float*)");
  CHECK(kernel::demangle("_Znonsense") == "_Znonsense");
  CHECK(kernel::demangle("_ZN5aiter") == "_ZN5aiter");
  CHECK(kernel::demangle("plain") == "plain");
  // A non-type parameter of the 2023 ABI ("Tn"): the identifiers are still read.
  const char* tn = "_ZN7sgl_hip10activation18act_and_mul_kernelI14__hip_bfloat16TnPFT_RKS3_EXadL_Z4siluIS2_ES3_S5_EEEEvPS3_PS4_i";
  CHECK(kernel::has_token_sequence(tn, "act and mul"));
  CHECK(kernel::words_of(tn).function == " sgl hip activation act and mul kernel ");
  CHECK(kernel::words_of("_ZN7ck_tile6kentryILi2ENS_7FmhaFwdITnDaEEEEvv").function.find("| fmha fwd") != std::string::npos);   // what a wrapper wraps
}

TEST_CASE("kernel: words are found between the edges of words, in the function, across its spelling") {
  using kernel::has_token_sequence;
  for (const char* rms : {"vllm::fused_add_rms_norm_kernel<8>(int)", "void flashinfer::norm::RMSNormKernel<8u>(int)", "Rmsnorm2dFwd", "rmsnorm", "my_RmsNorm_f32"}) {
    CAPTURE(rms);
    CHECK(has_token_sequence(rms, "rmsnorm"));
    CHECK(has_token_sequence(rms, "RMS_Norm"));
  }
  CHECK(has_token_sequence("vllm::fused_add_rms_norm_kernel<8>(int)", "fused add rmsnorm"));
  CHECK_FALSE(has_token_sequence("vllm::fused_add_rms_norm_kernel<8>(int)", "fused rmsnorm"));     // add stands between
  CHECK_FALSE(has_token_sequence("gemma_kernel", "mma"));
  CHECK_FALSE(has_token_sequence("gemma_kernel", "gemm"));
  CHECK_FALSE(has_token_sequence("normal_kernel", "norm"));
  CHECK(has_token_sequence("sm90_fp8_gemm", "fp8"));
  CHECK(has_token_sequence("Rmsnorm2dFwd", "rmsnorm"));                   // digits at its end may be left out,
  CHECK_FALSE(has_token_sequence("sm90_fp8_gemm", "fp4"));                // not changed
  CHECK_FALSE(has_token_sequence("reshape_and_cache<(vllm::Fp8KVCacheDataType)0>(int)", "fp8"));   // a template argument
  CHECK_FALSE(has_token_sequence("f(vllm::gemm)", "gemm"));                                        // a parameter
  CHECK(has_token_sequence("cutlass_80_tensorop_s1688gemm_128x64", "gemm"));
  CHECK(has_token_sequence("AppendPagedKVCacheKernel<1>", "paged kv cache"));
  CHECK(has_token_sequence("void cutlass::device_kernel<flash::enable_sm90<flash::FlashAttnFwdSm90<int> > >(int)", "flash attn fwd"));
  CHECK(has_token_sequence("void at::native::vectorized_elementwise_kernel<4, at::native::(anonymous namespace)::silu_kernel(at::TensorIteratorBase&)::{lambda()#1}>(int)", "silu"));
  CHECK_FALSE(has_token_sequence("anything", ""));
  CHECK_FALSE(has_token_sequence("", "x"));
  CHECK(kernel::words_of("flash::FlashAttnFwdSm90").function == " flash flash attn fwd sm90 ");
}

TEST_CASE("kernel: an Inductor name is read into its operators, those with '_' inside whole") {
  using kernel::fused_ops;
  CHECK(joined(fused_ops("triton_poi_fused__unsafe_view_mul_silu_2")) == "_unsafe_view,mul,silu");
  CHECK(joined(fused_ops("triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0")) == "_to_copy,add,mean,mul,pow,rsqrt");
  CHECK(joined(fused_ops("triton_red_fused__unsafe_view_add_addmm_mul_native_layer_norm_split_unsqueeze_19")) == "_unsafe_view,add,addmm,mul,native_layer_norm,split,unsqueeze");
  CHECK(joined(fused_ops("triton_poi_fused__scaled_dot_product_flash_attention_cat_transpose_view_10")) == "_scaled_dot_product_flash_attention,cat,transpose,view");
  CHECK(joined(fused_ops("triton_tem_fused_mm_3")) == "mm");
  CHECK(joined(fused_ops("triton_poi_fused_constant_pad_nd_moe_forward_0")) == "constant_pad_nd,moe_forward");
  CHECK(fused_ops("triton_poi_fused_0").empty());
  CHECK(fused_ops("triton_mm").empty());
  CHECK(fused_ops("_fwd_kernel").empty());
  CHECK(fused_ops("triton_").empty());
  CHECK(joined(fused_ops("triton_poi_fused_add__")) == "add,_");
}

TEST_CASE("kernel: a short name keeps the function and what tells it apart, in 60 bytes") {
  using kernel::short_name;
  CHECK(short_name("Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT128x256x32_MI16x16x1_SN_LDSB1_AFC1") == "Cijk_Alik_Bljk_BBS_BH MT128x256x32");
  CHECK(short_name("void vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*)") == "fused_add_rms_norm_kernel<bf16>");
  CHECK(short_name("void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, std::array<char*, 3ul> >(int)") == "vectorized_elementwise_kernel<CUDAFunctor_add>");
  CHECK(short_name("void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_bf16_64x64>(int)") == "cutlass_80_tensorop_bf16_s16816gemm_bf16_64x64");
  CHECK(short_name("void flash::flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4, false, false, cutlass::bfloat16_t>, false>(int)") == "flash_fwd_kernel<64x128x128>");
  CHECK(short_name("void flash::flash_fwd_kernel<Flash_fwd_kernel_traits<(int)128, (int)128, (int)64, cutlass::bfloat16_t>>(int)") == "flash_fwd_kernel<128x128x64>");
  CHECK(short_name("triton_red_fused__unsafe_view_add_addmm_mul_native_layer_norm_split_unsqueeze_19") == "triton_red[add addmm mul native_layer_norm]#19");
  CHECK(short_name("triton_poi_fused__unsafe_view_clone_slice_transpose_11") == "triton_poi[_unsafe_view clone slice transpose]#11");
  CHECK(short_name("Memcpy HtoD (Pinned -> Device)") == "Memcpy HtoD (Pinned -> Device)");
  CHECK(short_name("void deep_ep::intranode::dispatch<8, 768>(int4*)") == "intranode::dispatch<8,768>");
  CHECK(short_name(std::string(500, 'a'), 20).size() == 20);
  CHECK(short_name(std::string(500, 'a'), 0).size() == 16);
  CHECK(short_name("") == "");
}

TEST_CASE("kernel: short names of 823 real names are short, and canonical ones merge no two kernels that differ before their parameters") {
  const auto path = hotpath_test::data_or_skip("torch-traces/kernel-names.tsv");
  if (!path) return;
  std::ifstream in(*path);
  std::size_t count = 0, cut_at_parameters = 0;
  std::set<std::string> canonical;
  for (std::string line; std::getline(in, line);) {
    const std::size_t tab = line.rfind('\t');
    if (line.empty() || line[0] == '#' || line.starts_with("suggested_family")) continue;
    const std::string raw = line.substr(tab + 1), name = kernel::canonical_name(raw), brief = kernel::short_name(raw);
    CAPTURE(raw);
    CHECK(!brief.empty());
    CHECK(brief.size() <= 60);
    CHECK(name.find("ADDR") == std::string::npos);       // tile sizes are no addresses
    CHECK(kernel::canonical_name(name) == name);
    // What is left is the beginning of the demangled name, up to its parameters.
    const std::string whole = kernel::demangle(raw);
    CHECK((whole == name || (whole.starts_with(name) && whole[name.size()] == '(')));
    cut_at_parameters += whole != name;
    canonical.insert(name);
    ++count;
  }
  CHECK(count == 823);
  CHECK(cut_at_parameters > 400);
  CHECK(canonical.size() == 818);   // five differ from another one in their parameters alone (an independent count)
}

TEST_CASE("kernel: F-TRC-15 names of 60 KiB and of hostile bytes are taken, within the limit") {
  const std::string deep = "void f<" + [] { std::string s; for (int i = 0; i < 15'000; ++i) s += "a<("; return s; }() + ">(int)";
  std::string mangled = "_Z";
  for (int i = 0; i < 20'000; ++i) mangled += "N1aI";
  std::string pointers = "_Z1f" + std::string(60'000, 'P') + "i";
  std::string back_references = "_ZN1aI";
  for (int i = 0; i < 1'000; ++i) back_references += "S_S0_T_";
  const std::string names[] = {
      deep, mangled, pointers, back_references, std::string(61'440, '<'), std::string(61'440, '>'), std::string(61'440, '('), std::string(61'440, 'A'), std::string(61'440, '_'),
      std::string(300'000, 'x') + "gemm", "_Z" + std::string(61'440, '9'), "triton_poi_fused_" + std::string(61'440, '_'), "a\x1b[31mb\xff\xfe\"<&\n\xe2\x80\xae", std::string("a\0b", 3),
      "operator()()()", "operator<", "f<operator()>", "{lambda", "::<>::", "0x", "0x0x0x0x0x0x", "_Z", "_ZN", "Cijk_", "Cijk__MT", "triton_", "void ", "(anonymous namespace)", "device_kernel<", "device_kernel<,>"};
  for (const std::string& n : names) {
    CHECK(kernel::canonical_name(n).size() <= kernel::name_limit + 4);
    CHECK(kernel::short_name(n).size() <= 60);
    CHECK(kernel::words_of(n).function.size() <= 3 * kernel::name_limit);
    kernel::fused_ops(n);
    kernel::has_token_sequence(n, "gemm");
  }
  CHECK_FALSE(kernel::has_token_sequence(std::string(300'000, 'x') + "_gemm", "gemm"));   // beyond the limit
  CHECK(kernel::has_token_sequence(std::string(60'000, 'x') + "_gemm", "gemm"));
}
