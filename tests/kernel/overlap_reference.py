#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""overlap_reference.py TRACE.json.gz

Prints the GPU work of a Kineto trace as lines that a test makes a timeline of, then what a second program finds in it: unions, overlap, exposed
communication, the causes of idle time. Whole nanoseconds from decimal text; lists of intervals and set arithmetic, no sweep.

  E begin duration device stream correlation cat class name      A begin duration thread correlation name      S key value"""
import bisect
import gzip
import json
import sys
from collections import defaultdict
from decimal import Decimal


def ns(v):
    return int((Decimal(v) * 1000).to_integral_value())


def union(spans):
    out = []
    for a, b in sorted(s for s in spans if s[0] < s[1]):
        if out and a <= out[-1][1]:
            out[-1][1] = max(out[-1][1], b)
        else:
            out.append([a, b])
    return out


def measure(spans):
    return sum(b - a for a, b in spans)


def common(x, y):  # of two unions
    ends = [b for _, b in y]
    out = []
    for a, b in x:
        i = bisect.bisect_right(ends, a)
        while i < len(y) and y[i][0] < b:
            out.append([max(a, y[i][0]), min(b, y[i][1])])
            i += 1
    return out


def kind(e):
    if e["cat"] != "kernel":
        return "memory"
    name = e["name"].lower()
    return "comm" if "nccl" in name or "::internode::" in name or "::intranode::" in name else "compute"


trace = json.load(gzip.open(sys.argv[1]), parse_float=Decimal)
events = [e for e in (trace["traceEvents"] if isinstance(trace, dict) else trace) if e.get("ph") == "X"]
gpu = [e for e in events if e.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset")]
api = [e for e in events if e.get("cat") in ("cuda_runtime", "cuda_driver")]
rows = []
for e in gpu:
    a = e["args"]
    begin = ns(e["ts"])
    rows.append((begin, begin + ns(e["dur"]), int(a.get("device", 0)), int(a["stream"]), int(a.get("correlation", -1)), e["cat"], kind(e), e["name"]))
    print("E", begin, ns(e["dur"]), *rows[-1][2:7], e["name"].replace("\n", " "))
calls = {}
for e in api:
    begin, corr = ns(e["ts"]), int(e["args"].get("correlation", -1))
    thread = str(e["tid"]).replace(" ", "_")
    calls.setdefault(corr, (begin, begin + ns(e["dur"]), thread, e["name"]))
    print("A", begin, ns(e["dur"]), thread, corr, e["name"])

sums = defaultdict(int)
blocking = defaultdict(list)
copies = {r[4]: r[1] for r in rows if r[5] == "gpu_memcpy"}
for e in api:
    begin, corr = ns(e["ts"]), int(e["args"].get("correlation", -1))
    end = begin + ns(e["dur"])
    name = e["name"]
    if "Synchronize" in name or ("Memcpy" in name and "Async" not in name) or (corr in copies and copies[corr] <= end and calls[corr][0] == begin):
        blocking[str(e["tid"]).replace(" ", "_")].append((begin, end))
blocking = {k: union(v) for k, v in blocking.items()}
for device in sorted({r[2] for r in rows}):
    mine = [r for r in rows if r[2] == device]
    streams = sorted({r[3] for r in mine})
    by_stream = {s: union([r[:2] for r in mine if r[3] == s]) for s in streams}
    whole = union([r[:2] for r in mine])
    sums["sum"] += sum(r[1] - r[0] for r in mine)
    sums["busy"] += measure(whole)
    sums["idle"] += max(r[1] for r in mine) - min(r[0] for r in mine) - measure(whole)
    twice = []
    for i, s in enumerate(streams):
        for t in streams[i + 1:]:
            twice += common(by_stream[s], by_stream[t])
    sums["overlapped"] += measure(union(twice))
    of = {k: {s: union([r[:2] for r in mine if r[3] == s and r[6] == k]) for s in streams} for k in ("compute", "comm", "memory")}
    for k in of:
        sums[k] += measure(union([i for s in streams for i in of[k][s]]))
    covered = []
    for s in streams:
        covered += common(of["comm"][s], union([i for t in streams if t != s for i in of["compute"][t]]))
    sums["exposed"] += measure(union([i for s in streams for i in of["comm"][s]])) - measure(union(covered))
    hidden = defaultdict(int)
    for s in streams:
        others = union([i for t in streams if t != s for i in by_stream[t]])
        for r in mine:
            if r[3] == s:
                hidden[r[7]] += measure(common([list(r[:2])], others))
    for name in hidden:
        sums["hidden " + name.replace("\n", " ")] += hidden[name]
    # Causes of idle time, hole by hole of the union: what ended last before it, what begins it behind.
    order = sorted(range(len(mine)), key=lambda i: (mine[i][0], mine[i][3], mine[i][1] - mine[i][0]))
    last_at, first_at = {}, {}
    for i in order:
        last_at[mine[i][1]] = mine[i]
        first_at.setdefault(mine[i][0], mine[i])
    for (_, a), (b, _) in zip(whole, whole[1:]):
        # Work without length stands in holes: it cuts them.
        cuts = sorted({r[0] for r in mine if r[0] == r[1] and a < r[0] < b})
        for lo, hi in zip([a] + cuts, cuts + [b]):
            p = last_at[lo]
            after = first_at[hi]
            if after[4] >= 0 and after[4] == p[4]:
                sums["graph"] += hi - lo
                continue
            call = calls.get(after[4]) if after[4] >= 0 else None
            if call is None or call[0] >= hi:
                sums["other"] += hi - lo
                continue
            cut = max(lo, call[0])
            sync = measure(common([[lo, cut]], blocking.get(call[2], []))) if cut > lo else 0
            sums["sync"] += sync
            sums["host"] += cut - lo - sync
            if "GraphLaunch" in call[3]:
                sums["graph"] += hi - cut
            elif p[3] != after[3] and "comm" in (p[6], after[6]):
                sums["communication"] += hi - cut
            else:
                latency = min(hi, max(call[1], cut) + 100_000) - cut
                sums["latency"] += latency
                sums["other"] += hi - cut - latency
for k, v in sums.items():
    print("S", v, k)
