// SPDX-License-Identifier: Apache-2.0
// report/detail/kernel_labels.hpp: one name per kernel of a report. Names are those of public traces.
#include <doctest/doctest.h>
#include <string>
#include <vector>
#include <hotpath/kernel/name.hpp>
#include <hotpath/report/detail/kernel_labels.hpp>

using namespace hotpath;

namespace {

std::vector<std::string> labels(const std::vector<std::string>& names) {
  report::detail::kernel_labels l;
  for (const std::string& n : names) l.add(n);
  for (const std::string& n : names) l.add(n);  // rows of another table
  l.finish();
  std::vector<std::string> out;
  for (const std::string& n : names) out.push_back(l.of(n));
  return out;
}
using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("report: kernels that share a short name are told apart by what differs in their names") {
  CHECK(labels({"void dpsk::ep::internode::dispatch<false, 8, false, 8>", "void dpsk::ep::internode::dispatch<false, 8, true, 8>", "void dpsk::ep::internode::cached_notify<false>"}) ==
        texts{"internode::dispatch<8,8> [false]", "internode::dispatch<8,8> [true]", "cached_notify"});
  CHECK(labels({"void aiter::add_rmsnorm_quant_kernel<std::bfloat16_t, std::bfloat16_t, 256, 16, true, false, true, 1>", "void aiter::add_rmsnorm_quant_kernel<std::bfloat16_t, std::bfloat16_t, 64, 8, false, false, true, 1>"}) ==
        texts{"add_rmsnorm_quant_kernel<bf16> [256,16,true]", "add_rmsnorm_quant_kernel<bf16> [64,8,false]"});
  const std::string split = "void split_embedding_backward_codegen_rowwise_adagrad_", half = "_per_row_1<c10::Half, float, c10::Half, 2ul, 32>";
  const texts three = labels({split + "unweighted_kernel_cta" + half, split + "unweighted_kernel_warp" + half, split + "weighted_kernel_cta" + half});
  CHECK(three[0].ends_with("> [unweighted_cta]"));
  CHECK(three[1].ends_with("> [unweighted_warp]"));
  CHECK(three[2].ends_with("> [weighted_cta]"));
  // Types lose their namespaces.
  CHECK(labels({"void at::native::elementwise_kernel<(int)128, (int)4, at::native::BinaryFunctor<c10::BFloat16, at::native::MulFunctor>>", "void at::native::elementwise_kernel<(int)128, (int)2, at::native::BinaryFunctor<c10::BFloat16, at::native::MulFunctor>>"}) ==
        texts{"elementwise_kernel<bf16,MulFunctor> [4]", "elementwise_kernel<bf16,MulFunctor> [2]"});
  CHECK(labels({"void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<int>, std::array<char*, 1ul> >", "void at::native::vectorized_elementwise_kernel<4, at::native::FillFunctor<long>, std::array<char*, 1ul> >"}) ==
        texts{"vectorized_elementwise_kernel<FillFunctor> [int]", "vectorized_elementwise_kernel<FillFunctor> [long]"});
  // Where more differs than fits, the first that tell all apart stand for it.
  const std::string tensile = "Cijk_Alik_Bljk_BBS_BH_Bias_HA_S_SAV_UserArgs_MT256x192x64_MI16x16x1_SN_LDSB1_LBSPPA", mid = "_LPA16_LPB16_LPM0_LRVW8_MIWT8_6_MO40_ULSGRO", end = "_USL1_VWA8_VWB2_WS64_WG32_8_1";
  CHECK(labels({tensile + "1024_LBSPPB256" + mid + "1" + end, tensile + "512_LBSPPB512" + mid + "0" + end, tensile + "1024_LBSPPB256" + mid + "0" + end}) ==
        texts{"Cijk_Alik_Bljk_BBS_BH MT256x192x64 [LBSPPA1024_ULSGRO1]", "Cijk_Alik_Bljk_BBS_BH MT256x192x64 [LBSPPA512_ULSGRO0]", "Cijk_Alik_Bljk_BBS_BH MT256x192x64 [LBSPPA1024_ULSGRO0]"});
}

TEST_CASE("report: labels of kernels are distinct whatever the names, and a kernel that is alone has its short name") {
  CHECK(labels({"void f<float>"}) == texts{kernel::short_name("void f<float>")});
  CHECK(labels({"", "x"}) == texts{"", "x"});
  const std::string same(6000, 'a'), arguments(400, '7');   // they differ beyond what is looked at, or in a number of 400 digits
  for (const texts& names : {texts{same + "1", same + "2", same + "3"}, texts{"void f<" + arguments + ">", "void f<" + arguments + "1>"}, texts{"void g<1>", "void g<1, false>", "void g<1, true>"},
                             texts{"void g<<<", "void g<<<<", "void g<"}}) {
    const texts got = labels(names);
    CAPTURE(names[0].substr(0, 40));
    for (std::size_t i = 0; i < got.size(); ++i)
      for (std::size_t k = 0; k < i; ++k) CHECK(got[i] != got[k]);
    for (const std::string& l : got) CHECK(l.size() <= 100);
  }
}
