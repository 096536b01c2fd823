// SPDX-License-Identifier: Apache-2.0
// tools/cli.hpp - what the subcommands of `hotpath` share: their flags as typed, and how they speak. No parser's types here:
//   main.cpp is the only unit that sees CLI11, it fills these structs; each subcommand is one file that reads its struct, calls
//   public headers, and prints. Data goes to stdout, words go to stderr.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <hotpath/core/result.hpp>
#include <hotpath/core/time.hpp>
#include <hotpath/model/run.hpp>
#include <hotpath/net/http.hpp>
#include <hotpath/report/text.hpp>
#include <hotpath/report/verdict.hpp>

namespace tools {

using hotpath::report::exit_code;

// ---- flags as typed; a value that is not given is nullopt, numbers are read by the subcommand
using given = std::optional<std::string>;

struct output_flags {
  given format;
  bool json = false;
};

struct serve_profile_flags {
  std::string endpoint = "http://localhost:8000", traffic = "synthetic:input=512,output=128", api = "auto", arrival = "poisson";
  std::string prompt_ids = "auto", output = ".hotpath/serve_run", duration = "60", timeout = "3600", connect_timeout = "5";
  std::string first_byte_timeout = "600", idle_timeout = "60", seed = "0", threads = "1", warmup = "0", max_errors = "10%", speed = "1", length_scale = "1", engine = "auto", metrics_interval = "1";
  given model, metrics_url, concurrency, rate, max_concurrency, requests, slo, gate, extra_body, api_key_env, api_key_file;
  std::vector<std::string> headers;
  bool ignore_eos = false, reuse_prompts = false, store_text = false, strict = false, duration_given = false;
  output_flags out;
  std::vector<std::string> command_line;  // of the whole process, secrets replaced
};

struct serve_report_flags {
  std::string run;
  given slo, gate;
  output_flags out;
};

struct traffic_flags {
  std::string traffic;
  given write, requests;
  std::string seed = "0";
  bool strict = false, prompt_ids = false;
  output_flags out;
};

struct export_flags {
  std::string run;
  given output;
  bool text = false, chunks = false, formula_guard = false;
  output_flags out;
};

struct metrics_flags {
  std::string page, engine = "auto", timeout = "5";
  given later;
  std::vector<std::string> headers;
  output_flags out;
};

struct doctor_flags {
  std::string endpoint;
  given model, metrics_url, api_key_env, api_key_file;
  std::vector<std::string> headers;
  bool send_request = false;
  output_flags out;
};

struct stats_flags {
  std::string trace;
  given report;
  bool formula_guard = false;
  output_flags out;
};

struct trace_flags {
  enum command { info, slice, merge, repair, convert } what = info;
  std::vector<std::string> files;
  std::string output;
  given to, time, step, rank, category, align, tolerance;
  output_flags out;
};

struct triage_flags {
  given positional, input, mapping, formal, framework, stage, rank, time_range, server_args, server_log, patterns, pid_substring, into;
  std::vector<std::string> captures;
  std::string min_share = "1", kernel_limit = "0", overlap_limit = "0";
  bool formula_guard = false;
  output_flags out;
};

struct bundle_flags {
  std::vector<std::string> items;
  given title, output, framework, rank;
  std::string min_share = "1";
  bool no_contents = false;
  output_flags out;
};

struct diff_flags {
  std::string a, b, margin = "5", min_share = "1";
  given stage, rank;
  output_flags out;
};

exit_code serve_profile(const serve_profile_flags&);
exit_code serve_report(const serve_report_flags&);
exit_code traffic(const traffic_flags&);
exit_code export_requests(const export_flags&);
exit_code metrics(const metrics_flags&);
exit_code doctor(const doctor_flags&);
exit_code stats(const stats_flags&);
exit_code trace_command(const trace_flags&);
exit_code triage(const triage_flags&);
exit_code triage_bundle(const bundle_flags&);
exit_code diff(const diff_flags&);
exit_code version(const output_flags&);

// ---- speaking
void say(std::string_view words);                                  // "hotpath: words" and a line end, on stderr
exit_code fail(const hotpath::error& e, exit_code code);           // says the error, gives the code
exit_code usage(const std::string& words);                         // for flags that make no sense together
exit_code code_of(const hotpath::error& e);                        // of an error about a file or a flag
// All of it on stdout. False: stdout does not take it, which is said. A reader that left (a closed pipe) is no failure: the rest has no reader.
bool print(std::string_view data);
bool nobody_reads();                                               // stdout is a pipe whose reader left: what only writes there may end
exit_code ending(exit_code code);                                  // of the process: internal where stdout did not take what was printed

struct terminal {
  bool color = false, ascii = false, is_terminal = false;
  std::size_t width = 80;
};
terminal terminal_of(int descriptor);                              // NO_COLOR, TERM=dumb, COLUMNS, the locale's character set

// Asked before anything is read: may the file at `path` be made, or replaced? Not (usage) where it is one of `inputs` by device and inode, whatever
// their names, nor where its name ends as a packed file's that would not be one; not (unreadable) where it is a folder or a link, or not writable,
// for root neither. `gzip`: who writes packs what ends in .gz.
hotpath::result<void> may_write(const std::string& path, const std::vector<std::string>& inputs, bool gzip = false);
bool is_gzip_name(std::string_view path);

// A file that appears whole or not at all; "-" is stdout. It replaces a regular file, and never follows a symbolic link.
class output_file {
 public:
  explicit output_file(std::string path) : path_(std::move(path)) {}
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file();
  hotpath::result<void> open();
  bool write(std::string_view bytes);                              // false: failed before or now
  hotpath::result<void> close();                                   // the file has its name only after this

 private:
  hotpath::error trouble() const;
  std::string path_, temporary_;
  int descriptor_ = -1, errno_ = 0;
};

// ---- reading values; errors name the flag and the value
hotpath::result<std::string> format_of(const output_flags& o, std::vector<std::string_view> allowed);   // the first is the default
hotpath::result<std::uint64_t> read_count(std::string_view flag, std::string_view value, std::uint64_t lo, std::uint64_t hi);
hotpath::result<double> read_number(std::string_view flag, std::string_view value, double lo, double hi);
hotpath::result<hotpath::nanoseconds> read_seconds(std::string_view flag, std::string_view value);      // 30, 0.5, 500ms, 2m
// A part of a trace: "20..60" or "20ms-60ms" since its first GPU event; bare numbers, between dots only, are milliseconds. Either end may be left out.
struct time_span {
  std::optional<hotpath::nanoseconds> from, to;
};
hotpath::result<time_span> read_range(std::string_view flag, std::string_view value);
hotpath::result<hotpath::model::slo> read_slo(std::string_view value);                                  // ttft=500ms,tpot=50ms,e2e=30s
hotpath::result<std::string> read_engine(const std::string& value);                                                    // --engine; auto: empty
hotpath::result<std::optional<double>> read_gate(const given& value);                                   // --gate, --gate 0.95, --gate 95%
// What --header, --api-key-env and --api-key-file ask for; at most one of the last two.
hotpath::result<std::vector<hotpath::net::header>> read_headers(const std::vector<std::string>& lines, const given& key_env, const given& key_file);
std::string file_of_run(const std::string& path);                  // a folder stands for the run in it

// argv for the manifest: values of --header and secrets in addresses replaced. wipe() does the same to the process list.
std::vector<std::string> without_secrets(int argc, const char* const* argv);
void wipe_secrets(int argc, char** argv);

}  // namespace tools
