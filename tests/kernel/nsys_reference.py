#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsys_reference.py FILE REPORT: one summary of `nsys stats` as CSV, computed in plain Python from an SQLite export (sqlite3) or a trace
of torch's profiler (json, gzip). A second implementation to compare ours with; shares no code with it and knows no option.

nsys_reference.py --write DATA FOLDER: the references that tests/kernel/data/nsys holds, from the samples below DATA."""
import collections
import csv
import gzip
import io
import json
import pathlib
import re
import sqlite3
import statistics
import sys

TIME = ["Avg (ns)", "Med (ns)", "Min (ns)", "Max (ns)", "StdDev (ns)"]
SIZE = [h.replace("(ns)", "(MB)") for h in TIME]
HEADINGS = {
    "cuda_gpu_kern_sum": ["Time (%)", "Total Time (ns)", "Instances", *TIME, "Name"],
    "cuda_api_sum": ["Time (%)", "Total Time (ns)", "Num Calls", *TIME, "Name"],
    "cuda_gpu_mem_time_sum": ["Time (%)", "Total Time (ns)", "Count", *TIME, "Operation"],
    "cuda_gpu_mem_size_sum": ["Total (MB)", "Count", *SIZE, "Operation"],
    "nvtx_sum": ["Time (%)", "Total Time (ns)", "Instances", *TIME, "Style", "Range"],
}
KINDS = ["Unknown", "Host-to-Device", "Device-to-Host", "Host-to-Array", "Array-to-Host", "Array-to-Array", "Array-to-Device",
         "Device-to-Array", "Device-to-Device", "Host-to-Host", "Peer-to-Peer"]


def samples_of_nsys(path, report):
    """(key, value) pairs; key: the name, or (style, range)."""
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    tables = {name for name, in db.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    strings = dict(db.execute("SELECT id, value FROM StringIds")) if "StringIds" in tables else {}
    kind, _, which = report.partition(":")

    def rows(table, columns):
        return db.execute(f"SELECT {columns} FROM {table}") if table in tables else []

    if kind == "cuda_gpu_kern_sum":
        column = {"": "demangledName", "base": "shortName", "mangled": "coalesce(mangledName, demangledName)"}[which]
        for start, end, name in rows("CUPTI_ACTIVITY_KIND_KERNEL", f"start, end, {column}"):
            yield strings[name], end - start
        for start, end, graph in rows("CUPTI_ACTIVITY_KIND_GRAPH_TRACE", "start, end, graphId"):
            yield f"[CUDA graph {graph}]", end - start
    elif kind == "cuda_api_sum":
        for start, end, name in rows("CUPTI_ACTIVITY_KIND_RUNTIME", "start, end, nameId"):
            yield re.sub(r"_v\d{4,}$", "", strings[name]), end - start
    elif kind in ("cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum"):
        labels = dict(db.execute("SELECT id, label FROM ENUM_CUDA_MEMCPY_OPER")) if "ENUM_CUDA_MEMCPY_OPER" in tables else dict(enumerate(KINDS))
        for start, end, size, copy in rows("CUPTI_ACTIVITY_KIND_MEMCPY", "start, end, bytes, copyKind"):
            yield f"[CUDA memcpy {labels[copy]}]", size if kind.endswith("size_sum") else end - start
        for start, end, size in rows("CUPTI_ACTIVITY_KIND_MEMSET", "start, end, bytes"):
            yield "[CUDA memset]", size if kind.endswith("size_sum") else end - start
    else:
        domains = {(tid >> 24, domain): text if text is not None else strings[text_id]
                   for tid, domain, text, text_id in (db.execute("SELECT globalTid, domainId, text, textId FROM NVTX_EVENTS WHERE eventType = 75") if "NVTX_EVENTS" in tables else [])}
        for start, end, what, text, text_id, domain, tid in rows("NVTX_EVENTS", "start, end, eventType, text, textId, domainId, globalTid"):
            if what in (59, 60) and end is not None:
                space = domains.get((tid >> 24, domain), f"<domain {domain}>") if domain else ""
                yield ("PushPop" if what == 59 else "StartEnd", f"{space}:{text if text is not None else strings[text_id]}"), end - start


def samples_of_torch(path, report):
    data = pathlib.Path(path).read_bytes()
    events = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, parse_float=lambda text: text)["traceEvents"]
    for e in events:
        if e.get("ph") != "X" or "dur" not in e:
            continue
        whole, _, part = str(e["dur"]).partition(".")
        ns = int(whole) * 1000 + int((part + "000")[:3])
        cat, args = e.get("cat", ""), e.get("args", {})
        if report == "cuda_gpu_kern_sum" and cat == "kernel":
            yield e["name"], ns
        elif report == "cuda_api_sum" and cat in ("cuda_runtime", "cuda_driver"):
            yield e["name"], ns
        elif report in ("cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum") and cat in ("gpu_memcpy", "gpu_memset"):
            word = re.search(r"\b([HDAP])to([HDAP])\b", e["name"])
            side = {"H": "Host", "D": "Device", "A": "Array", "P": "Peer"}
            name = "[CUDA memset]" if cat == "gpu_memset" else f"[CUDA memcpy {side[word[1]]}-to-{side[word[2]]}]"
            yield name, int(args["bytes"]) if report.endswith("size_sum") else ns
        elif report == "nvtx_sum" and cat == "user_annotation":
            yield ("PushPop", ":" + e["name"]), ns


def table(samples, report):
    """The text of a report: rules of nsys, see include/hotpath/kernel/stats.hpp."""
    kind = report.partition(":")[0]
    groups = collections.defaultdict(list)
    for key, value in samples:
        groups[key].append(value)
    total = sum(map(sum, groups.values()))
    size = kind == "cuda_gpu_mem_size_sum"

    def real(v):
        return f"{v / 1e6:.3f}" if size else f"{float(v):.1f}"

    def whole(v):
        return f"{v / 1e6:.3f}" if size else str(v)

    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(HEADINGS[kind])
    for key, v in sorted(groups.items(), key=lambda item: (-sum(item[1]), item[0][::-1] if isinstance(item[0], tuple) else item[0])):
        share = [] if size else [f"{100 * sum(v) / total:.1f}"]
        deviation = real(statistics.stdev(v)) if len(v) > 1 else ""
        w.writerow([*share, whole(sum(v)), len(v), real(statistics.fmean(v)), real(statistics.median(v)), whole(min(v)), whole(max(v)), deviation,
                    *(key if isinstance(key, tuple) else [key])])
    return out.getvalue()


def reference(path, report):
    with open(path, "rb") as f:
        nsys = f.read(15) == b"SQLite format 3"
    return table((samples_of_nsys if nsys else samples_of_torch)(path, report), report)


WRITTEN = [("nsys/h100_2gpu_1s.sqlite", ["cuda_gpu_mem_size_sum", "nvtx_sum:head"]),
           ("nsys/mfu_2gpu_before.sqlite", ["cuda_gpu_mem_size_sum", "nvtx_sum:head"]),
           ("nsys/mock.sqlite", ["cuda_gpu_kern_sum", "cuda_gpu_kern_sum:base", "cuda_gpu_kern_sum:mangled", "cuda_api_sum", "cuda_gpu_mem_time_sum", "cuda_gpu_mem_size_sum"]),
           ("nsys/healthy_1pct.sqlite", ["cuda_gpu_kern_sum", "cuda_gpu_kern_sum:base", "cuda_api_sum"])]


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--write":
        for file, reports in WRITTEN:
            for report in reports:
                text = reference(pathlib.Path(sys.argv[2]) / file, report.removesuffix(":head"))
                if report.endswith(":head"):  # tens of thousands of ranges: the first 200, the rest as a sum over lines
                    lines = text.splitlines(keepends=True)
                    check = sum(sum(line.encode()) * (i + 1) for i, line in enumerate(lines)) % (1 << 32)
                    text = "".join(lines[:201]) + f"# {len(lines) - 1} rows, check {check}\n"
                name = f"{pathlib.Path(file).stem}_{report.removesuffix(':head').replace(':', '_')}.csv"
                (pathlib.Path(sys.argv[3]) / name).write_text(text, encoding="utf-8")
    elif len(sys.argv) == 3:
        sys.stdout.write(reference(sys.argv[1], sys.argv[2]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
