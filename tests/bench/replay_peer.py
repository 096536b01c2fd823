# SPDX-License-Identifier: Apache-2.0
"""An aiohttp client that does what bench_replay_client does: every stream parsed as SSE, every event as JSON, every arrival
recorded, usage read. tests/bench/replay runs it with Python's own event loop and with uvloop. Prints one JSON object.

  replay_peer.py asyncio|uvloop URL STREAMS CHUNKS
"""
import asyncio, json, resource, sys, time

import aiohttp

monotonic_ns = time.monotonic_ns


def cpu_seconds():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


async def stream(session, url, number, chunks, out):
    arrived, contents, usage, pending = [], [], None, b""
    body = {"model": "scripted", "messages": [{"role": "user", "content": "a"}], "max_tokens": chunks, "stream": True,
            "stream_options": {"include_usage": True}}
    async with session.post(url, json=body, headers={"X-Request-Id": f"peer-000000-{number:06d}"}) as response:
        response.raise_for_status()
        async for piece in response.content.iter_any():
            now = monotonic_ns()
            *events, pending = (pending + piece if pending else piece).split(b"\n\n")
            for event in events:
                data = event[6:]  # "data: "
                if data == b"[DONE]":
                    continue
                event = json.loads(data)
                choices = event["choices"]
                if choices:
                    content = choices[0]["delta"].get("content")
                    if content:
                        arrived.append(now)
                        contents.append(content)
                usage = event.get("usage") or usage
    out.append((arrived, contents, usage["completion_tokens"]))


async def main(url, streams, chunks):
    out = []
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout, read_bufsize=1 << 16) as session:
        await asyncio.gather(*(stream(session, url, i, chunks, out) for i in range(streams)))
    return out


def quantile(ordered, p):
    h = (len(ordered) - 1) * p
    i = int(h)
    return ordered[i] + (h - i) * (ordered[min(i + 1, len(ordered) - 1)] - ordered[i])


if __name__ == "__main__":
    loop, url, streams, chunks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if loop == "uvloop":
        import uvloop
        uvloop.install()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    setup, begun = cpu_seconds(), time.monotonic()
    results = asyncio.run(main(url + "/v1/chat/completions", streams, chunks))
    run, wall = cpu_seconds() - setup, time.monotonic() - begun
    report = {"ok": len(results), "chunks": sum(len(a) for a, _, _ in results), "tokens": sum(t for _, _, t in results)}
    error, first, gaps, collapsed = [], [], 0, 0
    for arrived, contents, _ in results:
        sent = [int(c) for c in contents]
        error += [a - s for a, s in zip(arrived, sent)]
        first.append(arrived[0] - sent[0])
        for i in range(1, len(sent)):
            if sent[i] - sent[i - 1] >= 20_000_000:
                gaps += 1
                collapsed += arrived[i] - arrived[i - 1] < 5_000_000
    for name, values in (("error", sorted(error)), ("first_error", sorted(first))):
        report.update({f"{name}_p50_ms": quantile(values, .5) / 1e6, f"{name}_p99_ms": quantile(values, .99) / 1e6, f"{name}_max_ms": values[-1] / 1e6})
    report.update(gaps=gaps, collapsed_gaps=collapsed, wall_s=wall, setup_cpu_s=setup, run_cpu_s=run,
                  peak_kib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(json.dumps(report))
