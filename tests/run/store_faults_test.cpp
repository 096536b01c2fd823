// SPDX-License-Identifier: Apache-2.0
// tests/run/store_faults_test.cpp - the store in bad weather: full disks, power cuts, kills, flipped bytes.
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <atomic>
#include <cstdlib>
#include "fault_vfs.hpp"
#include "store_support.hpp"
#include "support/data.hpp"

using namespace store_test;

namespace {

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

std::string integrity(const std::string& path) { return plain_db{path}.text("PRAGMA integrity_check"); }

model::run_info in_state(model::run_state s) {
  model::run_info i = maker{9}.info();
  i.state = s;
  return i;
}

// A run of `rows` requests in commits of ten. What happened, in numbers that have to add up.
struct outcome {
  bool created = false, finished = false;
  std::string why;
  std::uint64_t added = 0, stored = 0;
  model::loss lost;
  std::optional<error> failed;
};
outcome write_run(const std::string& path, std::uint64_t rows, bool store_text = false) {
  outcome o;
  maker make{77};
  auto store = store_sqlite::create(path, make.info(), make.schedule(100), {.store_text = store_text, .commit_every = 1_ms});
  if (!store) {
    o.why = store.error().message();
    return o;
  }
  o.created = true;
  for (; o.added < rows && !store->failed(); ++o.added) {
    store->add(make.request(o.added, store_text));
    if (o.added % 10 == 0) store->add(make.interval(0, static_cast<std::int64_t>(o.added)));
    if (o.added % 10 == 5) store->add(make.scrape(static_cast<std::int64_t>(o.added / 10)));
    if (o.added % 10 == 9) wait_for([&] { return store->stored() == o.added + 1 || store->failed(); });
  }
  if (auto done = store->finish(in_state(model::run_state::complete)))
    o.finished = true;
  else
    o.why = done.error().message();
  o.stored = store->stored(), o.lost = store->lost(), o.failed = store->failed();
  return o;
}

// What a file must be after a run of which we know `o`.
void check_file(const std::string& path, const outcome& o) {
  auto all = read_all(path);
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(integrity(path) == "ok");
  // A commit whose sync failed may yet be whole on disk; it is never promised, and never half there.
  CHECK(all->requests.size() >= o.stored);
  CHECK(all->requests.size() <= o.added);
  maker make{77};
  CHECK(difference(all->plan, (make.info(), make.schedule(100))) == "");
  CHECK(all->partial == (all->info.state == model::run_state::running || all->info.lost));
  if (o.finished) {
    CHECK(all->info.state == model::run_state::complete);
    CHECK(all->info.lost.total() == o.lost.total());
  }
}

}  // namespace

TEST_CASE("run: F-DB-01 a disk that is full from any write on stops the store and keeps what is committed") {
  std::int64_t operations = 0;
  {
    temp_dir dir{true};
    fault_vfs fs;
    const outcome o = write_run(dir / "run.db", 40);
    REQUIRE(o.finished);
    operations = fs.operations;
  }
  REQUIRE(operations > 30);
  std::uint64_t in_create = 0, in_run = 0, in_finish = 0, harmless = 0;
  for (const bool once : {false, true}) {
    for (std::int64_t n = 1; n <= operations; ++n) {
      CAPTURE(n);
      CAPTURE(once);
      temp_dir dir{true};
      outcome o;
      {
        fault_vfs fs;
        fs.fail_from = n, fs.once = once;
        o = write_run(dir / "run.db", 40);
      }
      CHECK_FALSE(exists(dir / "run.db-lock"));
      if (!o.created) {
        ++in_create;
        CHECK(has(o.why, "run.db: "));
        CHECK_MESSAGE((has(o.why, "full") || has(o.why, "I/O error")), o.why);
        CHECK_FALSE(has(o.why, "\n"));
        CHECK(list(dir.path).empty());
        continue;
      }
      CHECK(o.stored + o.lost.total() == o.added);
      if (o.failed) {
        ++(o.added < 40 ? in_run : in_finish);
        CHECK(o.failed->code == errc::io);
        CHECK(has(o.failed->message(), "finished requests are in the file and stay"));
      } else {
        ++harmless;  // the log could not be worked in or removed: what counts is on disk
        CHECK(o.finished);
        CHECK(o.stored == 40);
      }
      check_file(dir / "run.db", o);
    }
  }
  // The sweep went through all phases.
  CHECK(in_create > 10);
  CHECK(in_run > 10);
  CHECK(in_finish > 0);
  CHECK(harmless > 0);
}

TEST_CASE("run: child on small disks" * doctest::skip()) {
  const std::string dir = child::argument();
  const std::string user = "0 " + std::to_string(getuid()) + " 1", group = "0 " + std::to_string(getgid()) + " 1";
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) std::_Exit(77);
  write_file("/proc/self/setgroups", "deny");
  write_file("/proc/self/uid_map", user);
  write_file("/proc/self/gid_map", group);
  if (mount("none", dir.c_str(), "tmpfs", 0, "size=64k") != 0) std::_Exit(77);
  umount(dir.c_str());
  bool refused = false, stopped = false, fitted = false;
  for (unsigned kib = 64; kib <= 8192; kib += kib < 320 ? 16 : kib) {
    CAPTURE(kib);
    REQUIRE(mount("none", dir.c_str(), "tmpfs", 0, ("size=" + std::to_string(kib) + "k").c_str()) == 0);
    const outcome o = write_run(dir + "/run.db", 200);
    if (!o.created) {
      refused = true;
      CHECK_MESSAGE((has(o.why, "full") || has(o.why, "No space left")), o.why);
      CHECK(list(dir).empty());
    } else {
      CHECK(o.stored + o.lost.total() == o.added);
      auto all = read_all(dir + "/run.db");
      // No room even for the memory that readers share: then it is read after it is moved.
      if (!all) {
        for (const char* name : {"run.db", "run.db-wal"})
          if (exists(dir + "/" + name)) write_file(dir + "-" + name, read_file(dir + "/" + name));
        all = read_all(dir + "-run.db");
      }
      REQUIRE_MESSAGE(all, all.error().message());
      CHECK(all->requests.size() >= o.stored);
      (o.failed ? stopped : fitted) = true;
      if (o.failed) CHECK_MESSAGE(has(o.failed->message(), "full"), o.failed->message());
    }
    REQUIRE(umount(dir.c_str()) == 0);
  }
  CHECK(refused);
  CHECK(stopped);
  CHECK(fitted);
}

TEST_CASE("run: F-DB-01 a real file system of 64 KiB and more fills up") {
  temp_dir dir;
  REQUIRE(mkdir((dir / "disk").c_str(), 0700) == 0);
  child small{"run: child on small disks", dir / "disk"};
  const int status = small.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
    return hotpath_test::skip("this machine gives no user namespaces, so no file system can be mounted");
  CHECK(status == 0);
}

// Feeds synthetic requests at some 5,000 per second and writes, before each add(), its index and the time into shared memory.
struct feed_log {
  std::uint64_t count;
  struct {
    std::uint64_t index;
    std::int64_t at;
  } finished[1u << 20];
};
TEST_CASE("run: child that is killed at a random moment" * doctest::skip()) {
  const std::string path = child::argument();
  const int fd = open((path + ".log").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(fd >= 0);
  auto* log = static_cast<feed_log*>(mmap(nullptr, sizeof(feed_log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  REQUIRE(static_cast<void*>(log) != MAP_FAILED);
  maker make{5};
  auto store = store_sqlite::create(path, make.info(), make.schedule(1000));
  REQUIRE(store);
  for (std::uint64_t i = 0; i < (1u << 20); ++i) {
    model::request r = make.request(i ^ 1);  // not in order
    log->finished[i] = {r.index, monotonic_now().ns};
    __atomic_store_n(&log->count, i + 1, __ATOMIC_RELEASE);
    store->add(std::move(r));
    if (i % 16 == 0) usleep(3000);
  }
}

TEST_CASE("run: F-DB-07 kill -9 at random moments leaves a sound file without more than the last second") {
  const int rounds = hotpath_test::full() ? 100 : 10;
  std::random_device entropy;
  const std::uint64_t seed = entropy();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
  temp_dir dir;
  const std::string path = dir / "run.db";
  std::uint64_t kept = 0;
  for (int round = 0; round < rounds; ++round) {
    CAPTURE(round);
    write_file(path + ".log", "");
    REQUIRE(truncate((path + ".log").c_str(), sizeof(feed_log)) == 0);
    const int fd = open((path + ".log").c_str(), O_RDONLY | O_CLOEXEC);
    auto* log = static_cast<const feed_log*>(mmap(nullptr, sizeof(feed_log), PROT_READ, MAP_SHARED, fd, 0));
    REQUIRE(static_cast<const void*>(log) != MAP_FAILED);
    const auto fed = [&] { return __atomic_load_n(&log->count, __ATOMIC_ACQUIRE); };
    nanoseconds killed;
    {
      child feeder{"run: child that is killed at a random moment", path};
      if (round % 5 != 4) REQUIRE(wait_for([&] { return fed() > 0; }));  // every fifth: perhaps while it makes the file
      usleep(static_cast<useconds_t>(random() % (round % 5 != 4 ? 1'800'000 : 60'000)));
      killed = monotonic_now();
      ::kill(feeder.pid, SIGKILL);
      feeder.wait();
    }
    auto all = read_all(path);
    if (!all) {
      // Only before the first commit: then it is a file that holds no run, or none.
      CHECK_MESSAGE((all.error().code == errc::empty || all.error().code == errc::not_found), all.error().message());
      CHECK(fed() == 0);
    } else {
      CHECK(all->partial);
      CHECK(all->info.state == model::run_state::running);
      CHECK(difference(all->plan, (maker{5}.info(), maker{5}.schedule(1000))) != "?");
      std::uint64_t old = 0, lost = 0;
      for (std::uint64_t i = 0; i < fed(); ++i) {
        if (nanoseconds{log->finished[i].at} > killed - 1_s) break;
        ++old;
        lost += all->requests.count(log->finished[i].index) == 0 ? 1u : 0u;
      }
      CHECK_MESSAGE(lost == 0, lost, " of ", old, " requests that were finished for a second");
      CHECK(all->requests.size() <= fed());
      kept += all->requests.size();
      CHECK(integrity(path) == "ok");
    }
    munmap(const_cast<feed_log*>(log), sizeof(feed_log));
    close(fd);
    auto moved = store_sqlite::move_aside(path);  // what every next run does with it
    REQUIRE_MESSAGE(moved, moved.error().message());
    if (!moved->empty() && all) CHECK(read_all(*moved)->requests.size() == all->requests.size());
    temp_dir::remove(dir / "x");
    for (const std::string& name : list(dir.path)) unlink((dir / name).c_str());
  }
  CHECK(kept > 0);
}

TEST_CASE("run: F-DB-08 a power cut at any sync loses nothing that was committed, and the file opens") {
  temp_dir dir{true};
  std::mt19937_64 random{8};
  temp_dir after{true};
  std::mutex one;
  std::size_t cuts = 0, worked_in = 0;
  const auto survives = [&](const std::map<std::string, std::string>& files, std::uint64_t stored) {
    std::lock_guard hold{one};
    ++cuts;
    for (const std::string& name : list(after.path)) unlink((after / name).c_str());
    for (const auto& [name, bytes] : files) {
      write_file(after / name.substr(name.rfind('/') + 1), bytes);
      worked_in += has(name, "-wal") || bytes.size() < 1'000'000 ? 0u : 1u;
    }
    auto all = read_all(after / "run.db");
    CHECK_MESSAGE(all, all.error().message());
    if (!all) return;
    CHECK(all->requests.size() >= stored);
    CHECK_FALSE(has(all->info.notes.back(), "damaged"));
    CHECK(integrity(after / "run.db") == "ok");
  };
  {
    fault_vfs fs;
    fs.record = dir.path + "/";
    maker make{77};
    std::atomic<store_sqlite*> running{nullptr};
    // As the disk may be just after a sync, which includes that of the log before a commit returns: stored() has not seen it.
    fs.after_sync = [&](fault_vfs& f) {
      if (store_sqlite* store = running) survives(f.cut(random), store->stored());
    };
    auto store = store_sqlite::create(dir / "run.db", make.info(), make.schedule(100), {.commit_every = 1_ms});
    REQUIRE_MESSAGE(store, store.error().message());
    survives(fs.cut(random), 0);
    running = &*store;
    for (std::uint64_t i = 0; i < 1600; ++i) {  // 19 MB: more than the log grows to before it is worked in and begun anew
      model::request r = make.request(i);
      r.error_message.assign(12'000, 'x');
      store->add(std::move(r));
      if (i % 100 != 99) continue;
      REQUIRE(wait_for([&] { return store->stored() == i + 1; }));
      survives(fs.cut(random), i + 1);
    }
    REQUIRE(store->finish(in_state(model::run_state::complete)));
    survives(fs.cut(random), 1600);
  }
  CHECK(cuts > 40);
  CHECK(worked_in > 10);
  CHECK(worked_in < cuts);
  CHECK(read_all(after / "run.db")->info.state == model::run_state::complete);
}

TEST_CASE("run: F-DB-09 a flipped byte at 1,000 random offsets is an error or changes nothing, and never a crash") {
  temp_dir dir{true};
  REQUIRE(write_run(dir / "run.db", 300, true).finished);
  const auto truth = read_all(dir / "run.db");
  REQUIRE(truth);
  const std::string good = read_file(dir / "run.db");
  std::mt19937_64 random{9};
  int errors = 0, right = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string bytes = good;
    std::size_t at = random() % bytes.size();
    if (i % 2 != 0) at = std::min(bytes.find_first_not_of('\0', at), bytes.size() - 1);  // half of them not in free space
    bytes[at] = static_cast<char>(bytes[at] ^ static_cast<char>(1 + random() % 255));
    CAPTURE(at);
    write_file(dir / "bad.db", bytes);
    auto all = read_all(dir / "bad.db");
    if (!all) {
      ++errors;
      CHECK(has(all.error().message(), "bad.db: "));
      CHECK(all.error().code != errc::internal);
      continue;
    }
    ++right;
    CHECK(difference(all->info, truth->info) == "");
    CHECK(difference(all->plan, truth->plan) == "");
    CHECK(same(all->info.lost, truth->info.lost));
    REQUIRE(all->requests.size() == truth->requests.size());
    for (const auto& [index, r] : all->requests) CHECK(difference(r, truth->requests.at(index)) == "");
    REQUIRE(all->intervals.size() == truth->intervals.size());
    for (std::size_t k = 0; k < all->intervals.size(); ++k) CHECK(difference(all->intervals[k], truth->intervals[k]) == "");
  }
  CHECK(errors > 300);
  CHECK(right > 50);  // free space of pages, fields of the head that nobody reads
}

TEST_CASE("run: F-DB-09 a file cut off anywhere, and files of other things, are errors") {
  temp_dir dir;
  REQUIRE(write_run(dir / "run.db", 50).finished);
  const std::string good = read_file(dir / "run.db");
  std::mt19937_64 random{10};
  for (int i = 0; i < 60; ++i) {
    write_file(dir / "cut.db", good.substr(0, i < 20 ? static_cast<std::size_t>(i * 8) : random() % good.size()));
    const auto all = read_all(dir / "cut.db");
    CHECK_FALSE(all);
  }
  for (const std::string& bytes :
       {std::string(100, '\0'), std::string("{\"traceEvents\": []}"), good.substr(16), std::string(1 << 20, 'S')}) {
    write_file(dir / "other.db", bytes);
    const auto all = read_all(dir / "other.db");
    REQUIRE_FALSE(all);
    CHECK_MESSAGE(has(all.error().message(), "not a hotpath run"), all.error().message());
  }
  write_file(dir / "byte.db", "x");  // to SQLite an empty file
  CHECK(read_all(dir / "byte.db").error().code == errc::empty);
  {
    plain_db{dir / "foreign.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE}.exec(
        "CREATE TABLE requests(idx INTEGER PRIMARY KEY)");
  }
  CHECK(has(read_all(dir / "foreign.db").error().message(), "not a hotpath run"));
}

namespace {
constexpr std::size_t page_size = 16384;
void put_be(std::string& bytes, std::size_t at, std::uint32_t v) {
  for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(v >> (24 - 8 * i));
}
std::uint32_t get_be(const std::string& bytes, std::size_t at) {
  std::uint32_t v = 0;
  for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(bytes[at + i]);
  return v;
}
std::uint32_t root_of(const std::string& path, const std::string& table) {
  return static_cast<std::uint32_t>(
      std::stoul(plain_db{path}.text("SELECT rootpage FROM sqlite_schema WHERE name = '" + table + "'")));
}

// The tree at `root` made 18 levels higher; each new page has four times the same child.
std::string endless(std::string bytes, std::uint32_t root) {
  const std::string old = bytes.substr((root - 1) * page_size, page_size);
  const bool is_table = old[0] == 5 || old[0] == 13;
  std::uint32_t child = 0;
  if (old[0] == 5) {
    child = get_be(old, static_cast<unsigned char>(old[12]) * 256u + static_cast<unsigned char>(old[13]));
  } else {
    bytes += old;
    child = static_cast<std::uint32_t>(bytes.size() / page_size);
  }
  for (int level = 0; level < 18; ++level) {
    std::string page(page_size, '\0');
    const std::string cell =
        is_table ? std::string(1, '\1') : std::string("\4\3\17\11k", 5);  // a row number, or the record ('k', 1)
    std::size_t end = page_size;
    page[0] = is_table ? 5 : 2;
    page[4] = 3;
    for (std::size_t i = 0; i < 3; ++i) {
      end -= 4 + cell.size();
      put_be(page, end, child);
      page.replace(end + 4, cell.size(), cell);
      page[12 + 2 * i] = static_cast<char>(end >> 8), page[13 + 2 * i] = static_cast<char>(end);
    }
    page[5] = static_cast<char>(end >> 8), page[6] = static_cast<char>(end);
    put_be(page, 8, child);
    if (level == 17) {
      bytes.replace((root - 1) * page_size, page_size, page);
    } else {
      bytes += page;
      child = static_cast<std::uint32_t>(bytes.size() / page_size);
    }
  }
  put_be(bytes, 28, static_cast<std::uint32_t>(bytes.size() / page_size));
  return bytes;
}
}  // namespace

TEST_CASE("run: F-DB-09 a file made to deceive is refused: views, endless trees, unknown codes with right checksums") {
  temp_dir dir{true};
  REQUIRE(write_run(dir / "run.db", 300).finished);
  const std::string good = read_file(dir / "run.db");
  const auto fresh = [&] {
    write_file(dir / "evil.db", good);
    return dir / "evil.db";
  };
  for (const char* sql :
       {"ALTER TABLE requests RENAME TO r; CREATE VIEW requests AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM "
        "c) SELECT * FROM r, c",
        "ALTER TABLE requests ADD COLUMN extra INTEGER", "DROP TABLE totals", "DROP TABLE schedule; CREATE TABLE schedule(kind)",
        "DELETE FROM schedule", "UPDATE meta SET value = 'someone else' WHERE key = 'host'",
        "DELETE FROM meta WHERE key = 'notes.0'", "UPDATE requests SET prompt_tokens = 5 WHERE idx = 7",
        "DELETE FROM requests WHERE idx = 7", "UPDATE requests SET idx = 1000 WHERE idx = 7",
        "UPDATE requests SET stamps = stamps + 1 WHERE idx = 7", "UPDATE requests SET status = 'splendid' WHERE idx = 7",
        "UPDATE schedule SET due = zeroblob(100)", "DELETE FROM client_intervals WHERE row = 2",
        "UPDATE client_intervals SET loop_lag_ns = x'07ff' WHERE row = 1", "DELETE FROM scrapes WHERE row = 1",
        "UPDATE scrapes SET series = replace(series, 'running', 'waiting') WHERE row = 1", "DROP TABLE scrapes",
        "UPDATE requests SET chunks = zeroblob(200000000), chunk_count = 200000000 WHERE idx = 7",
        "UPDATE requests SET chunks = zeroblob(300000000) WHERE idx = 7"}) {
    const std::string path = fresh();
    REQUIRE(plain_db{path}.exec(sql) == SQLITE_OK);
    const auto all = read_all(path);
    CHECK_MESSAGE(!all, std::string(sql));
    if (!all) CHECK_MESSAGE((all.error().code == errc::malformed || all.error().code == errc::over_limit), all.error().message());
  }
  for (const std::string series : {R"([{"what":"nonsense","value":1}])", R"([{"what":"ttft","value":1,"edges":[1,2],"counts":[3]}])",
                                   R"([{"what":"running","value":"one"}])", R"([{"what":"running","value":1}] 2)", "{}", "["}) {
    // Figures that hotpath does not write, with the right checksums.
    const std::string path = fresh();
    plain_db db{path};
    const auto number = static_cast<std::int64_t>(1);
    std::vector<model::scrape> scrapes;
    {
      auto run = stored_run::open(path);
      REQUIRE(run);
      REQUIRE(run->for_each_scrape([&](model::scrape&& x) { scrapes.push_back(std::move(x)); }));
    }
    run::detail::scrape_row row = run::detail::encode(std::move(scrapes.at(0)));
    const std::int64_t was = run::detail::checksum_of(row, number);
    row.series = series;
    const std::int64_t is = run::detail::checksum_of(row, number);
    REQUIRE(db.exec("UPDATE scrapes SET checksum = " + std::to_string(is) + ", series = '" + series + "' WHERE row = 1") == SQLITE_OK);
    const auto sum = static_cast<std::uint64_t>(std::stoll(db.text("SELECT checksum FROM totals WHERE name = 'scrapes'")));
    const auto now = static_cast<std::int64_t>(sum - static_cast<std::uint64_t>(was) + static_cast<std::uint64_t>(is));
    REQUIRE(db.exec("UPDATE totals SET checksum = " + std::to_string(now) + " WHERE name = 'scrapes'") == SQLITE_OK);
    const auto all = read_all(path);
    REQUIRE_FALSE(all);
    CHECK_MESSAGE(has(all.error().message(), "scrapes: row 1 is damaged: its figures are not as hotpath writes them"), all.error().message());
  }
  {
    // A chunk of a kind that does not exist, with the right checksums.
    const std::string path = fresh();
    model::request r;
    r.index = 5000;
    r.chunks = model::chunk_log::from_bytes(std::string(1, '\x07'));
    plain_db db{path};
    const std::string sum = std::to_string(run::detail::checksum_of(r));
    REQUIRE(db.exec("INSERT INTO requests SELECT 5000, 0, " + sum + ", 0, 0, 1, NULL, NULL, 0, 'in_flight'" + [] {
      std::string n;
      for (int i = 0; i < 22; ++i) n += ", NULL";
      return n;
    }() + ", 0, 0, 0, 0, 0, 0, 1, 0, x'07'") == SQLITE_OK);
    const auto before = static_cast<std::uint64_t>(std::stoll(db.text("SELECT checksum FROM totals WHERE name = 'requests'")));
    const auto after = static_cast<std::int64_t>(before + static_cast<std::uint64_t>(std::stoll(sum)));
    REQUIRE(db.exec("UPDATE totals SET rows = rows + 1, checksum = " + std::to_string(after) + " WHERE name = 'requests'") ==
            SQLITE_OK);
    const auto all = read_all(path);
    REQUIRE_FALSE(all);
    CHECK_MESSAGE(has(all.error().message(), "row 5000 is damaged"), all.error().message());
  }
  {
    // A root page that is its own first child.
    std::string bytes = good;
    const std::uint32_t root = root_of(fresh(), "requests");
    REQUIRE(bytes[(root - 1) * page_size] == 5);  // an interior page
    put_be(bytes, (root - 1) * page_size + 8, root);
    write_file(dir / "evil.db", bytes);
    CHECK_FALSE(read_all(dir / "evil.db"));
  }
  // Trees of 4^18 leaves in 2 MB: years of rows, each of them sound.
  write_file(dir / "evil.db", endless(good, root_of(fresh(), "requests")));
  const auto rows = read_all(dir / "evil.db");
  REQUIRE_FALSE(rows);
  CHECK_MESSAGE(has(rows.error().message(), "comes after row"), rows.error().message());
  write_file(dir / "evil.db", endless(good, root_of(fresh(), "meta")));
  const auto manifest = read_all(dir / "evil.db");
  REQUIRE_FALSE(manifest);
  CHECK_MESSAGE(has(manifest.error().message(), "it goes on for longer than the file can be"), manifest.error().message());
}

namespace {
// A run whose writer was killed: copies of its files, all commits in the log, none worked in.
std::uint64_t killed_run(const temp_dir& dir, const std::string& name, int commits = 8) {
  auto store = store_sqlite::create(dir / "live.db", in_state(model::run_state::running), {}, {.commit_every = 1_ms});
  REQUIRE_MESSAGE(store, store.error().message());
  std::uint64_t rows = 0;
  for (int i = 0; i < commits; ++i) {
    for (int k = 0; k < 5; ++k) {
      model::request r;
      r.index = rows++;
      store->add(std::move(r));
    }
    REQUIRE(wait_for([&] { return store->stored() == rows; }));
  }
  write_file(dir / name, read_file(dir / "live.db"));
  write_file(dir / (name + "-wal"), read_file(dir / "live.db-wal"));
  store->finish({}).value();
  unlink((dir / "live.db").c_str());
  return rows;
}
}  // namespace

TEST_CASE("run: F-DB-12 what a killed writer left in its log is read, and worked in when the run is moved aside") {
  temp_dir dir;
  const std::uint64_t rows = killed_run(dir, "run.db");
  REQUIRE(read_file(dir / "run.db").size() < 20000);  // it is all in the log
  auto all = read_all(dir / "run.db");
  REQUIRE_MESSAGE(all, all.error().message());
  CHECK(all->requests.size() == rows);
  CHECK(all->partial);
  const auto moved = store_sqlite::move_aside(dir / "run.db");
  REQUIRE_MESSAGE(moved, moved.error().message());
  CHECK(list(dir.path) == std::vector<std::string>{"run.1.db"});
  CHECK(read_all(*moved)->requests.size() == rows);
}

TEST_CASE("run: F-DB-12 a log without its file, or a file with the log of another, is refused with the reason") {
  temp_dir dir;
  killed_run(dir, "run.db");
  rename((dir / "run.db").c_str(), (dir / "kept.db").c_str());
  const auto created = store_sqlite::create(dir / "run.db", {}, {});
  REQUIRE_FALSE(created);
  CHECK_MESSAGE(has(created.error().message(), "run.db-wal was left behind"), created.error().message());
  const auto opened = stored_run::open(dir / "run.db");
  REQUIRE_FALSE(opened);
  CHECK_MESSAGE(has(opened.error().message(), "write-ahead log"), opened.error().message());
  CHECK(exists(dir / "run.db-wal"));

  // Another run's log beside a finished file: SQLite would lay its pages over the file.
  REQUIRE(write_run(dir / "other.db", 50).finished);
  { plain_db{dir / "other.db"}.text("PRAGMA journal_mode = WAL"); }
  REQUIRE(rename((dir / "run.db-wal").c_str(), (dir / "other.db-wal").c_str()) == 0);
  const auto mixed = read_all(dir / "other.db");
  if (mixed)
    CHECK((mixed->requests.size() == 50 || mixed->requests.size() == 40));  // one of the two as it was, nothing in between
}

TEST_CASE("run: F-DB-12 damage in the log is said: what was committed after it is not passed over in silence") {
  temp_dir dir;
  const std::uint64_t rows = killed_run(dir, "run.db", 12);
  const std::string file = read_file(dir / "run.db"), log = read_file(dir / "run.db-wal");
  std::mt19937_64 random{12};
  int whole = 0, said = 0, refused = 0, torn = 0, kept = 0;
  for (int i = 0; i < 300; ++i) {
    const std::size_t at = i < 32 ? static_cast<std::size_t>(i) : random() % log.size();
    CAPTURE(at);
    temp_dir bad_dir{true};
    std::string bad = log;
    bad[at] = static_cast<char>(bad[at] ^ static_cast<char>(1 + random() % 255));
    write_file(bad_dir / "run.db", file);
    write_file(bad_dir / "run.db-wal", bad);
    auto all = read_all(bad_dir / "run.db");
    if (!all) {
      ++refused;
      CHECK_MESSAGE((has(all.error().message(), "damaged") || all.error().code == errc::empty), all.error().message());
      CHECK_MESSAGE(has(all.error().message(), "log is damaged"), all.error().message());
    } else {
      CHECK(all->partial);
      for (const auto& [index, r] : all->requests) CHECK(index < rows);
      const bool note = has(all->info.notes.back(), "write-ahead log is damaged");
      if (all->requests.size() == rows) {
        ++whole;
      } else if (note) {
        ++said;
      } else {
        ++torn;
        CHECK(all->requests.size() >= rows - 5);  // the very last commit: as a power cut would leave it
      }
    }
    // Moved aside it keeps a log of which something would be left out: evidence is not destroyed.
    if (i % 10 == 0 || i == 5) {
      const bool damaged = run::detail::wal_damage(bad_dir / "run.db-wal").has_value();
      const auto moved = store_sqlite::move_aside(bad_dir / "run.db");
      REQUIRE_MESSAGE(moved, moved.error().message());
      CHECK(exists(*moved + "-wal") == damaged);
      if (damaged) CHECK(read_file(*moved + "-wal") == bad);
      CHECK_FALSE(exists(bad_dir / "run.db-wal"));
      kept += damaged ? 1 : 0;
    }
  }
  CHECK(kept > 10);
  CHECK(said > 50);
  CHECK(refused > 5);
}
