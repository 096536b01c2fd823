// SPDX-License-Identifier: Apache-2.0
// metrics.hpp - what GET /metrics says, in the names, labels and buckets of vLLM's V1 engine (read in vllm-project/vllm 0.33), so that
//   what reads a vLLM reads this server. Only families that have a meaning here.
//   Meaning of the phases: queue = queued to first scheduled, prefill = first scheduled to first token, decode = first to last token,
//   inference = first scheduled to last token, e2e and time to first token from the request's arrival.
//   Every finished request counts in every histogram it has a value for; an aborted one counts in request_success alone.
//   Thread safety: none; the caller has a lock.
#pragma once
#include <charconv>
#include <string>
#include <string_view>
#include <vector>
#include "engine.hpp"

namespace server {

class histogram {
 public:
  explicit histogram(std::vector<double> edges) : edges_(std::move(edges)), counts_(edges_.size() + 1, 0) {}
  void add(double value) {
    std::size_t i = 0;
    while (i < edges_.size() && value > edges_[i]) ++i;
    ++counts_[i];
    sum_ += value;
  }

 private:
  friend class metrics;
  std::vector<double> edges_;
  std::vector<std::uint64_t> counts_;  // per bucket, not cumulative; the last is +Inf
  double sum_ = 0;
};

class metrics {
 public:
  // start: CLOCK_REALTIME.
  metrics(std::string_view model_name, const model_options& m, const engine_options& e, nanoseconds start)
      : labels_("engine=\"0\",model_name=\"" + escaped(model_name) + "\""), start_(start), model_(m), engine_(e),
        prompt_(up_to(m.max_len)), generated_(up_to(m.max_len)), asked_(up_to(m.max_len)), computed_(up_to(m.max_len)) {}

  void observe(const step_report& r) {
    ++steps_;
    step_tokens_.add(r.context_tokens + r.generation_tokens);
    preempted_ += r.preempted;
    prompt_tokens_ += static_cast<double>(r.prompt_tokens), cached_tokens_ += static_cast<double>(r.cached_prompt_tokens);
    generation_tokens_ += static_cast<double>(r.outputs.size());
    queries_ += static_cast<double>(r.prefix_queries), hits_ += static_cast<double>(r.prefix_hits);
    for (const output& o : r.outputs) (o.first ? first_token_ : between_tokens_).add(o.since_last.s());
    for (const finished_request& f : r.finished) observe(f);
  }

  void observe(const finished_request& f) {
    success_[static_cast<std::size_t>(f.why)] += 1;
    if (f.why == finish::abort) return;
    prompt_.add(f.prompt_tokens), generated_.add(f.output_tokens), asked_.add(f.max_tokens), computed_.add(f.prompt_tokens - f.cached_tokens), preemptions_.add(f.preemptions);
    queue_.add((f.scheduled - f.queued).s()), prefill_.add((f.first_token - f.scheduled).s()), decode_.add((f.last_token - f.first_token).s());
    inference_.add((f.last_token - f.scheduled).s()), whole_.add((f.last_token - f.arrival).s());
    if (f.output_tokens > 1) per_token_.add((f.last_token - f.first_token).s() / (f.output_tokens - 1));
  }

  // The page. running, waiting and kv_usage (0 to 1): of this moment; rejected: so far.
  std::string page(std::size_t running, std::size_t waiting, double kv_usage, std::uint64_t rejected = 0) const {
    std::string out;
    const auto gauge = [&](std::string_view name, std::string_view help, double v, std::string_view more = {}) { family(out, name, "gauge", help), sample(out, name, more, v); };
    const auto counter = [&](std::string_view name, std::string_view help, double v) { family(out, name, "counter", help), sample(out, name, {}, v); };
    const auto of_histogram = [&](std::string_view name, std::string_view help, const histogram& h) { family(out, name, "histogram", help), buckets(out, name, h); };

    gauge("vllm:num_requests_running", "Number of requests in model execution batches.", static_cast<double>(running));
    gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", static_cast<double>(waiting));
    family(out, "vllm:num_requests_waiting_by_reason", "gauge", "Number of waiting requests by reason; here all wait for capacity.");
    sample(out, "vllm:num_requests_waiting_by_reason", "reason=\"capacity\"", static_cast<double>(waiting));
    sample(out, "vllm:num_requests_waiting_by_reason", "reason=\"deferred\"", 0);
    gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", kv_usage);
    counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in tokens.", queries_);
    counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens.", hits_);
    counter("vllm:num_preemptions_total", "Cumulative number of preemptions.", static_cast<double>(preempted_));
    counter("vllm:prompt_tokens_total", "Number of prompt tokens of requests that were prefilled, cached ones included.", prompt_tokens_);
    family(out, "vllm:prompt_tokens_by_source_total", "counter", "Number of prompt tokens by source.");
    sample(out, "vllm:prompt_tokens_by_source_total", "source=\"local_compute\"", prompt_tokens_ - cached_tokens_);
    sample(out, "vllm:prompt_tokens_by_source_total", "source=\"local_cache_hit\"", cached_tokens_);
    counter("vllm:prompt_tokens_cached_total", "Number of cached prompt tokens.", cached_tokens_);
    counter("vllm:generation_tokens_total", "Number of generation tokens processed.", generation_tokens_);
    family(out, "vllm:request_success_total", "counter", "Count of requests that ended, by reason.");
    for (const finish f : {finish::stop, finish::length, finish::abort}) {
      const auto i = static_cast<std::size_t>(f);
      sample(out, "vllm:request_success_total", "finished_reason=\"" + std::string(finish_names[i]) + "\"", success_[i]);
    }
    family(out, "vllm:admission_rejections_total", "counter", "Number of requests turned away because too many waited.");
    sample(out, "vllm:admission_rejections_total", "reason=\"max_num_queued_reqs\"", static_cast<double>(rejected));
    of_histogram("vllm:iteration_tokens_total", "Histogram of number of tokens computed per engine step.", step_tokens_);
    of_histogram("vllm:request_prompt_tokens", "Number of prompt tokens per request.", prompt_);
    of_histogram("vllm:request_generation_tokens", "Number of generation tokens per request.", generated_);
    of_histogram("vllm:request_params_max_tokens", "Histogram of the max_tokens request parameter.", asked_);
    of_histogram("vllm:request_prefill_kv_computed_tokens", "Histogram of prompt tokens computed, without cached ones.", computed_);
    of_histogram("vllm:request_num_preemptions", "Histogram of the number of times a request was preempted.", preemptions_);
    of_histogram("vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds.", first_token_);
    of_histogram("vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds.", between_tokens_);
    of_histogram("vllm:request_time_per_output_token_seconds", "Histogram of mean time per output token after the first, per request, in seconds.", per_token_);
    of_histogram("vllm:e2e_request_latency_seconds", "Histogram of end to end request latency in seconds.", whole_);
    of_histogram("vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request.", queue_);
    of_histogram("vllm:request_inference_time_seconds", "Histogram of time spent in RUNNING phase for request.", inference_);
    of_histogram("vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request.", prefill_);
    of_histogram("vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request.", decode_);
    family(out, "vllm:cache_config_info", "gauge", "Information of the KV cache.");
    out += "vllm:cache_config_info{block_size=\"" + std::to_string(model_.block_tokens) + "\",cache_dtype=\"float32\",enable_prefix_caching=\"" + (engine_.prefix_cache ? "True" : "False") +
           "\",engine=\"0\",num_gpu_blocks=\"" + std::to_string(model_.blocks) + "\",prefix_caching_hash_algo=\"hotpath_mix\"} 1.0\n";
    family(out, "process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.");
    out += "process_start_time_seconds " + number(start_.s()) + "\n";
    return out;
  }

  double prompt_tokens() const { return prompt_tokens_; }
  double cached_tokens() const { return cached_tokens_; }
  double generation_tokens() const { return generation_tokens_; }
  double prefix_queries() const { return queries_; }
  double prefix_hits() const { return hits_; }

 private:
  // The 1-2-5 series up to the longest request.
  static std::vector<double> up_to(double most) {
    std::vector<double> edges;
    for (double ten = 1;; ten *= 10)
      for (const double step : {1.0, 2.0, 5.0}) {
        if (ten * step > most) return edges;
        edges.push_back(ten * step);
      }
  }
  static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : std::string(1, c);
    return out;
  }
  // As Python prints a float: the shortest that reads back the same, 1.0 for whole numbers.
  static std::string number(double v) {
    char text[32];
    std::string s{text, std::to_chars(text, text + sizeof text, v).ptr};
    return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
  }
  static void family(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
    ((((((out += "# HELP ") += name) += ' ') += help) += "\n# TYPE ") += name) += ' ';
    (out += type) += '\n';
  }
  void sample(std::string& out, std::string_view name, std::string_view more, double value) const {
    ((out += name) += '{') += labels_;
    if (!more.empty()) (out += ',') += more;
    ((out += "} ") += number(value)) += '\n';
  }
  void buckets(std::string& out, std::string_view name, const histogram& h) const {
    std::uint64_t n = 0;
    for (std::size_t i = 0; i < h.counts_.size(); ++i)
      sample(out, std::string(name) + "_bucket", "le=\"" + (i < h.edges_.size() ? number(h.edges_[i]) : "+Inf") + "\"", static_cast<double>(n += h.counts_[i]));
    sample(out, std::string(name) + "_count", {}, static_cast<double>(n));
    sample(out, std::string(name) + "_sum", {}, h.sum_);
  }

  static std::vector<double> latency() { return {.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}; }
  static std::vector<double> per_token() { return {.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80}; }

  std::string labels_;
  nanoseconds start_;
  model_options model_;
  engine_options engine_;
  std::uint64_t steps_ = 0, preempted_ = 0;
  double prompt_tokens_ = 0, cached_tokens_ = 0, generation_tokens_ = 0, queries_ = 0, hits_ = 0, success_[4] = {};
  histogram prompt_, generated_, asked_, computed_;
  histogram step_tokens_{{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}}, preemptions_{{1, 2, 3, 4, 5, 10, 20}};
  histogram first_token_{{.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}};
  histogram between_tokens_{per_token()}, per_token_{per_token()};
  histogram queue_{latency()}, prefill_{latency()}, decode_{latency()}, inference_{latency()}, whole_{latency()};
};

}  // namespace server
