// SPDX-License-Identifier: Apache-2.0
// tools/main.cpp - the executable `hotpath`: declares every subcommand and its flags. The only unit that includes CLI11.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include <CLI/CLI.hpp>

#include <hotpath/core/text.hpp>
#include <hotpath/version.hpp>

#include "cli.hpp"

namespace {

using tools::exit_code;

// "hotpath trace slice".
std::string path_of(const CLI::App& app) { return (app.get_parent() != nullptr ? path_of(*app.get_parent()) + " " : "") + app.get_name(); }

// Help for 80 columns, in lower case, with the value's name beside the flag.
class help_text : public CLI::Formatter {
 public:
  help_text() { column_width(29); }
  std::string make_usage(const CLI::App* app, std::string) const override {
    std::string out = "usage: " + path_of(*app);
    for (const CLI::Option* o : app->get_options([](const CLI::Option* opt) { return opt->get_positional(); })) out += o->get_required() ? " " + o->get_name(true) : " [" + o->get_name(true) + "]";
    if (!app->get_subcommands([](const CLI::App*) { return true; }).empty()) out += " COMMAND";
    return out + " [flags]\n";
  }
  std::string make_group(std::string group, bool is_positional, std::vector<const CLI::Option*> options) const override {
    return CLI::Formatter::make_group(is_positional ? "what" : group, is_positional, options);
  }
  std::string make_option_opts(const CLI::Option* o) const override { return o->get_option_text().empty() ? "" : " " + o->get_option_text(); }
};

// One flag with a value: name, what the value is called, what it does.
template <class T>
CLI::Option* value(CLI::App* app, const char* name, T& into, const char* called, const char* what, const char* group) {
  return app->add_option(name, into, what)->option_text(called)->group(group);
}
CLI::Option* flag(CLI::App* app, const char* name, bool& into, const char* what, const char* group) {
  return app->add_flag(name, into, what)->group(group);
}

void output(CLI::App* app, tools::output_flags& o, const char* formats) {
  value(app, "--format", o.format, "NAME", formats, "output");
  flag(app, "--json", o.json, "same as --format json", "output");
}

void slo(CLI::App* app, tools::given& limits, tools::given& gate, const char* what) {
  value(app, "--slo", limits, "LIST", what, "verdict");
  app->add_option("--gate", gate, "exit 1 if fewer than SHARE of the requests (default\n0.99) are within the limits, 0 if not fewer, 5 if\nthe 95 % interval cannot tell")
      ->option_text("[SHARE]")->group("verdict")->expected(0, 1)->default_str("0.99");
}

void serve_profile(CLI::App& app, tools::serve_profile_flags& f) {
  CLI::App* a = app.add_subcommand("serve-profile", "load an endpoint, record the run, report");
  const char* g = "server";
  value(a, "--endpoint", f.endpoint, "URL", "where the server is; unix:PATH for a socket\n(default: http://localhost:8000)", g);
  value(a, "--model", f.model, "NAME", "(default: the first of /v1/models)", g);
  value(a, "--api", f.api, "NAME", "auto, completions or chat (default: auto, as each\nrequest of the workload asks)", g);
  value(a, "--engine", f.engine, "NAME", "whose metrics to expect: auto, vllm, sglang,\ntrtllm, llamacpp, dynamo or generic (default: auto,\nas the names on the page tell)", g);
  value(a, "--metrics-url", f.metrics_url, "URL", "(default: /metrics of the endpoint)", g);
  value(a, "--metrics-interval", f.metrics_interval, "S", "read them every S seconds; 0: never (default: 1)", g);
  value(a, "--header", f.headers, "K:V", "added to each request; may be repeated; values are\nnever stored", g)->expected(1)->allow_extra_args(false)->take_all();
  value(a, "--api-key-env", f.api_key_env, "VAR", "environment variable with the API key", g);
  value(a, "--api-key-file", f.api_key_file, "FILE", "file with the API key, mode 0600", g);
  value(a, "--extra-body", f.extra_body, "JSON", "object whose members go into each request", g);
  g = "workload";
  value(a, "--traffic", f.traffic, "WHAT", "JSONL file (prompts, messages or an arrival trace),\nor synthetic: and any of input=512,\noutput=128,requests=N,seed=N and\ndist=constant|uniform|lognormal (default:\nsynthetic:input=512,output=128)", g);
  value(a, "--length-scale", f.length_scale, "IN[,OUT]", "arrival traces: lengths of prompts and answers\ntimes this (default: 1)", g);
  flag(a, "--ignore-eos", f.ignore_eos, "answers of exactly max_tokens, where supported", g);
  flag(a, "--reuse-prompts", f.reuse_prompts, "allow equal prompts, which a prefix cache answers", g);
  value(a, "--prompt-ids", f.prompt_ids, "MODE", "synthetic prompts as token ids: auto, on or off\n(default: auto, where the engine takes them)", g);
  flag(a, "--strict", f.strict, "the first bad line of the workload is an error", g);
  value(a, "--seed", f.seed, "N", "of synthetic prompts and Poisson gaps (default: 0)", g);
  g = "load";
  value(a, "--concurrency", f.concurrency, "N", "closed loop: N requests in flight (default: 1)", g);
  value(a, "--rate", f.rate, "R", "open loop: R requests per second", g);
  value(a, "--max-concurrency", f.max_concurrency, "N", "with --rate: at most N in flight", g);
  value(a, "--arrival", f.arrival, "NAME", "poisson or constant, with --rate; recorded: each\nrow at its timestamp (default: poisson)", g);
  value(a, "--speed", f.speed, "X", "recorded arrivals: X times as fast (default: 1)", g);
  value(a, "--requests", f.requests, "N", "end after N requests", g);
  CLI::Option* duration = value(a, "--duration", f.duration, "S", "end sending after S seconds; 0: never (default: 60,\nrecorded arrivals: with the trace)\nwhat is in flight then is awaited and counts", g);
  value(a, "--warmup", f.warmup, "N", "leave the first N requests out (default: 0)", g);
  value(a, "--threads", f.threads, "N", "threads of the load client (default: 1)", g);
  g = "limits";
  value(a, "--timeout", f.timeout, "S", "whole request (default: 3600)", g);
  value(a, "--connect-timeout", f.connect_timeout, "S", "connecting (default: 5)", g);
  value(a, "--first-byte-timeout", f.first_byte_timeout, "S", "from sent to the first content (default: 600)", g);
  value(a, "--idle-timeout", f.idle_timeout, "S", "between chunks of an answer (default: 60)", g);
  value(a, "--max-errors", f.max_errors, "N|P%", "give up when more fail, after 20 (default: 10%)", g);
  slo(a, f.slo, f.gate, "limits of a good request, such as\nttft=500ms,tpot=50ms,e2e=30s");
  g = "output";
  value(a, "--output", f.output, "DIR", "where the run goes: DIR/serve_profile.db\n(default: .hotpath/serve_run)", g);
  flag(a, "--store-text", f.store_text, "keep prompts and answers in the run", g);
  output(a, f.out, "text, json or md (default: text)");
  a->footer("example:\n  hotpath serve-profile --endpoint http://localhost:8000 --concurrency 16 \\\n      --slo ttft=500ms,tpot=50ms");
  a->callback([&f, duration] { f.duration_given = duration->count() != 0; });
}

void serve_report(CLI::App& app, tools::serve_report_flags& f) {
  CLI::App* a = app.add_subcommand("serve-report", "print the report of a recorded run");
  a->add_option("RUN", f.run, "serve_profile.db, or the folder it is in")->required();
  slo(a, f.slo, f.gate, "limits to judge by, instead of the run's own:\nttft=500ms,tpot=50ms,e2e=30s");
  output(a, f.out, "text, json or md (default: text)");
  a->footer("example:\n  hotpath serve-report .hotpath/serve_run --json");
}

void traffic(CLI::App& app, tools::traffic_flags& f) {
  CLI::App* a = app.add_subcommand("traffic", "validate a workload, show its lengths, write it");
  a->add_option("WHAT", f.traffic, "JSONL file, or synthetic:input=512,output=128,...")->required();
  value(a, "--write", f.write, "FILE", "write its requests as JSONL; - is stdout", "workload");
  value(a, "--requests", f.requests, "N", "look at the first N (needed if it is endless)", "workload");
  value(a, "--seed", f.seed, "N", "of synthetic prompts (default: 0)", "workload");
  flag(a, "--prompt-ids", f.prompt_ids, "synthetic prompts as token ids", "workload");
  flag(a, "--strict", f.strict, "the first bad line is an error (exit 3)", "workload");
  output(a, f.out, "text or json (default: text)");
  a->footer("example:\n  hotpath traffic synthetic:input=512,output=128,requests=1000 \\\n      --write load.jsonl");
}

void export_requests(CLI::App& app, tools::export_flags& f) {
  CLI::App* a = app.add_subcommand("export", "write a run's requests as CSV or NDJSON");
  a->add_option("RUN", f.run, "serve_profile.db, or the folder it is in")->required();
  value(a, "--output", f.output, "FILE", "instead of stdout", "output");
  flag(a, "--chunks", f.chunks, "ndjson: the time of every chunk, too", "rows");
  flag(a, "--text", f.text, "prompts and answers, if the run has them", "rows");
  flag(a, "--formula-guard", f.formula_guard, "csv: a ' before what a spreadsheet would run", "rows");
  output(a, f.out, "csv or ndjson (default: csv)");
  a->footer("example:\n  hotpath export .hotpath/serve_run --format ndjson --output requests.ndjson");
}

void metrics(CLI::App& app, tools::metrics_flags& f) {
  CLI::App* a = app.add_subcommand("metrics", "show what an engine says of itself, or what changed");
  a->add_option("PAGE", f.page, "address of a server or of its metrics, or a file")->required();
  a->add_option("LATER", f.later, "a second one: shows the difference");
  value(a, "--engine", f.engine, "NAME", "auto, vllm, sglang, trtllm, llamacpp, dynamo or\ngeneric (default: auto, as the names tell)", "server");
  value(a, "--header", f.headers, "K:V", "added to the request; may be repeated", "server")->expected(1)->allow_extra_args(false)->take_all();
  value(a, "--timeout", f.timeout, "S", "for an answer (default: 5)", "server");
  output(a, f.out, "text or json (default: text)");
  a->footer("examples:\n  hotpath metrics http://localhost:8000\n  hotpath metrics before.prom after.prom --json");
}

void doctor(CLI::App& app, tools::doctor_flags& f) {
  CLI::App* a = app.add_subcommand("doctor", "check what this machine and an endpoint offer");
  const char* g = "server";
  value(a, "--endpoint", f.endpoint, "URL", "look at this one too (default: only the machine)", g);
  flag(a, "--send-request", f.send_request, "send one request of a few tokens; otherwise the\nserver is asked nothing that makes it work", g);
  value(a, "--model", f.model, "NAME", "of that request (default: the first of /v1/models)", g);
  value(a, "--metrics-url", f.metrics_url, "URL", "(default: /metrics of the endpoint)", g);
  value(a, "--header", f.headers, "K:V", "added to each request; may be repeated", g)->expected(1)->allow_extra_args(false)->take_all();
  value(a, "--api-key-env", f.api_key_env, "VAR", "environment variable with the API key", g);
  value(a, "--api-key-file", f.api_key_file, "FILE", "file with the API key, mode 0600", g);
  output(a, f.out, "text or json (default: text)");
  a->footer("exit 0: nothing limits a measurement, 5: something does\n\nexample:\n  hotpath doctor --endpoint http://localhost:8000");
}

void stats(CLI::App& app, tools::stats_flags& f) {
  CLI::App* a = app.add_subcommand("stats", "summaries of a GPU trace, as nsys stats prints them");
  a->add_option("TRACE", f.trace, "export of nsys (SQLite), or a trace of torch's\nprofiler (JSON, gzip)")->required();
  value(a, "--report", f.report, "LIST", "any of cuda_api_sum, cuda_gpu_kern_sum (with :base\nor :mangled for other names), nvtx_sum,\ncuda_gpu_mem_time_sum, cuda_gpu_mem_size_sum\n(default: all five)", "summary");
  output(a, f.out, "table, csv or json (default: table)");
  flag(a, "--formula-guard", f.formula_guard, "csv: a ' before names that a spreadsheet would run", "output");
  a->footer("example:\n  hotpath stats report.sqlite --report cuda_gpu_kern_sum:base --format csv");
}

void trace(CLI::App& app, tools::trace_flags& f) {
  CLI::App* all = app.add_subcommand("trace", "look at a GPU trace, cut, merge, mend or convert it");
  const auto add = [&](tools::trace_flags::command what, const char* name, const char* about) {
    CLI::App* a = all->add_subcommand(name, about);
    a->callback([&f, what] { f.what = what; });
    return a;
  };
  const auto file = [&](CLI::App* a, const char* what = "trace of torch's profiler (JSON, gzip), or an\nexport of nsys (SQLite)") { a->add_option("TRACE", f.files, what)->required()->expected(1); };
  const auto made = [&](CLI::App* a, bool to) {
    value(a, "--output", f.output, "FILE", "where it goes; - is stdout; .gz is compressed", "output")->required();
    if (to) value(a, "--to", f.to, "NAME", "chrome or perfetto (default: as the name of FILE\nends: .pftrace is perfetto, else chrome)", "output");
    flag(a, "--json", f.out.json, "what was made, as JSON on stdout", "output");
  };
  CLI::App* a = add(tools::trace_flags::info, "info", "what a trace holds");
  file(a), output(a, f.out, "text or json (default: text)");
  a->footer("example:\n  hotpath trace info rank0.pt.trace.json.gz");

  a = add(tools::trace_flags::slice, "slice", "a part of a trace, as a trace");
  file(a);
  const char* g = "what to keep";
  value(a, "--time", f.time, "RANGE", "since the first GPU event: 20ms-60.5ms, 1s-, or\n20..60.5 (milliseconds)", g);
  value(a, "--step", f.step, "LIST", "GPU work launched in these steps: numbers from 0\n(3,5-7), or text of their annotation", g);
  value(a, "--rank", f.rank, "N", "of a trace of several ranks", g);
  value(a, "--category", f.category, "LIST", "only these: kernel, gpu_memcpy, cuda_runtime,\ncpu_op, python_function, user_annotation, ...", g);
  made(a, true);
  a->footer("Launches, operators and frames around what is kept are kept, too.\n\nexample:\n  hotpath trace slice rank0.json.gz --step 3 --output step3.json.gz");

  a = add(tools::trace_flags::merge, "merge", "the traces of several ranks as one");
  a->add_option("TRACE", f.files, "two or more, of one run")->required();
  g = "clocks";
  value(a, "--align", f.align, "HOW", "none: refuse clocks that do not agree; unix_time:\nby the base times; collective, step: by what\nhappened on all ranks (default: none)", g);
  value(a, "--tolerance", f.tolerance, "T", "how far apart common collectives may end, by the\nmedian (default: 1ms)", g);
  made(a, true);
  a->footer("example:\n  hotpath trace merge rank0.json.gz rank1.json.gz --output all.pftrace");

  a = add(tools::trace_flags::repair, "repair", "a cut or damaged torch trace as a whole one");
  file(a, "trace of torch's profiler (JSON, gzip)"), made(a, false);
  a->footer("exit 0: nothing was lost, 5: something was, and is said\n\nexample:\n  hotpath trace repair killed.json.gz --output mended.json.gz");

  a = add(tools::trace_flags::convert, "convert", "as Chrome JSON or for ui.perfetto.dev");
  file(a), made(a, true);
  a->footer("example:\n  hotpath trace convert report.sqlite --output report.pftrace");
  for (CLI::App* one : all->get_subcommands([](const CLI::App*) { return true; })) one->group("commands")->set_help_flag("-h,--help", "this text")->group("output");
  all->require_subcommand(0, 1);
}

void triage(CLI::App& app, tools::triage_flags& f) {
  CLI::App* a = app.add_subcommand("triage", "where GPU time went, what could overlap or fuse");
  a->add_option("TRACE", f.positional, "trace of torch's profiler (JSON, gzip), an export\nof nsys (SQLite), or a folder of traces");
  const char* g = "traces";
  value(a, "--input", f.input, "PATH", "the same as TRACE", g);
  value(a, "--mapping-input", f.mapping, "PATH", "two traces: the one with stacks, without graphs", g);
  value(a, "--formal-input", f.formal, "PATH", "two traces: the one whose time counts", g);
  value(a, "--capture", f.captures, "FILE", "made while graphs were captured; may be repeated", g)->expected(1)->allow_extra_args(false)->take_all();
  value(a, "--server-args", f.server_args, "FILE", "arguments of the server as JSON (default:\nserver_args.json beside the trace)", g);
  value(a, "--server-log", f.server_log, "FILE", "stop if it says that a diffusion library ran", g);
  g = "what to look at";
  value(a, "--framework", f.framework, "NAME", "auto, sglang, vllm, trtllm or tokenspeed\n(default: auto)", g);
  value(a, "--stage", f.stage, "NAME", "prefill, decode, mixed, verify, draft or all\n(default: all)", g);
  value(a, "--rank", f.rank, "N|all", "of several ranks; all: compare kernels across them\n(default: the lowest)", g);
  value(a, "--time-range", f.time_range, "RANGE", "since the first GPU event: 20..60.5 (milliseconds),\n20.., or 20ms-60.5ms", g);
  value(a, "--pid-substring", f.pid_substring, "TEXT", "only processes whose pid or name holds it", g);
  g = "tables";
  value(a, "--min-share", f.min_share, "PCT", "rows below it are summed, not shown (default: 1)", g);
  value(a, "--kernel-table-limit", f.kernel_limit, "N", "rows per stage (default: 0, all)", g);
  value(a, "--overlap-table-limit", f.overlap_limit, "N", "rows per stage (default: 0, all)", g);
  value(a, "--patterns", f.patterns, "FILE", "more fusion patterns, as JSON", g);
  g = "output";
  value(a, "--into", f.into, "RUN", "keep the report in a recorded run", g);
  flag(a, "--formula-guard", f.formula_guard, "csv: a ' before what a spreadsheet would run", g);
  output(a, f.out, "text, md, json, csv, or one table: csv:kernels,\ncsv:overlaps, csv:fusions, csv:steps, csv:devices\n(default: text)");
  a->footer("exit 0: done, 3: nothing to analyse, 5: something was lost\n\nexample:\n  hotpath triage rank0.pt.trace.json.gz");
}

void triage_bundle(CLI::App& app, tools::bundle_flags& f) {
  CLI::App* a = app.add_subcommand("triage-bundle", "several triage reports as one document");
  a->add_option("ITEM", f.items, "traces, folders, or reports saved with --json;\nLABEL= in front names one")->required();
  value(a, "--framework", f.framework, "NAME", "of the traces (default: auto)", "traces");
  value(a, "--rank", f.rank, "N|all", "(default: the lowest)", "traces");
  value(a, "--min-share", f.min_share, "PCT", "rows below it are summed, not shown (default: 1)", "traces");
  value(a, "--title", f.title, "TEXT", "of the document", "output");
  value(a, "--output", f.output, "FILE", "instead of stdout", "output");
  flag(a, "--no-contents", f.no_contents, "without the list of contents", "output");
  value(a, "--format", f.out.format, "NAME", "md or html (default: as the name of FILE ends,\nelse md)", "output");
  a->footer("example:\n  hotpath triage-bundle sglang=a.json.gz vllm=b.json.gz --output ab.html");
}

void diff(CLI::App& app, tools::diff_flags& f) {
  CLI::App* a = app.add_subcommand("diff", "compare two traces: what got slower");
  a->add_option("A", f.a, "trace, or a folder of traces: before")->required();
  a->add_option("B", f.b, "after")->required();
  value(a, "--margin", f.margin, "PCT", "changes within it count as none (default: 5)", "verdict");
  value(a, "--min-share", f.min_share, "PCT", "leave out what takes less on both sides\n(default: 1)", "what to look at");
  value(a, "--stage", f.stage, "NAME", "prefill, decode, mixed, verify, draft or all\n(default: all)", "what to look at");
  value(a, "--rank", f.rank, "N", "(default: the lowest)", "what to look at");
  output(a, f.out, "text or json (default: text)");
  a->footer("exit 0: not slower, 1: slower, 5: it cannot be told\n\nexample:\n  hotpath diff before.json.gz after.json.gz");
}

// The subcommand that was being read when parsing failed, or the program itself.
const CLI::App& reached(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return chosen.empty() ? app : reached(*chosen.front());
}

// Edits that make one name of the other, for a hint.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, corner + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      corner = above;
    }
  }
  return row[b.size()];
}

exit_code unknown(const CLI::App& app, const std::string& word) {
  const bool is_flag = word.starts_with('-');
  const std::string name = word.substr(0, word.find('='));
  std::string best;
  std::size_t least = name.size() / 3 + 1;
  const auto offer = [&](const std::string& known) {
    if (const std::size_t d = distance(name, known); d < least) least = d, best = known;
  };
  if (is_flag) for (const CLI::Option* o : app.get_options()) offer(o->get_name());
  else for (const CLI::App* a : app.get_subcommands([](const CLI::App*) { return true; })) offer(a->get_name());
  const std::string where = path_of(app);
  const char* what = is_flag ? "unknown flag " : app.get_subcommands([](const CLI::App*) { return true; }).empty() ? "unexpected word " : "unknown command ";
  return tools::usage(what + name + (best.empty() ? "" : ", did you mean " + best + "?") + "; see " + where + " --help");
}

// "--step LIST", or a positional's name.
std::string called(const CLI::Option& o) { return o.get_positional() ? o.get_name(true) : o.get_name() + " " + o.get_option_text(); }

// What CLI11 says of too many or too few words, as this program says things.
std::string told(const CLI::App& at, const CLI::ParseError& e) {
  const std::string words = e.what();
  const CLI::Option* const o = e.get_name() == "ArgumentMismatch" ? at.get_option_no_throw(words.substr(0, words.find(':'))) : nullptr;
  if (o == nullptr) return words;
  if (o->results().empty()) return o->get_name() + " has no value, want " + called(*o);
  std::string got;
  for (const std::string& r : o->results()) got += (r.empty() ? "\"\"" : r) + ", ";
  return "one " + called(*o) + " only; got " + got.substr(0, got.size() - 2);
}

// The first path that is given as an empty text: no file is called that.
std::string empty_path(const CLI::App& at) {
  for (const CLI::Option* o : at.get_options())
    for (const std::string& r : o->results())
      if (const std::string& text = o->get_option_text(); r.empty() && (o->get_positional() || text == "FILE" || text == "PATH" || text == "DIR" || text == "RUN")) return (o->get_positional() ? o->get_name(true) : o->get_name()) + " is empty: it names no file; see " + path_of(at) + " --help";
  return "";
}

// One blank line between groups, where CLI11 leaves two.
std::string tidy(std::string help) {
  for (std::size_t i; (i = help.find("\n\n\n")) != std::string::npos;) help.erase(i, 1);
  return help;
}

int run(int argc, char** argv) {
  CLI::App app{"hotpath - where did the time go? Profiles LLM inference servers.", "hotpath"};
  app.formatter(std::make_shared<help_text>());
  app.set_help_flag("-h,--help", "this text")->group("output");
  bool show_version = false;
  app.add_flag("--version", show_version, "same as hotpath version")->group("output");

  tools::serve_profile_flags profile;
  tools::serve_report_flags report;
  tools::traffic_flags workload;
  tools::export_flags rows;
  tools::metrics_flags look;
  tools::doctor_flags health;
  tools::stats_flags sums;
  tools::trace_flags traces;
  tools::triage_flags triaged;
  tools::bundle_flags bundled;
  tools::diff_flags compared;
  tools::output_flags version;
  serve_profile(app, profile), serve_report(app, report), traffic(app, workload), export_requests(app, rows), metrics(app, look), doctor(app, health), stats(app, sums), trace(app, traces);
  triage(app, triaged), triage_bundle(app, bundled), diff(app, compared);
  output(app.add_subcommand("version", "print the version"), version, "text or json (default: text)");
  for (CLI::App* a : app.get_subcommands([](const CLI::App*) { return true; })) a->group("commands")->set_help_flag("-h,--help", "this text")->group("output");
  app.require_subcommand(0, 1);
  profile.command_line = tools::without_secrets(argc, argv);

  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    tools::print(tidy(reached(app).help()));
    return 0;
  } catch (const CLI::ExtrasError&) {
    const CLI::App& at = reached(app);
    const std::vector<std::string> left = at.remaining();  // the first of them as typed
    const auto first = std::find_if(argv + 1, argv + argc, [&](const char* word) { return std::find(left.begin(), left.end(), word) != left.end(); });
    return static_cast<int>(unknown(at, first != argv + argc ? *first : left.empty() ? "" : left.front()));
  } catch (const CLI::ParseError& e) {
    const CLI::App& at = reached(app);
    return static_cast<int>(tools::usage(told(at, e) + "; see " + path_of(at) + " --help"));
  }
  if (const std::string nothing = empty_path(reached(app)); !nothing.empty()) return static_cast<int>(tools::usage(nothing));
  tools::wipe_secrets(argc, argv);  // the process list shows argv

  if (app.got_subcommand("serve-profile")) return static_cast<int>(tools::serve_profile(profile));
  if (app.got_subcommand("serve-report")) return static_cast<int>(tools::serve_report(report));
  if (app.got_subcommand("traffic")) return static_cast<int>(tools::traffic(workload));
  if (app.got_subcommand("export")) return static_cast<int>(tools::export_requests(rows));
  if (app.got_subcommand("metrics")) return static_cast<int>(tools::metrics(look));
  if (app.got_subcommand("doctor")) return static_cast<int>(tools::doctor(health));
  if (app.got_subcommand("stats")) return static_cast<int>(tools::stats(sums));
  if (app.got_subcommand("trace")) {
    if (!app.get_subcommand("trace")->get_subcommands().empty()) return static_cast<int>(tools::trace_command(traces));
    return static_cast<int>(tools::usage("a command is missing: info, slice, merge, repair or convert; see hotpath trace --help"));
  }
  if (app.got_subcommand("triage")) return static_cast<int>(tools::triage(triaged));
  if (app.got_subcommand("triage-bundle")) return static_cast<int>(tools::triage_bundle(bundled));
  if (app.got_subcommand("diff")) return static_cast<int>(tools::diff(compared));
  if (app.got_subcommand("version") || show_version) return static_cast<int>(tools::version(version));
  tools::say("a command is missing");
  const std::string help = tidy(app.help());
  [[maybe_unused]] const auto n = ::write(2, help.data(), help.size());
  return static_cast<int>(exit_code::usage);
}

}  // namespace

int main(int argc, char** argv) {
  // A closed stdin, stdout or stderr must not become the descriptor of the next file that is opened.
  for (int fd = 0; fd <= 2; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY) != fd) return static_cast<int>(exit_code::internal);
  signal(SIGPIPE, SIG_IGN);  // a reader that went away is an error of write(), not the end
  try {
    return static_cast<int>(tools::ending(static_cast<exit_code>(run(argc, argv))));
  } catch (const std::bad_alloc&) {
    tools::say("out of memory");
  } catch (const std::exception& e) {
    tools::say(std::string("a defect of hotpath: ") + e.what());
  }
  return static_cast<int>(exit_code::internal);
}
