#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nsys_corpus.py FOLDER: writes the seeds of fuzz_nsys_sqlite: exports of nsys of a few rows, each with something of its own, 512-byte pages."""
import pathlib
import sqlite3
import sys

VM = 1 << 48


def pid(p):
    return VM + (p << 24)


TABLES = {
    "StringIds": "id INTEGER PRIMARY KEY, value TEXT",
    "META_DATA_EXPORT": "name TEXT, value TEXT",
    "CUPTI_ACTIVITY_KIND_KERNEL": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, demangledName INTEGER, shortName INTEGER, mangledName INTEGER, "
                                  "registersPerThread INTEGER, gridX INTEGER, gridY INTEGER, gridZ INTEGER, blockX INTEGER, blockY INTEGER, blockZ INTEGER, staticSharedMemory INTEGER, dynamicSharedMemory INTEGER, "
                                  "graphNodeId INTEGER, graphId INTEGER",
    "CUPTI_ACTIVITY_KIND_RUNTIME": "start INTEGER, end INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMCPY": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, bytes INTEGER, copyKind INTEGER, srcKind INTEGER, dstKind INTEGER, graphNodeId INTEGER",
    "CUPTI_ACTIVITY_KIND_MEMSET": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, bytes INTEGER, memKind INTEGER, graphNodeId INTEGER",
    "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, syncType INTEGER, eventId INTEGER, eventSyncId INTEGER",
    "CUPTI_ACTIVITY_KIND_CUDA_EVENT": "deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, eventId INTEGER, eventSyncId INTEGER",
    "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": "start INTEGER, end INTEGER, deviceId INTEGER, streamId INTEGER, correlationId INTEGER, globalPid INTEGER, graphId INTEGER",
    "NVTX_EVENTS": "start INTEGER, end INTEGER, eventType INTEGER, text TEXT, textId INTEGER, domainId INTEGER, globalTid INTEGER",
    "TARGET_INFO_GPU": "id INTEGER, name TEXT, totalMemory INTEGER, smCount INTEGER, computeMajor INTEGER, computeMinor INTEGER",
    "TARGET_INFO_CUDA_DEVICE": "gpuId INTEGER, cudaId INTEGER, pid INTEGER",
    "TARGET_INFO_SESSION_START_TIME": "utcEpochNs INTEGER",
    "PROCESSES": "globalPid INTEGER, name TEXT",
    "ThreadNames": "nameId INTEGER, globalTid INTEGER",
    "ENUM_CUDA_MEMCPY_OPER": "id INTEGER, name TEXT, label TEXT",
    "ENUM_NSYS_EVENT_TYPE": "id INTEGER, name TEXT, label TEXT",
}
STRINGS = [(1, "void f<(int)4>(T1)"), (2, "f"), (3, "_Z1fv"), (4, "cudaLaunchKernel_v7000"), (5, "range")]
KERNEL = (0, 500, 0, 7, 1, pid(10), 1, 2, 3, 32, 4, 1, 1, 128, 1, 1, 0, 16, None, None)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)

    def seed(name, rows, sql="", pragma="", tables=TABLES):
        path = folder / name
        path.unlink(missing_ok=True)
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA page_size = 512")
        for p in filter(None, pragma.split(";")):
            db.execute(p)
        db.execute("BEGIN")
        for table, values in rows.items():
            db.execute(f"CREATE TABLE {table} ({tables[table]})")
            for v in values:
                db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(v))})", v)
        db.execute("COMMIT")
        db.executescript(sql)
        db.execute("VACUUM")
        db.close()

    base = {"StringIds": STRINGS, "META_DATA_EXPORT": [("EXPORT_SCHEMA_VERSION", "3.25.0")]}
    kernels = {**base, "CUPTI_ACTIVITY_KIND_KERNEL": [KERNEL, (600, 700, 1, 8, 1, pid(11), 1, 2, None, *KERNEL[9:18], 4294967297, 3)]}
    calls = {**base, "CUPTI_ACTIVITY_KIND_RUNTIME": [(0, 9, pid(10) + 1, 1, 4), (10, 12, None, None, 99)]}
    seed("kernels", kernels)
    seed("calls", calls)
    seed("copies", {**base, "CUPTI_ACTIVITY_KIND_MEMCPY": [(0, 5, 0, 7, 1, pid(10), 100, k, 0, 2, None) for k in (0, 1, 8, 13, 300)]})
    seed("memset", {**base, "CUPTI_ACTIVITY_KIND_MEMSET": [(0, 5, 0, 7, 1, pid(10), 5_000_000_000, 2, None), (6, 7, 0, 7, 1, None, -1, None, None)]})
    seed("graphs", {**base, "CUPTI_ACTIVITY_KIND_GRAPH_TRACE": [(0, 5, 0, 7, 1, pid(10), 42), (6, 7, 0, 7, 1, pid(10), None)]})
    seed("syncs", {**calls, "CUPTI_ACTIVITY_KIND_SYNCHRONIZATION": [(1, 2, 0, 7, 50, pid(10), 2, 6, 2), (3, 4, 0, 7, 51, pid(10), 900, 6, 9)],
                   "CUPTI_ACTIVITY_KIND_CUDA_EVENT": [(0, 5, 42, pid(10), 6, 2), (0, 5, 41, pid(10), 6, 1)]})
    seed("ranges", {**calls, "NVTX_EVENTS": [(0, None, 75, "NCCL", None, 1, pid(10)), (1, 5, 59, "a", None, 0, pid(10) + 1), (2, 9, 60, None, 5, 1, pid(10) + 1), (3, None, 34, "m", None, 0, pid(10) + 1),
                                             (4, None, 59, "open", None, 7, None)]})
    seed("devices", {**kernels, "TARGET_INFO_GPU": [(0, "NVIDIA H100", 80 << 30, 132, 9, 0)], "TARGET_INFO_CUDA_DEVICE": [(0, 1, 10)], "TARGET_INFO_SESSION_START_TIME": [(1779630014975716426,)],
                     "PROCESSES": [(pid(10), "/opt/app/bin/python3 -m x")], "ThreadNames": [(5, pid(10) + 1)]})
    seed("enums", {**base, "CUPTI_ACTIVITY_KIND_MEMCPY": [(0, 5, 0, 7, 1, pid(10), 100, 200, 0, 2, None)], "ENUM_CUDA_MEMCPY_OPER": [(200, "CUDA_MEMCPY_KIND_DTOD", "Sideways"), (-1, "x", "y"), (999, "z", "")],
                   "NVTX_EVENTS": [(1, 5, 159, "a", None, 3, pid(10) + 1)], "ENUM_NSYS_EVENT_TYPE": [(159, "NvtxPushPopRange", ""), (175, "NvtxDomainCreate", "")]})
    seed("many_rows", {**base, "CUPTI_ACTIVITY_KIND_KERNEL": [(i * 10, i * 10 + 5, *KERNEL[2:]) for i in range(40)]})
    seed("bad_times", {**base, "CUPTI_ACTIVITY_KIND_KERNEL": [(a, b, *KERNEL[2:]) for a, b in ((5, 4), (None, 1), (1, None), ("x", 2), (1, 2.5), (-2**63, 2**63 - 1), (b"\0", b"\0"))]})
    seed("no_strings", {k: v for k, v in kernels.items() if k != "StringIds"})
    seed("null_strings", {**kernels, "StringIds": [(1, None), (2, ""), (3, b"\xff\x00\xff")]})
    seed("no_activity", base)
    seed("empty_database", {}, "CREATE TABLE t (x); DROP TABLE t")
    seed("other_database", {"PROCESSES": [(1, "x")]})
    seed("old_schema", {**base, "CUPTI_ACTIVITY_KIND_KERNEL": [(1, 2, 1)]}, tables={**TABLES, "CUPTI_ACTIVITY_KIND_KERNEL": "start INTEGER, end INTEGER, demangledName INTEGER"})
    seed("no_times", {**base, "CUPTI_ACTIVITY_KIND_KERNEL": [(1, 2)]}, tables={**TABLES, "CUPTI_ACTIVITY_KIND_KERNEL": "begin INTEGER, finish INTEGER"})
    seed("without_rowid", {**base, "CUPTI_ACTIVITY_KIND_RUNTIME": []},
         "DROP TABLE CUPTI_ACTIVITY_KIND_RUNTIME; CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INTEGER PRIMARY KEY, end INTEGER, globalTid INTEGER, correlationId INTEGER, nameId INTEGER) WITHOUT ROWID;"
         "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (1, 2, 3, 4, 4)")
    seed("rowid_column", {**base, "CUPTI_ACTIVITY_KIND_RUNTIME": [(1, 2, 3, 4, 4, 7)]}, tables={**TABLES, "CUPTI_ACTIVITY_KIND_RUNTIME": TABLES["CUPTI_ACTIVITY_KIND_RUNTIME"] + ", RowID TEXT"})
    seed("view", base, "CREATE VIEW CUPTI_ACTIVITY_KIND_KERNEL AS SELECT id AS start, id AS end, id AS demangledName FROM StringIds")
    seed("computed", {**base, "CUPTI_ACTIVITY_KIND_KERNEL": []}, "ALTER TABLE CUPTI_ACTIVITY_KIND_KERNEL ADD COLUMN x AS (abs(start)); CREATE INDEX i ON CUPTI_ACTIVITY_KIND_KERNEL (abs(start), start, end, demangledName);"
         "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL (start, end, demangledName) VALUES (1, 2, 1)")
    seed("trigger", kernels, "CREATE TRIGGER t AFTER INSERT ON StringIds BEGIN DELETE FROM StringIds; END")
    seed("utf16", kernels, pragma="PRAGMA encoding = 'UTF-16le'")
    seed("wal_header", kernels, "PRAGMA journal_mode = WAL")
    for log in folder.glob("*-wal"), folder.glob("*-shm"):
        for path in log:
            path.unlink()
    (folder / "not_a_database").write_bytes(b"QDSTRM\x01\x02")
    print(len(list(folder.iterdir())), "seeds,", max(p.stat().st_size for p in folder.iterdir()), "bytes at most")


if __name__ == "__main__":
    main()
