// SPDX-License-Identifier: Apache-2.0
// hotpath/kernel/framework-inl.hpp - bodies of kernel/framework.hpp.
#pragma once
#include <hotpath/core/text.hpp>
#include <hotpath/kernel/framework.hpp>
#include <hotpath/kernel/server_args.hpp>

namespace hotpath::inline HOTPATH_ABI::kernel {

namespace detail {

enum class sign_of : std::uint8_t { frame, argument, annotation, op, kernel };
inline constexpr double sign_weights[] = {100, 60, 40, 30, 10};
inline constexpr std::string_view sign_names[] = {"Python frames", "server arguments", "annotations", "operators", "kernel names"};

// A text that begins so ('^' in front) or holds it. Of arguments: the whole name.
struct framework_sign {
  sign_of where;
  std::uint8_t framework;     // in framework_names
  std::string_view text;
};
// Sources: file layouts, torch operator namespaces and argument names of SGLang 0.5, vLLM 0.10 to 0.33, TensorRT-LLM 1.0 to 1.3 and TokenSpeed.
inline constexpr framework_sign framework_signs[] = {
    {sign_of::frame, 0, "sglang/"}, {sign_of::frame, 0, "sgl_kernel/"}, {sign_of::frame, 0, "sglang_omni/"},
    {sign_of::frame, 1, "vllm/"}, {sign_of::frame, 2, "tensorrt_llm/"}, {sign_of::frame, 3, "tokenspeed/"}, {sign_of::frame, 3, "tokenspeed_kernel/"},
    {sign_of::argument, 0, "sampling_backend"}, {sign_of::argument, 0, "disable_cuda_graph"}, {sign_of::argument, 0, "disable_piecewise_cuda_graph"},
    {sign_of::argument, 0, "chunked_prefill_size"}, {sign_of::argument, 0, "schedule_policy"}, {sign_of::argument, 0, "mem_fraction_static"},
    {sign_of::argument, 1, "gpu_memory_utilization"}, {sign_of::argument, 1, "max_num_batched_tokens"}, {sign_of::argument, 1, "enforce_eager"},
    {sign_of::argument, 1, "compilation_config"}, {sign_of::argument, 1, "pass_config"}, {sign_of::argument, 1, "enable_prefix_caching"},
    {sign_of::argument, 2, "cuda_graph_config"}, {sign_of::argument, 2, "kv_cache_config"}, {sign_of::argument, 2, "free_gpu_memory_fraction"},
    {sign_of::argument, 2, "moe_config"}, {sign_of::argument, 2, "enable_chunked_context"}, {sign_of::argument, 2, "print_iter_log"},
    {sign_of::argument, 3, "attn_tp_size"}, {sign_of::argument, 3, "dense_tp_size"}, {sign_of::argument, 3, "moe_tp_size"},
    {sign_of::argument, 3, "enable_mla_l1_5_cache"}, {sign_of::argument, 3, "mla_chunk_multiplier"}, {sign_of::argument, 3, "comm_fusion_max_num_tokens"},
    {sign_of::annotation, 0, "^step[EXTEND"}, {sign_of::annotation, 0, "^step[DECODE"}, {sign_of::annotation, 0, "^step[MIXED"},
    {sign_of::annotation, 0, "^step[TARGET_VERIFY"}, {sign_of::annotation, 2, "[Executor] _forward_step"},
    {sign_of::op, 0, "^sgl_kernel::"}, {sign_of::op, 0, "^sglang::"}, {sign_of::op, 0, "^sglang_profiler::"},
    {sign_of::op, 1, "^vllm::"}, {sign_of::op, 1, "^_C::"}, {sign_of::op, 1, "^_C_cache_ops::"}, {sign_of::op, 1, "^_moe_C::"},
    {sign_of::op, 2, "^trtllm::"}, {sign_of::op, 2, "^auto_deploy::"}, {sign_of::op, 3, "^tokenspeed::"}, {sign_of::op, 3, "^tokenspeed_kernel::"},
    {sign_of::kernel, 0, "sglang::"}, {sign_of::kernel, 0, "sgl_hip::"}, {sign_of::kernel, 0, "_ZN7sgl_hip"}, {sign_of::kernel, 0, "_ZN6sglang"},
    {sign_of::kernel, 1, "vllm::"}, {sign_of::kernel, 1, "_ZN4vllm"}, {sign_of::kernel, 2, "tensorrt_llm::"}, {sign_of::kernel, 3, "tokenspeed"},
};

class framework_votes {
 public:
  explicit framework_votes(const model::timeline& t) : t_(t), memo_(t.names.size()) {}

  // One vote per row whose name has a sign. Names are looked at once per kind.
  template <class Rows, class Take>
  void count(sign_of where, const Rows& rows, Take&& take) {
    memo_.assign(t_.names.size(), not_asked);
    for (const auto& r : rows) {
      if (!take(r) || r.name >= memo_.size()) continue;
      std::uint8_t& m = memo_[r.name];
      if (m == not_asked) m = ask(where, t_.name(r.name));
      if (m < 4) ++votes_[static_cast<std::size_t>(where)][m];
    }
  }
  void count(const server_args& args) {
    for (const framework_sign& s : framework_signs) {
      if (s.where != sign_of::argument) continue;
      bool there = find_arg(args, s.text) != nullptr;
      std::string object(s.text);                  // pass_config.fuse_norm_quant tells of pass_config
      object += '.';
      for (const server_fact& f : args) there = there || f.key.starts_with(object) || f.key.find("." + object) != std::string::npos;
      votes_[static_cast<std::size_t>(sign_of::argument)][s.framework] += there;
    }
  }
  framework_guess decide() const {
    framework_guess g;
    for (std::size_t k = 0; k < 5; ++k) {
      const auto& v = votes_[k];
      const double sum = static_cast<double>(v[0] + v[1] + v[2] + v[3]);
      for (std::size_t f = 0; f < 4; ++f)
        if (v[f] != 0) g.points[f] += sign_weights[k] * static_cast<double>(v[f]) / sum;
    }
    std::size_t best = 0, next = 1;
    for (std::size_t f = 1; f < 4; ++f) {
      if (g.points[f] > g.points[best]) next = best, best = f;
      else if (f != next && (next == best || g.points[f] > g.points[next])) next = f;
    }
    for (std::size_t k = 0; k < 5; ++k)
      if (votes_[k][best] != 0) {
        g.reason.append(g.reason.empty() ? "" : ", ").append(sign_names[k]).append(" of ").append(framework_names[best]);
        g.reason.append(" (").append(std::to_string(votes_[k][best])).append(")");
      }
    const bool sure = g.points[best] >= 20 && g.points[best] >= 2 * g.points[next];
    if (sure) g.name = framework_names[best];
    else if (g.points[best] == 0) g.reason = "nothing in the trace names a framework";
    else if (g.points[best] >= 20) g.reason.append(", but also signs of ").append(framework_names[next]);
    else g.reason.append(": too little");
    return g;
  }

 private:
  static constexpr std::uint8_t not_asked = 255, none = 254;
  static std::uint8_t ask(sign_of where, std::string_view name) {
    for (const framework_sign& s : framework_signs) {
      if (s.where != where) continue;
      if (s.text.front() == '^' ? name.starts_with(s.text.substr(1)) : name.find(s.text) != std::string_view::npos) return s.framework;
    }
    return none;
  }
  const model::timeline& t_;
  std::vector<std::uint8_t> memo_;
  std::uint64_t votes_[5][4] = {};
};

}  // namespace detail

HOTPATH_FN framework_guess find_framework(const model::timeline& t, const server_args* args) {
  detail::framework_votes votes(t);
  // Threads that launch work; where the trace has no calls, all of them.
  std::vector<bool> launches(t.tracks.size(), t.api.empty());
  for (const model::api_call& c : t.api)
    if (c.track < launches.size() && !launches[c.track]) {
      const std::string_view name = t.name(c.name);
      if (name.find("aunch") != std::string_view::npos) launches[c.track] = true;
    }
  const auto all = [](const auto&) { return true; };
  votes.count(detail::sign_of::frame, t.frames, [&](const model::frame& f) { return f.track >= launches.size() || launches[f.track]; });
  votes.count(detail::sign_of::annotation, t.annotations, all);
  votes.count(detail::sign_of::op, t.ops, all);
  votes.count(detail::sign_of::kernel, t.gpu, all);
  if (args != nullptr) votes.count(*args);
  return votes.decide();
}

HOTPATH_FN std::string detect_framework(const model::timeline& t, const server_args* args) { return find_framework(t, args).name; }

HOTPATH_FN std::string_view framework_of_flag(std::string_view word) {
  for (const std::string_view name : framework_names)
    if (text::equal_ignoring_case(word, name)) return name;
  constexpr std::pair<std::string_view, std::string_view> others[] = {
      {"tllm", "trtllm"}, {"tensorrt-llm", "trtllm"}, {"tensorrt_llm", "trtllm"}, {"token-speed", "tokenspeed"}, {"ts", "tokenspeed"}, {"none", unknown_framework}, {"unknown", unknown_framework}};
  for (const auto& [alias, name] : others)
    if (text::equal_ignoring_case(word, alias)) return name;
  return {};
}

}  // namespace hotpath::inline HOTPATH_ABI::kernel
