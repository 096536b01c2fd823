#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads written traces with readers that are not ours, and compares them with what should be in them.

    read_back.py compare chrome|perfetto WRITTEN (--rows ROWS.tsv | --source TRACE.json[.gz])
    read_back.py convert --tool HOTPATH --data FOLDER [--full]

ROWS.tsv: one event a line: category, begin in ns, duration in ns, name as JSON. The source of a conversion is read by Python's json, with
numbers as text, so that no nanosecond is rounded. Begins are compared relative to the earliest one of the file.
Chrome JSON is read by Python's json. Perfetto is read by the PyPI package perfetto where it can be imported ($HOTPATH_PERFETTO_PACKAGE is
added to the path), and always by the small decoder below, which knows protobuf and the field numbers only.
Exit 0: equal; 1: different, with the first differences; 77: nothing could be compared.
"""
import argparse, collections, glob, gzip, json, os, struct, subprocess, sys, tempfile

API = {"cuda_runtime", "cuda_driver"}


def kind(cat):
    c = cat.lower()
    if c in ("kernel", "gpu_memcpy", "gpu_memset", "cpu_op", "python_function", "user_annotation", "gpu_user_annotation", "cuda_sync"):
        return c
    return "api" if c in API else None


def ns(text):
    """Microseconds as decimal text -> integer nanoseconds; more digits are rounded half away from zero."""
    text = str(text)
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    if "e" in text or "E" in text:
        from decimal import Decimal
        text = format(Decimal(text), "f")
    whole, _, rest = text.partition(".")
    rest += "0000"
    return sign * (int(whole) * 1000 + int(rest[:3]) + (1 if rest[3] >= "5" else 0))


def load_json(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(path, "rb") as f:
        return json.loads(f.read().decode("utf-8", "replace"), parse_float=str, parse_int=str, strict=False)


class Rows:
    """(category, begin, duration, name) with begins made relative."""

    def __init__(self):
        self.rows, self.notes, self.unix = [], [], None

    def add(self, cat, begin, dur, name):
        self.rows.append((cat, begin, dur, name))

    def counted(self):
        low = min((r[1] for r in self.rows), default=0)
        return collections.Counter((c, b - low, d, n) for c, b, d, n in self.rows)

    def first(self):
        return min((r[1] for r in self.rows), default=0)


def chrome(path):
    out = Rows()
    doc = load_json(path)
    events = doc if isinstance(doc, list) else doc["traceEvents"]
    flows, launches, gpu = collections.defaultdict(list), {}, {}
    for e in events:
        if e.get("ph") == "X" and kind(e.get("cat", "")) and "ts" in e and "dur" in e:
            out.add(kind(e["cat"]), ns(e["ts"]), ns(e["dur"]), e.get("name", ""))
        elif e.get("ph") in ("s", "f") and e.get("cat") == "ac2g":
            flows[e["id"]].append(e["ph"])
    out.flows = sum(v.count("f") for k, v in flows.items() if "s" in v)
    if isinstance(doc, dict) and "baseTimeNanoseconds" in doc:
        out.unix = int(doc["baseTimeNanoseconds"]) + out.first()
    return out


def rows_file(path):
    out = Rows()
    with open(path, encoding="utf-8") as f:
        for line in f:
            cat, begin, dur, name = line.rstrip("\n").split("\t", 3)
            out.add(cat, int(begin), int(dur), json.loads(name))
    return out


# ---- protobuf by hand
def fields(data):
    at, end = 0, len(data)
    while at < end:
        tag, at = varint(data, at)
        wire = tag & 7
        if wire == 0:
            v, at = varint(data, at)
        elif wire == 1:
            v, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif wire == 2:
            n, at = varint(data, at)
            if at + n > end:
                raise ValueError("a field is longer than its message")
            v, at = data[at:at + n], at + n
        elif wire == 5:
            v, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            raise ValueError("wire type %d" % wire)
        yield tag >> 3, v


def varint(data, at):
    v = shift = 0
    while True:
        b = data[at]
        at += 1
        v |= (b & 127) << shift
        if b < 128:
            return v, at
        shift += 7
        if shift > 63:
            raise ValueError("a varint is too long")


def first_of(data, want, default=None):
    for f, v in fields(data):
        if f == want:
            return v
    return default


def packets_by_hand(path):
    """Plain dictionaries, the same for both decoders."""
    data = memoryview(open(path, "rb").read())
    for field, packet in fields(data):
        if field != 1:
            raise ValueError("field %d in Trace" % field)
        p = {"ts": None, "seq": None, "flags": 0}
        for f, v in fields(packet):
            if f == 8: p["ts"] = v
            elif f == 10: p["seq"] = v
            elif f == 13: p["flags"] = v
            elif f == 12:
                p["names"] = {first_of(m, 1): bytes(first_of(m, 2, b"")).decode("utf-8") for k, m in fields(v) if k == 2}
                p["cats"] = {first_of(m, 1): bytes(first_of(m, 2, b"")).decode("utf-8") for k, m in fields(v) if k == 1}
            elif f == 60:
                p["track"] = {"uuid": first_of(v, 1), "parent": first_of(v, 5, 0), "name": bytes(first_of(v, 2, b"")).decode("utf-8")}
            elif f == 6:
                p["clocks"] = {first_of(c, 1): first_of(c, 2) for k, c in fields(v) if k == 1}
            elif f == 11:
                e = {"cats": [], "out": [], "in": [], "name": 0}
                for k, x in fields(v):
                    if k == 9: e["type"] = x
                    elif k == 11: e["track"] = x
                    elif k == 10: e["name"] = x
                    elif k == 3: e["cats"].append(x)
                    elif k == 47: e["out"].append(x)
                    elif k == 48: e["in"].append(x)
                p["event"] = e
        yield p


def packets_by_package(path, trace_pb2):
    trace = trace_pb2.Trace()
    trace.ParseFromString(open(path, "rb").read())
    for m in trace.packet:
        p = {"ts": m.timestamp, "seq": m.trusted_packet_sequence_id, "flags": m.sequence_flags}
        if m.HasField("interned_data"):
            p["names"] = {n.iid: n.name for n in m.interned_data.event_names}
            p["cats"] = {n.iid: n.name for n in m.interned_data.event_categories}
        if m.HasField("track_descriptor"):
            d = m.track_descriptor
            p["track"] = {"uuid": d.uuid, "parent": d.parent_uuid, "name": d.name}
        if m.HasField("clock_snapshot"):
            p["clocks"] = {c.clock_id: c.timestamp for c in m.clock_snapshot.clocks}
        if m.HasField("track_event"):
            t = m.track_event
            p["event"] = {"type": t.type, "track": t.track_uuid, "name": t.name_iid, "cats": list(t.category_iids), "out": list(t.flow_ids), "in": list(t.terminating_flow_ids)}
        yield p


def perfetto(path, packets):
    out, names, cats, tracks, open_slices = Rows(), {}, {}, {}, collections.defaultdict(list)
    starts, ends, first = {}, {}, True
    for p in packets:
        if p["seq"] != 1 or bool(p["flags"] & 1) != first or (not first and p["flags"] != 2):
            raise ValueError("wrong sequence or flags: %r" % p)
        first = False
        for store, key in ((names, "names"), (cats, "cats")):
            for iid, text in p.get(key, {}).items():
                if iid in store:
                    raise ValueError("interned twice: %d" % iid)
                store[iid] = text
        if "track" in p:
            t = p["track"]
            if t["uuid"] in tracks or (t["parent"] and t["parent"] not in tracks):
                raise ValueError("track %r defined twice or before its parent" % t)
            tracks[t["uuid"]] = t
        if "clocks" in p:
            out.offset = p["clocks"][1] - p["clocks"][6]
        e = p.get("event")
        if e is None:
            continue
        stack = open_slices[e["track"]]
        if e["track"] not in tracks:
            raise ValueError("an event on an unknown track")
        if e["type"] == 1:
            if stack and stack[-1][1] > p["ts"]:
                raise ValueError("a track goes back in time")
            cat, = e["cats"]
            stack.append((cats[cat], p["ts"], names[e["name"]]))
            for f in e["out"]: starts[f] = p["ts"]
            for f in e["in"]: ends[f] = p["ts"]
        elif e["type"] == 2:
            cat, begin, name = stack.pop()
            if p["ts"] < begin:
                raise ValueError("a slice ends before it begins")
            if kind(cat): out.add(kind(cat), begin, p["ts"] - begin, name)
        else:
            raise ValueError("event type %d" % e["type"])
    left = [s for s in open_slices.values() if s]
    if left:
        raise ValueError("%d slices never end" % len(left))
    if set(starts) != set(ends):
        raise ValueError("flows without a begin or an end: %r" % list(set(starts) ^ set(ends))[:5])
    out.flows = len(ends)
    out.tracks = tracks
    if hasattr(out, "offset"): out.unix = out.first() + out.offset
    return out


def package():
    extra = os.environ.get("HOTPATH_PERFETTO_PACKAGE")
    if extra:
        sys.path.insert(0, extra)
    try:
        from perfetto.protos.perfetto.trace import perfetto_trace_pb2
        return perfetto_trace_pb2
    except ImportError:
        return None


def same(written, wanted, label):
    a, b = written.counted(), wanted.counted()
    by = lambda c: {k: (sum(n for r, n in c.items() if r[0] == k), sum(r[2] * n for r, n in c.items() if r[0] == k)) for k in sorted({r[0] for r in c})}
    if a != b:
        print("%s: different\n  written %s\n  wanted  %s" % (label, by(a), by(b)))
        for title, rest in (("only written", a - b), ("only wanted", b - a)):
            for row, n in list(rest.items())[:3]:
                print("  %s: %d x %r" % (title, n, row))
        return False
    if wanted.unix is not None and written.unix is not None and wanted.unix != written.unix:
        print("%s: the Unix time of the first event is %d, want %d" % (label, written.unix, wanted.unix))
        return False
    print("%s: equal, %d events, flows %s, %s" % (label, sum(a.values()), getattr(written, "flows", "-"), ", ".join("%s %d" % (k, v[0]) for k, v in by(a).items())))
    return True


def compare(form, path, wanted, label, flows=None):
    ok = True
    readers = [("json", lambda: chrome(path))] if form == "chrome" else [("by hand", lambda: perfetto(path, packets_by_hand(path)))]
    pb2 = package() if form == "perfetto" else None
    if pb2:
        readers.append(("package", lambda: perfetto(path, packets_by_package(path, pb2))))
    for name, read in readers:
        rows = read()
        ok = same(rows, wanted, "%s, %s %s" % (label, form, name)) and ok
        if flows is not None and rows.flows != flows:
            print("%s: %d flows, want %d" % (label, rows.flows, flows))
            ok = False
    return ok


def convert(tool, data, full):
    files = sorted(glob.glob(os.path.join(data, "torch-traces", "*", "*.json.gz")), key=os.path.getsize)
    if not files:
        if os.environ.get("HOTPATH_REQUIRE_DATA", "0") not in ("", "0"):
            print("would be skipped, but data is required: no traces below HOTPATH_TEST_DATA")
            return 1
        print("skipped: no traces below HOTPATH_TEST_DATA")
        if os.environ.get("HOTPATH_SKIP_LOG"):
            with open(os.environ["HOTPATH_SKIP_LOG"], "a", encoding="utf-8") as log:
                log.write("trace.read_back\tno traces below HOTPATH_TEST_DATA\n")
        return 77
    if not full:  # Python needs a second for each 5 MB of text
        files = [f for f in files if os.path.getsize(f) < 1_300_000]
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        for f in files:
            source = chrome(f)
            for form in ("chrome", "perfetto"):
                out = os.path.join(folder, "out." + form)
                done = subprocess.run([tool, "trace", "convert", f, "--to", form, "--output", out], capture_output=True, text=True)
                if done.returncode not in (0, 5):
                    print("%s to %s: exit %d, %s" % (f, form, done.returncode, done.stderr))
                    ok = False
                    continue
                ok = compare(form, out, source, os.path.basename(f)) and ok
    return 0 if ok else 1


def main():
    p = argparse.ArgumentParser()
    sub = p.add_subparsers(dest="what", required=True)
    c = sub.add_parser("compare")
    c.add_argument("form", choices=("chrome", "perfetto"))
    c.add_argument("written")
    c.add_argument("--rows")
    c.add_argument("--source")
    c.add_argument("--flows", type=int)
    c = sub.add_parser("convert")
    c.add_argument("--tool", required=True)
    c.add_argument("--data", default=os.environ.get("HOTPATH_TEST_DATA", ""))
    c.add_argument("--full", action="store_true", default=os.environ.get("HOTPATH_FULL") == "1")
    a = p.parse_args()
    if a.what == "convert":
        return convert(a.tool, a.data, a.full)
    wanted = rows_file(a.rows) if a.rows else chrome(a.source)
    return 0 if compare(a.form, a.written, wanted, os.path.basename(a.written), a.flows) else 1


if __name__ == "__main__":
    sys.exit(main())
