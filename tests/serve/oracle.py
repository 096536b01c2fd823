#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""oracle.py REQUESTS.ndjson REPORT.json   or   oracle.py --rows PROGRAM

Computes a serving report a second time, from exported rows with their chunks (hotpath export --format ndjson --chunks), with
nothing but the definitions of docs/statistics.md, and compares every figure with the report. The rows' own latency columns are
not read. With --rows the program makes both files. Stamps of one clock are assumed: exact means the kernel's."""
import json
import math
import subprocess
import sys
import tempfile

bad = 0
compared = 0


def same(name, ours, theirs, relative=2e-6):
    global bad, compared
    compared += 1
    if ours is None or theirs is None:
        ok = ours is None and theirs is None
    elif isinstance(ours, float):
        ok = abs(ours - theirs) <= relative * abs(ours) + 1e-6
    else:
        ok = ours == theirs
    if not ok:
        bad += 1
        print(f"{name}: the oracle has {ours}, the report {theirs}")


def quantile(x, p):  # Hyndman-Fan type 7; x sorted
    h = (len(x) - 1) * p
    i = math.floor(h)
    return x[i] + (h - i) * (x[min(i + 1, len(x) - 1)] - x[i])


def distribution(name, values, report):
    theirs = report[name]
    if not values:
        same(name, None, theirs)
        same(name + " has a reason", True, name in report["missing"])
        return
    x = sorted(values)
    same(name + ".n", len(x), theirs["n"])
    same(name + ".mean", math.fsum(x) / len(x), theirs["mean"])
    same(name + ".max", float(x[-1]), theirs["max"])
    for level in (50, 90, 95, 99):
        q = quantile(x, level / 100)
        same(f"{name}.p{level}", float(q), theirs[f"p{level}"])
        interval = theirs["ci95"][f"p{level}"]
        if interval:
            same(f"{name}.p{level} lies in its interval", True, interval[0] <= q * (1 + 1e-6) and (interval[1] is None or q <= interval[1] * (1 + 1e-6)))


def main(rows_path, report_path):
    with open(rows_path, encoding="utf-8") as f:
        rows = [json.loads(line) for line in f]
    with open(report_path, encoding="utf-8") as f:
        report = json.load(f)
    count = lambda status: sum(r["status"] == status for r in rows)
    for status in ("ok", "failed", "cancelled", "in_flight"):
        same("requests." + status, count(status), report["requests"][status])
    same("requests.sent", max(r["index"] for r in rows) + 1, report["requests"]["sent"])
    errors = {}
    for r in rows:
        if r["error"]:
            errors[r["error"]] = errors.get(r["error"], 0) + 1
    same("requests.errors", errors, report["requests"]["errors"])

    measured = [r for r in rows if not r["warmup"]]
    ok = [r for r in measured if r["status"] == "ok"]
    difference = lambda r, late, early: None if r[late] is None or r[early] is None else (r[late] - r[early]) / 1e6

    def tpot(r):
        n = r["completion_tokens"]
        if r["tokens_from"] != "usage" or r["usage_suspect"] or n is None or n < 2:
            return None
        return difference(r, "last_content_ns", "first_content_ns") / (n - 1)

    def dispatch(r):
        connect = difference(r, "connected_ns", "connect_begin_ns") or 0
        due = max(r["intended_ns"], r["slot_free_ns"] if r["slot_free_ns"] is not None else r["intended_ns"])
        return (r["sent_ns"] - due) / 1e6 - connect

    latencies = {
        "ttft_ms": lambda r: difference(r, "first_content_ns", "intended_ns"),
        "service_ttft_ms": lambda r: difference(r, "first_content_ns", "sent_ns"),
        "ttfo_ms": lambda r: difference(r, "first_output_ns", "intended_ns"),
        "connect_ms": lambda r: difference(r, "connected_ns", "connect_begin_ns"),
        "slot_wait_ms": lambda r: difference(r, "slot_free_ns", "intended_ns"),
        "dispatch_delay_ms": dispatch,
        "tpot_ms": tpot,
        "e2e_ms": lambda r: difference(r, "last_content_ns", "intended_ns"),
    }
    for name, of in latencies.items():
        distribution(name, [v for v in map(of, ok) if v is not None], report)

    gaps, per_token = [], []
    stalls = stalled = 0
    stall_time = decode_time = longest = 0
    for r in ok:
        events = r["chunks"]
        pairs = list(zip(events, events[1:]))
        known = all(e.get("tokens") for e in events)
        every = sorted(b["at_ns"] - a["at_ns"] for a, b in pairs)
        for a, b in pairs:
            if a["exact"] and b["exact"]:
                gap = (b["at_ns"] - a["at_ns"]) / 1e6
                gaps.append(gap)
                if known:
                    per_token += [gap / b["tokens"]] * b["tokens"]
        if every:
            limit = max(200e6, 5 * quantile(every, 0.5))
            mine = [g for g in every if g > limit]
            stalls += len(mine)
            stalled += bool(mine)
            stall_time += sum(mine)
            longest = max([longest, *mine])
            decode_time += events[-1]["at_ns"] - events[0]["at_ns"]
    distribution("chunk_gap_ms", gaps, report)
    distribution("itl_ms", per_token, report)
    same("stalls.count", stalls, report["stalls"]["count"])
    same("stalls.requests", stalled, report["stalls"]["requests"])
    if stalls:
        same("stalls.longest_ms", longest / 1e6, report["stalls"]["longest_ms"], 1e-3)
        same("stalls.share_of_decode_time", stall_time / decode_time, report["stalls"]["share_of_decode_time"], 1e-3)

    total = lambda column: sum(r[column] for r in ok if r[column] is not None)
    same("tokens.prompt", total("prompt_tokens"), report["tokens"]["prompt"])
    same("tokens.completion", total("completion_tokens"), report["tokens"]["completion"])
    begin = min(r["intended_ns"] for r in measured)
    end = max(r["closed_ns"] for r in measured if r["closed_ns"] is not None)
    window = (end - begin) / 1e9
    same("throughput.window_s", window, report["throughput"]["window_s"])
    same("throughput.requests_per_s", len(ok) / window, report["throughput"]["requests_per_s"])
    same("throughput.output_tokens_per_s", total("completion_tokens") / window, report["throughput"]["output_tokens_per_s"])
    same("throughput.input_tokens_per_s", total("prompt_tokens") / window, report["throughput"]["input_tokens_per_s"])

    limits = report["goodput"]["limits"]
    if limits:
        def good(r):
            if r["status"] != "ok":
                return False
            for limit, name in (("ttft_ms", "ttft_ms"), ("e2e_ms", "e2e_ms")):
                if limit in limits and not (latencies[name](r) or 0) <= limits[limit]:
                    return False
            one = r["tokens_from"] == "usage" and not r["usage_suspect"] and r["completion_tokens"] < 2
            return "tpot_ms" not in limits or one or (tpot(r) is not None and tpot(r) <= limits["tpot_ms"])
        judged = [r for r in measured if r["status"] in ("ok", "failed")]
        goods = sum(map(good, judged))
        same("goodput.good", goods, report["goodput"]["good"])
        same("goodput.share", goods / len(judged), report["goodput"]["share"])
        same("goodput.per_s", goods / window, report["goodput"]["per_s"])

    inside = lambda a, b: max(0, min(b, end) - max(a, begin))
    stop = lambda r: end if r["status"] == "in_flight" else r["closed_ns"]
    same("concurrency.mean", sum(inside(r["intended_ns"], stop(r)) for r in rows) / (end - begin), report["concurrency"]["mean"])
    same("concurrency.at_server", sum(inside(r["sent_ns"], stop(r)) for r in rows) / (end - begin), report["concurrency"]["at_server"])
    edges = sorted([(r["intended_ns"], 1) for r in rows if inside(r["intended_ns"], stop(r))] + [(stop(r), -1) for r in rows if inside(r["intended_ns"], stop(r))])
    level = most = 0
    for _, step in edges:
        level += step
        most = max(most, level)
    same("concurrency.max", float(most), report["concurrency"]["max"])
    print(f"{compared} figures compared over {len(rows)} requests, {bad} differ")
    return 1 if bad or compared < 60 else 0


if len(sys.argv) == 3 and sys.argv[1] == "--rows":
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[2], folder], check=True)
        sys.exit(main(folder + "/requests.ndjson", folder + "/report.json"))
if len(sys.argv) != 3:
    sys.exit(__doc__)
sys.exit(main(*sys.argv[1:]))
