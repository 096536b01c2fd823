// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/family.hpp - what a kernel is for, from its name: gemm, attention, norm, communication, ...
#pragma once
#include <cstdint>
#include <string_view>
#include <hotpath/config.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

enum class family : std::uint8_t { other = 0, gemm, moe, attention, attention_prefill, attention_decode, kv_cache, norm, rope, activation, quant, router, sampling, comm, memcpy, memset, elementwise, reduce, embedding, linear_attention, convolution, graph };
std::string_view family_name(family f);

enum class overlap_class : std::uint8_t { compute, comm, memory, elementwise, other };
overlap_class class_of(family f);

struct hints { std::string_view cpu_op = {}, site = {}; };
struct kernel_identity { family what = family::other; std::string_view rule = {}, detail = {}; };
kernel_identity classify(std::string_view raw_name, hints h = {});

}  // namespace hotpath::inline HOTPATH_ABI::kernel
