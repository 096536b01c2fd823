// SPDX-License-Identifier: Apache-2.0
// nsys_bench [KERNELS [FOLDER [REFERENCE]]] - makes an export of nsys with that many kernels (10,000,000; 100 bytes each) in FOLDER (/var/tmp), and reads it
//   in several ways, each in turn three times; one line per way with the best, by the clock and by processor time (which says more on a machine that
//   has other work), and what is compared as ratios. The file goes away afterwards.
//   bare       sqlite3_step() and sqlite3_column_int64() over start, end, demangledName: nothing is done with them
//   summary    kernel::stats_collector by trace::scan_nsys(): the whole of cuda_gpu_kern_sum with exact medians; one connection, two
//   timeline   trace::read_nsys(): every column, sorted
//   with a third argument, the path of tests/kernel/nsys_reference.py, also
//   group by   SQL: count, sum, min, max, no median         python: sqlite3, statistics.median
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <hotpath/kernel/stats.hpp>
#include <hotpath/trace/nsys_sqlite.hpp>

using namespace hotpath;

namespace {

void run(sqlite3* db, const char* sql) {
  char* why = nullptr;
  if (sqlite3_exec(db, sql, nullptr, nullptr, &why) == SQLITE_OK) return;
  std::fprintf(stderr, "nsys_bench: %s\n", why);
  std::exit(1);
}

// 800 names with long signatures under ids far apart, durations as of real kernels, the whole row of schema 3.25.
void make(const std::string& path, std::int64_t kernels) {
  sqlite3* db = nullptr;
  unlink(path.c_str());
  if (sqlite3_open(path.c_str(), &db) != SQLITE_OK) std::exit(1);
  run(db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL); CREATE TABLE META_DATA_EXPORT (name TEXT, value TEXT);"
          "INSERT INTO META_DATA_EXPORT VALUES ('EXPORT_SCHEMA_VERSION', '3.25.0');"
          "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INTEGER NOT NULL, end INTEGER NOT NULL, deviceId INTEGER NOT NULL, contextId INTEGER NOT NULL, greenContextId INTEGER, streamId INTEGER NOT NULL, correlationId INTEGER, "
          "globalPid INTEGER, demangledName INTEGER NOT NULL, shortName INTEGER NOT NULL, mangledName INTEGER, launchType INTEGER, cacheConfig INTEGER, registersPerThread INTEGER NOT NULL, gridX INTEGER NOT NULL, gridY INTEGER NOT NULL, "
          "gridZ INTEGER NOT NULL, blockX INTEGER NOT NULL, blockY INTEGER NOT NULL, blockZ INTEGER NOT NULL, staticSharedMemory INTEGER NOT NULL, dynamicSharedMemory INTEGER NOT NULL, localMemoryPerThread INTEGER NOT NULL, "
          "localMemoryTotal INTEGER NOT NULL, gridId INTEGER NOT NULL, sharedMemoryExecuted INTEGER, graphNodeId INTEGER, sharedMemoryLimitConfig INTEGER, qmdBulkReleaseDone INTEGER, qmdPreexitDone INTEGER, qmdLastCtaDone INTEGER, "
          "graphId INTEGER, clusterX INTEGER, clusterY INTEGER, clusterZ INTEGER, clusterSchedulingPolicy INTEGER, maxPotentialClusterSize INTEGER, maxActiveClusters INTEGER); BEGIN");
  sqlite3_stmt* s = nullptr;
  sqlite3_prepare_v2(db, "INSERT INTO StringIds VALUES (?1, ?2)", -1, &s, nullptr);
  const std::string arguments(200, 'x');
  for (int i = 0; i < 800; ++i) {
    const std::string name = "void family_" + std::to_string(i % 90) + "<(int)" + std::to_string(i) + ", " + arguments + ">(T1)";
    sqlite3_bind_int64(s, 1, 1000 + i * 397), sqlite3_bind_text(s, 2, name.c_str(), -1, SQLITE_TRANSIENT), sqlite3_step(s), sqlite3_reset(s);
  }
  sqlite3_finalize(s);
  sqlite3_prepare_v2(db, "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (?1, ?2, ?3, 1, 0, ?4, ?5, 281476838981632, ?6, ?6, ?6, 1, 0, 32, ?7, 1, 1, 128, 1, 1, 0, 1024, 0, 108265472, ?5, 16384, NULL, NULL, NULL, NULL, NULL, NULL, 1, 1, 1, 0, 8, 16)", -1, &s, nullptr);
  std::uint64_t state = 1;
  const auto random = [&] { return static_cast<std::int64_t>((state = state * 6364136223846793005u + 1442695040888963407u) >> 33); };
  std::int64_t at = 155'360'295'935;
  for (std::int64_t i = 0; i < kernels; ++i) {
    const std::int64_t name = random() % 800 * (random() % 800) / 800, took = 1000 + name * 37 + random() % 3000;
    sqlite3_bind_int64(s, 1, at), sqlite3_bind_int64(s, 2, at + took), sqlite3_bind_int64(s, 3, i & 1), sqlite3_bind_int64(s, 4, 7 + (i & 3)), sqlite3_bind_int64(s, 5, 1'400'000 + i);
    sqlite3_bind_int64(s, 6, 1000 + name * 397), sqlite3_bind_int64(s, 7, 1 + name);
    sqlite3_step(s), sqlite3_reset(s);
    at += took + random() % 2000;
  }
  sqlite3_finalize(s);
  run(db, "COMMIT");
  sqlite3_close(db);
}

struct took {
  double wall = 1e9, cpu = 1e9;   // seconds; of processors: all threads, and children that have ended
  void best(const took& o) { wall = o.wall < wall ? o.wall : wall, cpu = o.cpu < cpu ? o.cpu : cpu; }
};
template <class F>
took seconds(F&& f) {
  const auto cpu = [] {
    double all = 0;
    for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
      rusage u{};
      getrusage(who, &u);
      all += static_cast<double>(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + static_cast<double>(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    }
    return all;
  };
  const double cpu_before = cpu();
  const auto begin = std::chrono::steady_clock::now();
  f();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(), cpu() - cpu_before};
}

// Rows of a statement, all columns read.
std::uint64_t step_all(const std::string& path, const char* sql) {
  sqlite3* db = nullptr;
  sqlite3_stmt* s = nullptr;
  if (sqlite3_open_v2(("file:" + path + "?mode=ro&immutable=1").c_str(), &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, nullptr) != SQLITE_OK || sqlite3_prepare_v2(db, sql, -1, &s, nullptr) != SQLITE_OK) std::exit(1);
  std::uint64_t sum = 0;
  const int columns = sqlite3_column_count(s);
  while (sqlite3_step(s) == SQLITE_ROW)
    for (int i = 0; i < columns; ++i) sum += static_cast<std::uint64_t>(sqlite3_column_int64(s, i));
  sqlite3_finalize(s), sqlite3_close(db);
  return sum;
}

std::uint64_t summary(const std::string& path, std::size_t connections) {
  std::vector<kernel::stats_collector> sums(connections);
  const auto about = trace::scan_nsys<kernel::stats_collector>(path, sums, {.copies = false, .api = false, .annotations = false, .syncs = false, .short_names = false, .brief = true});
  if (!about) std::exit((std::fprintf(stderr, "nsys_bench: %s\n", about.error().message().c_str()), 1));
  return sums[0].table(kernel::stats_report::cuda_gpu_kern_sum, *about).total;
}

long peak_mib() {
  rusage u{};
  getrusage(RUSAGE_SELF, &u);
  return u.ru_maxrss / 1024;
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t kernels = argc > 1 ? std::atoll(argv[1]) : 10'000'000;
  const std::string path = std::string(argc > 2 ? argv[2] : "/var/tmp") + "/nsys_bench." + std::to_string(getpid()) + ".sqlite";
  make(path, kernels);
  const long before = peak_mib();
  took bare, one, two, grouped, timeline, python;
  std::uint64_t sum = 0;
  for (int i = 0; i < 3; ++i) {
    bare.best(seconds([&] { sum += step_all(path, "SELECT start, end, demangledName FROM CUPTI_ACTIVITY_KIND_KERNEL"); }));
    one.best(seconds([&] { sum += summary(path, 1); }));
    two.best(seconds([&] { sum += summary(path, 2); }));
  }
  const long summaries = peak_mib();
  std::size_t events = 0;
  timeline.best(seconds([&] {
    const auto t = trace::read_nsys(path, {.threads = 1});
    events = t ? t->gpu.size() : 0;
  }));
  const bool all = argc > 3;
  if (all) grouped.best(seconds([&] { sum += step_all(path, "SELECT demangledName, count(*), sum(end - start), min(end - start), max(end - start) FROM CUPTI_ACTIVITY_KIND_KERNEL GROUP BY 1"); }));
  if (all) python.best(seconds([&] { sum += static_cast<std::uint64_t>(std::system((std::string("python3 ") + argv[3] + " " + path + " cuda_gpu_kern_sum > /dev/null").c_str())); }));
  unlink(path.c_str());

  const double n = static_cast<double>(kernels) / 1e6;
  const auto line = [&](const char* what, const took& t, const char* words) {
    std::printf("  %-24s %7.2f %7.2f   %6.2f %6.2f   %s\n", what, n / t.wall, n / t.cpu, bare.wall / t.wall, bare.cpu / t.cpu, words);
  };
  std::printf("%lld kernels, best of 3; M rows/s by the clock and by processor time; both as a ratio to the bare scan\n", static_cast<long long>(kernels));
  line("bare scan", bare, "sqlite3_step and three columns"), line("summary, 1 connection", one, "exact medians"), line("summary, 2 connections", two, "");
  line("timeline, 1 connection", timeline, "every column, sorted");
  if (all) line("SQL group by", grouped, "no median"), line("Python sqlite3", python, "");
  std::printf("  peak memory of the summaries: %ld MiB, %.1f bytes a kernel above %ld MiB\n", summaries, static_cast<double>(summaries - before) * 1048576 / static_cast<double>(kernels), before);
  return events == static_cast<std::size_t>(kernels) && sum != 0 ? 0 : 1;
}
