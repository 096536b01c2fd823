// SPDX-License-Identifier: Apache-2.0
// tests/run/store_sqlite_test.cpp - the store in good weather: what goes in comes out, privately, under any name, to several readers.
#include <grp.h>
#include <sys/syscall.h>
#include <thread>
#include "store_support.hpp"
#include "support/data.hpp"

using namespace store_test;

namespace {
nanoseconds wall_offset{};  // what the interposed clock below adds to CLOCK_REALTIME

model::run_info ended(model::run_info i) {
  i.state = model::run_state::complete;
  i.ended = 61_s;
  return i;
}

std::string mode_text(const std::string& path) {
  char text[8];
  std::snprintf(text, sizeof text, "%o", mode_of(path));
  return text;
}
}  // namespace

// Ours instead of libc's for this executable: the wall clock can be set back without being root. The kernel's waits use the true one.
extern "C" int clock_gettime(clockid_t id, timespec* t) noexcept {
  const auto rc = static_cast<int>(syscall(SYS_clock_gettime, id, t));
  if (id == CLOCK_REALTIME) t->tv_sec += wall_offset.ns / 1'000'000'000;
  return rc;
}

TEST_CASE("run: every field of a run comes back as it was stored") {
  temp_dir dir;
  maker make{1};
  const model::run_info info = make.info();
  const model::schedule plan = make.schedule(1000);
  std::map<std::uint64_t, model::request> truth;
  std::vector<model::client_interval> intervals;
  std::vector<model::scrape> scrapes;

  auto store = store_sqlite::create(dir / "run.db", info, plan, {.store_text = true});
  REQUIRE_MESSAGE(store, store.error().message());
  std::vector<std::uint64_t> order(1000);
  for (std::uint64_t i = 0; i < order.size(); ++i) order[i] = i * 3;
  std::shuffle(order.begin(), order.end(), make.random);
  for (const std::uint64_t i : order) {
    truth[i] = make.request(i, true);
    store->add(model::request(truth[i]));
  }
  for (std::uint32_t i = 0; i < 20; ++i) store->add(intervals.emplace_back(make.interval(i % 3, i)));
  for (std::int64_t i = 0; i < 30; ++i) store->add(model::scrape(scrapes.emplace_back(make.scrape(i))));
  const auto finished = store->finish(ended(info));
  REQUIRE_MESSAGE(finished, finished.error().message());
  CHECK(store->stored() == truth.size());
  CHECK_FALSE(store->lost());
  CHECK_FALSE(store->failed());
  CHECK(list(dir.path) == std::vector<std::string>{"run.db"});

  auto run = stored_run::open(dir / "run.db");
  REQUIRE_MESSAGE(run, run.error().message());
  CHECK(difference(run->info(), ended(info)) == "");
  CHECK(run->info().text_stored);
  CHECK_FALSE(run->info().lost);
  CHECK(difference(run->plan(), plan) == "");
  CHECK(run->info().plan.due.empty());
  CHECK(run->info().plan.per_second == plan.per_second);
  CHECK(run->requests() == truth.size());
  CHECK_FALSE(run->partial());
  CHECK_FALSE(run->writer());

  auto expected = truth.begin();  // the order of the schedule
  const auto read = run->for_each_request([&](const model::request& r) {
    REQUIRE(expected != truth.end());
    CHECK_MESSAGE(difference(r, expected->second) == "", "request ", r.index);
    ++expected;
  });
  REQUIRE_MESSAGE(read, read.error().message());
  CHECK(expected == truth.end());
  std::size_t at = 0;
  const auto seen = run->for_each_client_interval([&](const model::client_interval& c) {
    REQUIRE(at < intervals.size());
    CHECK(difference(c, intervals[at++]) == "");
  });
  REQUIRE_MESSAGE(seen, seen.error().message());
  CHECK(at == intervals.size());
  at = 0;
  const auto scraped = run->for_each_scrape([&](const model::scrape& s) {
    REQUIRE(at < scrapes.size());
    CHECK(difference(s, scrapes[at++]) == "");
  });
  REQUIRE_MESSAGE(scraped, scraped.error().message());
  CHECK(at == scrapes.size());
}

TEST_CASE("run: the edges of every number survive") {
  temp_dir dir;
  model::run_info info;
  model::schedule plan;
  plan.kind = model::arrival::constant;
  plan.per_second = 0.1;
  plan.due = {nanoseconds{INT64_MAX}, nanoseconds{INT64_MIN}, nanoseconds{0}, nanoseconds{-1}, nanoseconds{1}};
  model::request r;
  r.index = INT64_MAX;
  r.workload_row = r.bytes_sent = UINT64_MAX;
  r.pass = r.attempt = r.warnings = UINT32_MAX;
  r.http_status = INT32_MIN;
  r.prompt_tokens = INT64_MIN, r.completion_tokens = INT64_MAX, r.cached_tokens = 0;
  r.intended = {nanoseconds{INT64_MIN}, model::stamp_source::schedule, true};
  r.closed = {nanoseconds{INT64_MAX}, model::stamp_source::server, false};
  r.sent = {nanoseconds{0}, model::stamp_source::user, true};
  r.id = std::string("nul\0inside", 10);
  {
    auto store = store_sqlite::create(dir / "run.db", info, plan);
    REQUIRE(store);
    store->add(model::request(r));
    REQUIRE(store->finish(info));
  }
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(difference(all->plan, plan) == "");
  CHECK(difference(all->info, info) == "");
  REQUIRE(all->requests.size() == 1);
  CHECK(difference(all->requests.begin()->second, r) == "");
}

TEST_CASE("run: an empty run is a run") {
  temp_dir dir;
  auto store = store_sqlite::create(dir / "run.db", {}, {});
  REQUIRE(store);
  model::run_info info;
  info.state = model::run_state::stopped;
  info.stop_reason = "the server answered 401";
  REQUIRE(store->finish(info));
  CHECK_FALSE(store->finish(info));  // once
  store->add(model::request());
  CHECK(store->lost().dropped == 1);
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.empty());
  CHECK(all->info.state == model::run_state::stopped);
  CHECK(all->info.stop_reason == "the server answered 401");
  CHECK_FALSE(all->partial);
}

TEST_CASE("run: prompts and completions are stored only when asked for") {
  temp_dir dir;
  for (const bool keep : {false, true}) {
    const std::string path = dir / (keep ? "with.db" : "without.db");
    model::run_info info;
    info.text_stored = !keep;  // the store knows better
    auto store = store_sqlite::create(path, info, {}, {.store_text = keep});
    REQUIRE(store);
    model::request r;
    r.prompt_text = "CANARY-PROMPT-4711", r.completion_text = "CANARY-COMPLETION-4711";
    store->add(model::request(r));
    REQUIRE(wait_for([&] { return store->stored() == 1; }));
    const std::string log = read_file(path + "-wal");
    REQUIRE_FALSE(log.empty());
    CHECK((log.find("CANARY-") != std::string::npos) == keep);
    REQUIRE(store->finish(info));
    CHECK((read_file(path).find("CANARY-") != std::string::npos) == keep);
    auto all = read_all(path);
    REQUIRE_MESSAGE(all, all.error().message());
    CHECK(all->info.text_stored == keep);
    CHECK(all->requests.at(0).prompt_text == (keep ? r.prompt_text : ""));
    CHECK(all->requests.at(0).completion_text == (keep ? r.completion_text : ""));
  }
}

TEST_CASE("run: a finished request is durable while the run goes on, and a second connection reads it") {
  temp_dir dir;
  maker make{2};
  auto store = store_sqlite::create(dir / "run.db", make.info(), make.schedule(10), {.commit_every = 1_ms});
  REQUIRE(store);
  std::map<std::uint64_t, model::request> truth;
  for (std::uint64_t i = 0; i < 50; ++i) {
    truth[i] = make.request(i);
    store->add(model::request(truth[i]));
    if (i % 10 != 9) continue;
    REQUIRE(wait_for([&] { return store->stored() == truth.size(); }));
    auto run = stored_run::open(dir / "run.db");
    REQUIRE_MESSAGE(run, run.error().message());
    CHECK(run->partial());
    CHECK(run->info().state == model::run_state::running);
    CHECK(run->writer() == getpid());
    std::size_t seen = 0;
    // Inside the loop another loop, and the writer goes on: each loop sees the rows of its beginning.
    const auto read = run->for_each_request([&](const model::request& r) {
      CHECK(difference(r, truth.at(r.index)) == "");
      if (seen++ != 0) return;
      store->add(make.interval(0, 0));
      CHECK(run->for_each_client_interval([](const model::client_interval&) {}));
    });
    CHECK_MESSAGE(read, read.error().message());
    CHECK(seen == truth.size());
  }
  REQUIRE(store->finish(make.info()));
}

TEST_CASE("run: the manifest can be replaced while the run goes on") {
  temp_dir dir;
  maker make{3};
  auto store = store_sqlite::create(dir / "run.db", make.info(), {}, {.commit_every = 1_ms});
  REQUIRE(store);
  model::run_info later = make.info();
  later.engine = "sglang", later.notes = {"one note only"}, later.model.clear();
  store->note_state(later);
  CHECK(wait_for([&] {
    auto run = stored_run::open(dir / "run.db");
    return run && difference(run->info(), later) == "";
  }));
}

TEST_CASE("run: a store that goes away without finish() keeps its rows and says running") {
  temp_dir dir;
  {
    auto store = store_sqlite::create(dir / "run.db", {}, {});
    REQUIRE(store);
    store_sqlite moved = std::move(*store);
    moved.add(model::request());
  }
  CHECK(list(dir.path) == std::vector<std::string>{"run.db"});
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == 1);
  CHECK(all->info.state == model::run_state::running);
  CHECK(all->partial);
}

TEST_CASE("run: many threads add at once, nothing is lost or doubled") {
  temp_dir dir;
  constexpr std::uint64_t threads = 4, each = 5000;
  auto store = store_sqlite::create(dir / "run.db", {}, {}, {.commit_every = 1_ms});
  REQUIRE(store);
  std::vector<std::thread> feeders;
  for (std::uint64_t t = 0; t < threads; ++t)
    feeders.emplace_back([&store, t] {
      for (std::uint64_t i = 0; i < each; ++i) {
        model::request r;
        r.index = i * threads + t;
        r.workload_row = r.index * 7;
        store->add(std::move(r));
        if (i % 1000 == 0) store->add(model::client_interval());
      }
    });
  for (std::thread& f : feeders) f.join();
  REQUIRE(store->finish({}));
  CHECK_FALSE(store->lost());
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == threads * each);
  CHECK(all->intervals.size() == threads * (each / 1000));
  bool right = true;
  for (const auto& [i, r] : all->requests) right &= r.workload_row == i * 7;
  CHECK(right);
}

TEST_CASE("run: a request that is sent again replaces its row, with its text") {
  temp_dir dir;
  auto store = store_sqlite::create(dir / "run.db", {}, {}, {.store_text = true});
  REQUIRE(store);
  for (std::uint32_t attempt = 1; attempt <= 2; ++attempt)
    for (std::uint64_t i = 0; i < 300; i += attempt) {  // the second time every other one
      model::request r;
      r.index = i, r.attempt = attempt;
      if (attempt == 1) r.prompt_text = "first";
      if (attempt == 2 && i % 4 == 0) r.prompt_text = "second";
      store->add(std::move(r));
    }
  REQUIRE(store->finish({}));
  CHECK(store->stored() == 300);
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  REQUIRE(all->requests.size() == 300);
  for (const auto& [i, r] : all->requests) {
    CHECK(r.attempt == (i % 2 == 0 ? 2 : 1));
    CHECK(r.prompt_text == (i % 2 != 0 ? "first" : i % 4 == 0 ? "second" : ""));
  }
}

TEST_CASE("run: plain SQL reads the file: names, NULL for what is missing, nanoseconds") {
  temp_dir dir;
  {
    auto store = store_sqlite::create(dir / "run.db", {}, {});
    REQUIRE(store);
    model::request ok, bad;
    ok.status = model::request_status::ok, ok.http_status = 200;
    ok.sent = {1500_ms, model::stamp_source::user, false}, ok.first_content = {1600_ms, model::stamp_source::kernel, true};
    for (int i = 0; i < 3; ++i) ok.chunks.append({nanoseconds{1'600'000'000 + i}, 1, model::content_kind::text, i != 1, true});
    bad.index = 1, bad.status = model::request_status::failed, bad.error = model::error_class::connect_refused;
    store->add(std::move(ok));
    store->add(std::move(bad));
    model::scrape page;
    page.begin = 1_s;
    page.series.push_back({.what = model::engine_metric::running, .name = "vllm:num_requests_running", .source = "engine=0", .value = 3});
    store->add(std::move(page));
    REQUIRE(store->finish({}));
  }
  plain_db db{dir / "run.db"};
  CHECK(db.text("PRAGMA integrity_check") == "ok");
  CHECK(db.text("PRAGMA user_version") == "1");
  CHECK(db.text("PRAGMA journal_mode") == "delete");
  CHECK(db.text("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' "
                "AND NOT strict") == "0");
  CHECK(db.text("SELECT first_content_ns - sent_ns FROM requests WHERE status = 'ok'") == "100000000");
  CHECK(db.text("SELECT chunk_count || ' ' || chunks_inexact || ' ' || length(chunks) FROM requests WHERE idx = 0") ==
        "3 1 " + db.text("SELECT length(chunks) FROM requests WHERE idx = 0"));
  CHECK(db.text("SELECT error FROM requests WHERE status <> 'ok'") == "connect_refused");
  CHECK(db.text(
            "SELECT count(*) FROM requests WHERE error IS NULL AND closed_ns IS NULL AND prompt_tokens IS NULL AND id IS NULL") ==
        "1");
  CHECK(db.text("EXPLAIN QUERY PLAN SELECT idx FROM requests WHERE status <> 'ok' AND error = 'reset'") != "");
  CHECK(db.text("SELECT value FROM meta WHERE key = 'made_by'") == "hotpath " HOTPATH_VERSION_STRING);
  CHECK(db.text("SELECT begin_ns || ' ' || (s.value ->> 'source') || ' ' || (s.value ->> 'value') FROM scrapes, json_each(series) s "
                "WHERE s.value ->> 'what' = 'running'") == "1000000000 engine=0 3");
  CHECK(db.text("SELECT name FROM sqlite_schema WHERE name = 'request_text'") == "");
}

TEST_CASE("run: F-DB-02 while another connection holds the write lock rows wait in the queue, and what does not fit is counted") {
  temp_dir dir;
  constexpr std::size_t queue = 200'000;
  auto store = store_sqlite::create(dir / "run.db", {}, {}, {.commit_every = 1_ms, .queue_bytes = queue});
  REQUIRE(store);
  plain_db other{dir / "run.db"};
  REQUIRE(other.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  // A second of attempts: longer than any time-out inside, shorter than the patience of finish().
  std::uint64_t added = 0;
  for (const nanoseconds end = monotonic_now() + 1_s; monotonic_now() < end || added < 1000; usleep(500)) {
    model::request r;
    r.index = added++;
    store->add(std::move(r));
  }
  CHECK(store->stored() == 0);
  CHECK_FALSE(store->failed());
  const std::uint64_t waiting = added - store->lost().dropped;
  CHECK(store->lost().dropped > 0);
  CHECK(store->lost().total() == store->lost().dropped);
  CHECK(waiting * sizeof(model::request) <= queue);
  CHECK(waiting * sizeof(model::request) > queue / 2);
  REQUIRE(other.exec("COMMIT") == SQLITE_OK);
  REQUIRE(wait_for([&] { return store->stored() == waiting; }));
  model::request late;
  late.index = added;
  store->add(std::move(late));
  REQUIRE(store->finish({}));
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == waiting + 1);
  CHECK(all->info.lost.dropped == added - waiting);
  CHECK(all->partial);
}

TEST_CASE("run: F-DB-02 finish waits for the lock only as long as it was told, and the file stays readable") {
  temp_dir dir;
  auto store = store_sqlite::create(dir / "run.db", {}, {}, {.commit_every = 1_ms, .busy_timeout = 200_ms});
  REQUIRE(store);
  store->add(model::request());
  REQUIRE(wait_for([&] { return store->stored() == 1; }));
  plain_db other{dir / "run.db"};
  REQUIRE(other.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  model::request second;
  second.index = 1;
  store->add(std::move(second));
  store->add(model::client_interval());
  const auto finished = store->finish(ended({}));
  REQUIRE_FALSE(finished);
  CHECK(finished.error().message().find("marked as running") != std::string::npos);
  CHECK(store->lost().dropped == 1);
  other.exec("ROLLBACK");
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == 1);
  CHECK(all->partial);
}

TEST_CASE("run: F-DB-02 finish waits for the lock, and what waited in memory is stored when it is free") {
  temp_dir dir;
  auto store = store_sqlite::create(dir / "run.db", {}, {}, {.commit_every = 1_ms});
  REQUIRE(store);
  plain_db other{dir / "run.db"};
  REQUIRE(other.exec("BEGIN IMMEDIATE") == SQLITE_OK);
  for (std::uint64_t i = 0; i < 20; ++i) {
    model::request r;
    r.index = i;
    store->add(std::move(r));
    if (i == 10)
      usleep(20'000);  // most likely the first half is in the writer's hands when finish() comes, the second in the queue
  }
  store->add(model::client_interval());
  std::thread releases{[&] {
    usleep(300'000);
    other.exec("COMMIT");
  }};
  const auto finished = store->finish(ended({}));
  releases.join();
  REQUIRE_MESSAGE(finished, finished.error().message());
  CHECK_FALSE(store->lost());
  CHECK_FALSE(store->failed());
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == 20);
  CHECK(all->intervals.size() == 1);
  CHECK_FALSE(all->partial);
}

TEST_CASE("run: child that writes until it is killed" * doctest::skip()) {
  auto store = store_sqlite::create(child::argument(), {}, {}, {.commit_every = 1_ms});
  if (!store) std::fprintf(stderr, "%s\n", store.error().message().c_str());
  REQUIRE(store);
  for (std::uint64_t i = 0;; ++i, usleep(500)) {
    model::request r;
    r.index = i;
    store->add(std::move(r));
  }
}

TEST_CASE("run: F-DB-03 of two writers the second is refused with the pid of the first") {
  temp_dir dir;
  const std::string path = dir / "run.db";
  child first{"run: child that writes until it is killed", path};
  REQUIRE(wait_for([&] {
    auto run = stored_run::open(path);
    return run && run->requests() > 0;
  }));
  const std::string pid = "process " + std::to_string(first.pid) + " is writing this run";
  for (const auto& refused :
       {store_sqlite::create(path, {}, {}).error().message(), store_sqlite::move_aside(path).error().message()}) {
    CHECK_MESSAGE(refused.find(pid) != std::string::npos, refused);
    CHECK(refused.find('\n') == std::string::npos);
  }
  CHECK(stored_run::open(path)->writer() == first.pid);
  ::kill(first.pid, SIGKILL);
  first.wait();
  // The lock went with the process; its file stayed, and is no obstacle.
  REQUIRE(exists(path + "-lock"));
  CHECK_FALSE(stored_run::open(path)->writer());
  const std::string exists_already = store_sqlite::create(path, {}, {}).error().message();
  CHECK_MESSAGE(exists_already.find("exists already") != std::string::npos, exists_already);
  REQUIRE(store_sqlite::move_aside(path));
  auto store = store_sqlite::create(path, {}, {});
  REQUIRE_MESSAGE(store, store.error().message());
  // In one process, too.
  const std::string ours = store_sqlite::create(path, {}, {}).error().message();
  CHECK_MESSAGE(ours.find("process " + std::to_string(getpid())) != std::string::npos, ours);
}

TEST_CASE("run: an earlier run is moved aside under the first free number, with what its log holds") {
  temp_dir dir;
  const std::string path = dir / "sub/run.db";
  CHECK(*store_sqlite::move_aside(path) == "");
  for (std::uint64_t round = 0; round < 3; ++round) {
    auto store = store_sqlite::create(path, {}, {});
    REQUIRE_MESSAGE(store, store.error().message());
    for (std::uint64_t i = 0; i <= round; ++i) {
      model::request r;
      r.index = i;
      store->add(std::move(r));
    }
    REQUIRE(store->finish({}));
    const auto moved = store_sqlite::move_aside(path);
    REQUIRE_MESSAGE(moved, moved.error().message());
    CHECK(*moved == dir / ("sub/run." + std::to_string(round + 1) + ".db"));
  }
  CHECK(list(dir / "sub") == std::vector<std::string>{"run.1.db", "run.2.db", "run.3.db"});
  for (std::uint64_t round = 0; round < 3; ++round)
    CHECK(read_all(dir / ("sub/run." + std::to_string(round + 1) + ".db"))->requests.size() == round + 1);

  // A reader has it open: the log cannot be worked in, so it moves along; both names stay readable.
  {
    child killed{"run: child that writes until it is killed", path};
    REQUIRE(wait_for([&] {
      auto run = stored_run::open(path);
      return run && run->requests() > 0;
    }));
    ::kill(killed.pid, SIGKILL);
    killed.wait();
  }
  auto reader = stored_run::open(path);
  REQUIRE(reader);
  const std::uint64_t rows = reader->requests();
  std::uint64_t seen = 0;
  const auto read = reader->for_each_request([&](const model::request&) {
    if (seen++ != 0) return;
    const auto moved = store_sqlite::move_aside(path);
    REQUIRE_MESSAGE(moved, moved.error().message());
    CHECK(*moved == dir / "sub/run.4.db");
  });
  CHECK_MESSAGE(read, read.error().message());
  CHECK(seen == rows);
  auto all = read_all(dir / "sub/run.4.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == rows);
  CHECK(all->partial);
  for (const std::string& name : list(dir / "sub")) CHECK_MESSAGE(name.rfind("run.db", 0) != 0, name);
}

TEST_CASE("run: what is not a run is never moved aside") {
  temp_dir dir;
  write_file(dir / "notes.db", "dear diary, this file is not a database at all");
  { plain_db{dir / "other.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE}.exec("CREATE TABLE t(x)"); }
  REQUIRE(mkdir((dir / "folder.db").c_str(), 0700) == 0);
  REQUIRE(symlink("other.db", (dir / "link.db").c_str()) == 0);
  for (const char* name : {"notes.db", "other.db", "folder.db", "link.db"}) {
    const auto moved = store_sqlite::move_aside(dir / name);
    REQUIRE_FALSE(moved);
    CHECK(exists(dir / name));
    const auto created = store_sqlite::create(dir / name, {}, {});
    REQUIRE_FALSE(created);
    CHECK(created.error().message().find(name) != std::string::npos);
    CHECK(created.error().message().find('\n') == std::string::npos);
  }
  CHECK(read_file(dir / "notes.db").rfind("dear diary", 0) == 0);
  CHECK(list(dir.path) == std::vector<std::string>{"folder.db", "link.db", "notes.db", "other.db"});
  // What a kill in the first moment leaves is ours.
  write_file(dir / "empty.db", "");
  CHECK(*store_sqlite::move_aside(dir / "empty.db") == dir / "empty.1.db");
}

TEST_CASE("run: child without rights" * doctest::skip()) {
  if (geteuid() == 0) {
    REQUIRE(setgroups(0, nullptr) == 0);
    REQUIRE(setresgid(65534, 65534, 65534) == 0);
    REQUIRE(setresuid(65534, 65534, 65534) == 0);
  }
  const std::string dir = child::argument();
  for (const char* name : {"new.db", "sub/new.db"}) {
    auto store = store_sqlite::create(dir + "/" + name, {}, {});
    REQUIRE_FALSE(store);
    const std::string words = store.error().message();
    CHECK_MESSAGE(words.find("Permission denied") != std::string::npos, words);
    CHECK_MESSAGE(words.find(name) != std::string::npos, words);
    CHECK(words.find('\n') == std::string::npos);
  }
  for (const char* name : {"finished.db", "wal-mode.db"}) {  // reading needs no right to write
    auto all = read_all(dir + "/" + name);
    REQUIRE_MESSAGE(all, all.error().message());
    CHECK(all->requests.size() == 1);
  }
  auto killed = read_all(dir + "/killed.db");  // a log that cannot be worked in here: said, not left out
  REQUIRE_FALSE(killed);
  CHECK_MESSAGE(killed.error().message().find("write-ahead log") != std::string::npos, killed.error().message());
}

TEST_CASE("run: F-DB-04 a read-only directory is an error of one line before anything is sent, and no obstacle for a reader") {
  temp_dir dir;
  for (const char* name : {"finished.db", "wal-mode.db"}) {
    auto store = store_sqlite::create(dir / name, {}, {});
    REQUIRE(store);
    store->add(model::request());
    if (name[0] == 'f') REQUIRE(store->finish({}));
  }
  {
    auto store = store_sqlite::create(dir / "live.db", {}, {}, {.commit_every = 1_ms});
    REQUIRE(store);
    store->add(model::request());
    REQUIRE(wait_for([&] { return store->stored() == 1; }));
    write_file(dir / "killed.db", read_file(dir / "live.db"));
    write_file(dir / "killed.db-wal", read_file(dir / "live.db-wal"));
  }
  for (const std::string& name : list(dir.path)) chmod((dir / name).c_str(), 0644);
  chmod(dir.path.c_str(), 0555);
  child unprivileged{"run: child without rights", dir.path};
  CHECK(unprivileged.wait() == 0);
}

TEST_CASE("run: F-DB-05 a path that is a directory is an error of one line before anything is sent") {
  temp_dir dir;
  REQUIRE(mkdir((dir / "sub").c_str(), 0700) == 0);
  for (const std::string& path :
       {dir.path, dir / "sub", dir / "sub/", dir / "sub/.", dir / "sub/..", std::string("/"), std::string("..")}) {
    for (const error& e :
         {store_sqlite::create(path, {}, {}).error(), stored_run::open(path).error(), store_sqlite::move_aside(path).error()}) {
      CHECK_MESSAGE(e.message().find("is a directory") != std::string::npos, e.message());
      CHECK(e.source == path);
    }
  }
  write_file(dir / "file", "x");
  CHECK(store_sqlite::create(dir / "file/run.db", {}, {}).error().message().find("Not a directory") != std::string::npos);
  CHECK(store_sqlite::create("", {}, {}).error().code == errc::usage);
  CHECK(store_sqlite::create(dir / std::string("a\0b", 3), {}, {}).error().code == errc::usage);
  CHECK(stored_run::open(dir / "none.db").error().code == errc::not_found);
  REQUIRE(mkfifo((dir / "fifo").c_str(), 0600) == 0);
  CHECK(stored_run::open(dir / "fifo").error().message().find("not a regular file") != std::string::npos);
  CHECK_FALSE(store_sqlite::create(dir / "fifo", {}, {}));
  CHECK(list(dir.path) == std::vector<std::string>{"fifo", "file", "sub"});
}

TEST_CASE("run: F-DB-06 a newer schema is refused with the version that made it") {
  temp_dir dir;
  {
    auto store = store_sqlite::create(dir / "run.db", {}, {});
    REQUIRE(store);
    REQUIRE(store->finish({}));
  }
  {
    plain_db db{dir / "run.db"};
    REQUIRE(db.exec("PRAGMA user_version = 2; UPDATE meta SET value = 'hotpath 0.9.1' WHERE key = 'made_by'; ALTER TABLE "
                    "requests ADD COLUMN colour TEXT") == SQLITE_OK);
  }
  const error e = stored_run::open(dir / "run.db").error();
  CHECK(e.code == errc::unsupported);
  CHECK_MESSAGE(e.message().find("made by hotpath 0.9.1") != std::string::npos, e.message());
  CHECK(e.message().find("this is hotpath " HOTPATH_VERSION_STRING) != std::string::npos);
  { plain_db{dir / "run.db"}.exec("DROP TABLE meta"); }  // a schema in which even that moved
  CHECK(stored_run::open(dir / "run.db").error().message().find("made by a newer hotpath (schema 2)") != std::string::npos);
  { plain_db{dir / "run.db"}.exec("PRAGMA user_version = 0"); }
  CHECK(stored_run::open(dir / "run.db").error().code == errc::malformed);
}

TEST_CASE("run: F-DB-10 a file name is a plain name, whatever its bytes") {
  temp_dir dir;
  char here[4096];
  REQUIRE(getcwd(here, sizeof here) != nullptr);
  REQUIRE(chdir(dir.path.c_str()) == 0);
  const std::string longest(247, 'n');
  for (const std::string& name :
       {std::string("it's \"quoted\".db"), std::string("what?.db"), std::string("a#b.db"), std::string("100%41.db"),
        std::string("two\nlines.db"), std::string("..db"), std::string("-rf"), std::string("--help"), std::string("file:run.db"),
        std::string("file:run.db?mode=memory"), std::string(":memory:"), std::string("\xff\xfe.db"), std::string(" "), longest}) {
    CAPTURE(name);
    REQUIRE_FALSE(exists(name));
    auto store = store_sqlite::create(name, {}, {});
    REQUIRE_MESSAGE(store, store.error().message());
    store->add(model::request());
    REQUIRE(store->finish(ended({})));
    CHECK(list(dir.path) == std::vector<std::string>{name});
    auto all = read_all("./" + name);
    REQUIRE_MESSAGE(all, all.error().message());
    CHECK(all->requests.size() == 1);
    CHECK(read_all(name));
    const auto moved = store_sqlite::move_aside(name);
    REQUIRE_MESSAGE(moved, moved.error().message());
    CHECK(read_all(*moved));
    REQUIRE(unlink(moved->c_str()) == 0);
  }
  // 255 bytes are a file name, too, but leave no room for SQLite's files beside it: refused before one is made. Reading works.
  const std::string full(255, 'f');
  const auto refused = store_sqlite::create(full, {}, {});
  REQUIRE_FALSE(refused);
  CHECK_MESSAGE(refused.error().message().find("255 bytes, want at most 247") != std::string::npos, refused.error().message());
  CHECK(list(dir.path).empty());
  REQUIRE(store_sqlite::create("run.db", {}, {})->finish({}));
  REQUIRE(rename("run.db", full.c_str()) == 0);
  CHECK(read_all(full));
  CHECK(list(dir.path) == std::vector<std::string>{full});
  std::string deep = "deep";
  while (deep.size() < 600) deep += "/" + std::string(50, 'd');
  const auto too_long = store_sqlite::create(deep + "/run.db", {}, {});
  REQUIRE_FALSE(too_long);
  CHECK_MESSAGE(too_long.error().message().find("SQLite takes at most") != std::string::npos, too_long.error().message());
  // An error stays one line.
  CHECK(stored_run::open("no\nsuch\x1b[2J.db").error().message().find("no\\nsuch\\x1b[2J.db") == 0);
  REQUIRE(chdir(here) == 0);
}

TEST_CASE("run: links are followed for reading and refused for writing") {
  temp_dir dir;
  {
    auto store = store_sqlite::create(dir / "run.db", {}, {});
    REQUIRE(store);
    REQUIRE(store->finish({}));
  }
  write_file(dir / "victim", "keep me");
  REQUIRE(symlink("run.db", (dir / "alias.db").c_str()) == 0);
  CHECK(stored_run::open(dir / "alias.db"));
  const struct {
    const char *link, *path;
  } traps[] = {
      {"trap.db", "trap.db"}, {"a.db-wal", "a.db"}, {"b.db-shm", "b.db"}, {"c.db-lock", "c.db"}, {"d.db-journal", "d.db"}};
  for (const auto& t : traps) {
    for (const char* target : {"victim", "nothing-there"}) {
      REQUIRE(symlink(target, (dir / t.link).c_str()) == 0);
      const auto refused = store_sqlite::create(dir / t.path, {}, {});
      CHECK_MESSAGE(!refused, std::string(t.link));
      CHECK(exists(dir / t.link));
      unlink((dir / t.link).c_str());
    }
  }
  CHECK(read_file(dir / "victim") == "keep me");
  CHECK_FALSE(exists(dir / "nothing-there"));
}

TEST_CASE("run: F-DB-13 files are 0600 and directories 0700 whatever the umask") {
  temp_dir dir;
  for (const mode_t mask : {mode_t{0}, mode_t{0777}}) {
    const std::string top = dir / (mask == 0 ? "open" : "shut"), path = top + "/inner/run.db";
    const mode_t before = umask(mask);
    auto store = store_sqlite::create(path, {}, {}, {.commit_every = 1_ms});
    umask(before);
    REQUIRE_MESSAGE(store, store.error().message());
    store->add(model::request());
    REQUIRE(wait_for([&] { return store->stored() == 1; }));
    CHECK(mode_text(top) == "700");
    CHECK(mode_text(top + "/inner") == "700");
    CHECK(list(top + "/inner") == std::vector<std::string>{"run.db", "run.db-lock", "run.db-shm", "run.db-wal"});
    for (const std::string& name : list(top + "/inner")) CHECK_MESSAGE(mode_text(top + "/inner/" + name) == "600", name);
    const mode_t again = umask(mask);
    CHECK(store->finish({}));
    umask(again);
    CHECK(mode_text(path) == "600");
  }
}

TEST_CASE("run: F-DB-14 a wall clock that is set back in mid-run delays no commit and moves no stamp") {
  temp_dir dir;
  wall_offset = 3600_s;  // the clock was an hour ahead ...
  model::run_info info;
  info.wall_start = realtime_now(), info.origin = monotonic_now();
  auto store = store_sqlite::create(dir / "run.db", info, {}, {.commit_every = 1_ms});
  REQUIRE(store);
  maker make{14};
  std::map<std::uint64_t, model::request> truth;
  for (std::uint64_t i = 0; i < 40; ++i) {
    if (i == 20) wall_offset = nanoseconds{};  // ... and is set right
    model::request r = make.request(i);
    r.sent = {monotonic_now() - info.origin, model::stamp_source::user, false};
    truth[i] = r;
    store->add(std::move(r));
    REQUIRE(wait_for([&] { return store->stored() == i + 1; }));
  }
  CHECK(realtime_now() < info.wall_start);
  REQUIRE(store->finish(info));
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  nanoseconds last{-1};
  for (const auto& [i, r] : all->requests) {
    CHECK(difference(r, truth.at(i)) == "");
    CHECK(r.sent.at > last);
    last = r.sent.at;
  }
  CHECK(all->info.wall_start == info.wall_start);
}
