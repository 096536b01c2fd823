#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""peers.py BENCH_TRACE [MIB] [NAMES.tsv]: the trace reader beside CPython's json, orjson and HTA, in one run on one made trace.

BENCH_TRACE is the executable bench_trace. orjson and HolisticTraceAnalysis come from PyPI into a virtual environment of this run's own, in the
folder of $TMPDIR (or /var/tmp) that also holds the trace; all of it is removed at the end. A peer that cannot be installed is a line that says so.
Rates are bytes of text per second of processor time and of the clock; peak memory is of the peer's own process.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

PEERS = {
    "python_json": ("", "import json,sys; f=open(sys.argv[1],'rb'); t=json.loads(f.read()); n=len(t['traceEvents'])"),
    "python_json_gzip": ("", "import gzip,json,sys; t=json.loads(gzip.open(sys.argv[1]+'.gz').read()); n=len(t['traceEvents'])"),
    "orjson": ("orjson", "import orjson,sys; t=orjson.loads(open(sys.argv[1],'rb').read()); n=len(t['traceEvents'])"),
    "orjson_gzip": ("orjson", "import gzip,orjson,sys; t=orjson.loads(gzip.open(sys.argv[1]+'.gz').read()); n=len(t['traceEvents'])"),
    "hta_load": ("HolisticTraceAnalysis", "import os,sys; from hta.common.trace import Trace; t=Trace(trace_files={0: sys.argv[1]}, trace_dir=os.path.dirname(sys.argv[1]));"
                 " t.parse_traces(use_multiprocessing=False); n=len(t.get_trace(0))"),
}


def run(command):
    """(output, seconds) of a child, or None with its last line on stderr."""
    begin = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    out, err = child.communicate()
    seconds = time.monotonic() - begin
    if child.returncode != 0:
        print((err.strip().splitlines() or ["failed"])[-1], file=sys.stderr)
        return None
    return out, seconds


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    bench, mib = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 256
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hotpath-trace-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        trace = str(folder / "made.json")
        print(subprocess.run([bench, "--make", trace, str(mib), *sys.argv[3:4]], check=True, capture_output=True, text=True).stdout.strip())
        size = os.path.getsize(trace)
        for path in (trace, trace + ".gz"):
            print(f"hotpath {path.rsplit('/', 1)[1]}:", subprocess.run([bench, path, "2"], check=True, capture_output=True, text=True).stdout.strip())
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = str(folder / "venv/bin/python")
        installed = {"": True}
        for name, (package, code) in PEERS.items():
            if package not in installed:
                pip = subprocess.run([python, "-m", "pip", "install", "-q", package], capture_output=True, text=True)
                installed[package] = pip.returncode == 0
            if not installed[package]:
                print(f"{name}: {package} cannot be installed here")
                continue
            told = ("; import json,resource; u=resource.getrusage(resource.RUSAGE_SELF);"
                    " print(json.dumps({'cpu': u.ru_utime+u.ru_stime, 'peak_mib': u.ru_maxrss/1024, 'events': n}))")
            done = run([python, "-c", code + told, trace])
            if done is None:
                print(f"{name}: failed")
                continue
            row = json.loads(done[0].splitlines()[-1])
            print(f"{name}: {size / done[1] / 1e9:.3f} GB/s, {size / row['cpu'] / 1e9:.3f} per processor second, peak {row['peak_mib']:.0f} MiB, {row['events']} events")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
