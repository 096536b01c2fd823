# SPDX-License-Identifier: Apache-2.0
"""Starts a real vLLM on the CPU, profiles it with hotpath, compares the report with the server's counters, stops it.

Exit: 0 every total agrees, 1 a total differs or hotpath failed, 2 usage, 4 the server did not start. Standard library only.
"""
import argparse, http.client, json, os, re, signal, socket, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
COUNTERS = {"requests": "vllm:request_success_total", "prompt": "vllm:prompt_tokens_total", "completion": "vllm:generation_tokens_total",
            "preemptions": "vllm:num_preemptions_total", "prefix_hits": "vllm:prefix_cache_hits_total", "prefix_queries": "vllm:prefix_cache_queries_total"}


class Vllm:
    """One `vllm serve` in a session of its own, so that stopping it means one signal to one process group."""

    def __init__(self, kit, model, flags):
        self.model, self.log = model, Path(tempfile.mkdtemp(prefix="hotpath-vllm-")) / "vllm.log"
        with socket.socket() as s:  # free now; vLLM binds it some seconds later, and the start fails if somebody took it
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        cache = str(kit / "cache")
        env = dict(os.environ, PATH=f"{kit}/venv/bin:{os.environ['PATH']}", CUDA_VISIBLE_DEVICES="", VLLM_HOST_IP="127.0.0.1",
                   HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1",
                   XDG_CACHE_HOME=cache, XDG_CONFIG_HOME=cache, HF_HOME=cache + "/hf", VLLM_CPU_KVCACHE_SPACE="1")
        command = [f"{kit}/venv/bin/vllm", "serve", f"{kit}/models/{model}", "--host", "127.0.0.1", "--port", str(self.port),
                   "--served-model-name", model, "--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager",
                   "--max-model-len", "2048", "--block-size", "32", *flags]
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, env=env, cwd=self.log.parent, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True)

    def __enter__(self):
        started = time.monotonic()
        try:
            while self.process.poll() is None and time.monotonic() - started < 600:
                try:
                    if self.get("/health")[0] == 200:
                        print(f"vllm: healthy after {time.monotonic() - started:.0f} s on port {self.port}", file=sys.stderr)
                        return self
                except OSError:
                    time.sleep(0.5)
        except BaseException:
            self.__exit__()
            raise
        self.__exit__()
        tail = self.log.read_text(errors="replace").splitlines()[-20:]
        print("\n".join(["vllm did not start; end of " + str(self.log), *tail]), file=sys.stderr)
        sys.exit(4)

    def __exit__(self, *_):
        for sig, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            try:
                os.killpg(self.process.pid, sig)
            except ProcessLookupError:
                break
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                self.process.poll()  # reaps the leader; the group may outlive it
                try:
                    os.killpg(self.process.pid, 0)
                except ProcessLookupError:
                    return
                time.sleep(0.1)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def counters(self):
        """Sums over all labels; read again until nothing runs and two reads agree: the engine's loop updates them late."""
        last = None
        for _ in range(50):
            text = self.get("/metrics")[1]
            rows = re.findall(r"^([a-z:_]+)(\{[^}]*\})? (\S+)$", text, re.M)
            now = {k: sum(float(v) for n, labels, v in rows if n == name and 'finished_reason="abort"' not in labels)
                   for k, name in COUNTERS.items()}
            running = sum(float(v) for n, _, v in rows if n in ("vllm:num_requests_running", "vllm:num_requests_waiting"))
            if now == last and running == 0:
                return now
            last = now
            time.sleep(0.2)
        raise RuntimeError("the server's counters do not settle: other traffic on it?")

    def raw(self, path, body):
        """The response as it came over the wire, and per read the time since the send in ns and the number of bytes."""
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n"
                f"X-Request-Id: hotpath-fixture\r\nContent-Length: {len(data)}\r\n\r\n").encode()
        wire, reads = b"", []
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as s:
            s.sendall(head + data)
            begin = time.monotonic_ns()
            while True:
                got = s.recv(65536)
                reads.append([time.monotonic_ns() - begin, len(got)])
                wire += got
                top, _, rest = wire.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", top, re.I)
                if not got or wire.endswith(b"0\r\n\r\n") or (length and len(rest) >= int(length[1])):
                    return wire, reads


def dechunk(wire):
    head, _, rest = wire.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return rest
    body = b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            return body
        body, rest = body + rest[:n], rest[n + 2:]


def record(server, folder):
    """A few small answers, as bytes. `seed` and temperature 0 keep them alike, ids and times differ each time."""
    folder.mkdir(parents=True, exist_ok=True)
    version = json.loads(server.get("/version")[1])["version"].split("+")[0]
    common = {"model": server.model, "stream": True, "max_tokens": 12, "temperature": 0, "seed": 1, "ignore_eos": True}
    usage = {"stream_options": {"include_usage": True}}
    chat = {"messages": [{"role": "user", "content": "Where did the time go?"}]}
    cases = {
        "completions": ("/v1/completions", {**common, **usage, "prompt": "Where did the time go?"}),
        "completions-ids": ("/v1/completions", {**common, **usage, "prompt": list(range(10, 42))}),
        "completions-n2": ("/v1/completions", {**common, **usage, "prompt": "Where did the time go?", "n": 2, "temperature": 1}),
        "chat": ("/v1/chat/completions", {**common, **usage, **chat}),
        "chat-continuous-usage": ("/v1/chat/completions", {**common, **chat, "stream_options": {
            "include_usage": True, "continuous_usage_stats": True}}),
        "chat-no-usage": ("/v1/chat/completions", {**common, **chat}),
        "error-400": ("/v1/completions", {**common, "prompt": "x", "max_tokens": 100000}),
        "error-404": ("/v1/completions", {**common, "prompt": "x", "model": "no-such-model"}),
    }
    for name, (path, body) in cases.items():
        wire, reads = server.raw(path, body)
        stem = folder / f"vllm-{version}-cpu-{name}"
        Path(f"{stem}.http").write_bytes(wire)
        if b"text/event-stream" in wire.partition(b"\r\n\r\n")[0].lower():
            Path(f"{stem}.sse").write_bytes(dechunk(wire))
        print(f"recorded {stem.name}: {len(wire)} bytes in {len(reads)} reads", file=sys.stderr)


def profile(server, hotpath, folder, name, flags, wanted=()):
    """One run; returns the number of totals that differ, or of the wanted ones that are 0."""
    before = server.counters()
    command = [hotpath, "serve-profile", "--endpoint", f"http://127.0.0.1:{server.port}", "--model", server.model,
               "--ignore-eos", "--seed", "1", "--output", str(folder / name), "--json", *flags]
    print("$ hotpath " + " ".join(command[1:]), file=sys.stderr)
    done = subprocess.run(command, stdout=subprocess.PIPE)
    delta = {k: v - before[k] for k, v in server.counters().items()}
    if done.returncode != 0:
        print(f"{name}: hotpath ended with {done.returncode}", file=sys.stderr)
        return 1
    report = json.loads(done.stdout)
    (folder / f"{name}.json").write_bytes(done.stdout)
    engine = report["server"]  # from hotpath's own scrapes
    ours = {"requests": [report["requests"]["ok"], engine["requests_finished"]], "prompt": [report["tokens"]["prompt"], engine["prompt_tokens"]],
            "completion": [report["tokens"]["completion"], engine["generation_tokens"]], "preemptions": [engine["preemptions"]],
            "prefix_hits": [engine["prefix_hits"]], "prefix_queries": [engine["prefix_queries"]]}
    wrong = int(report["schema"] != "hotpath.serve_report/1") + int(report["requests"]["sent"] != report["requests"]["ok"])
    for key, theirs in delta.items():
        same = all(x == theirs for x in ours[key]) and (theirs > 0 or key not in ("requests", "prompt", "completion", *wanted))
        wrong += not same
        print(f"{name}: {key:14} hotpath {' and '.join(str(x) for x in ours[key])}, server {theirs:.0f}: {'equal' if same else 'DIFFERENT'}")
    violated = [c["name"] for c in report["checks"] if c["ok"] is False]
    wrong += len(violated)
    if violated:
        print(f"{name}: violated checks: {', '.join(violated)}")
    subprocess.run([hotpath, "serve-report", str(folder / name / "serve_profile.db")])
    return wrong


def main():
    p = argparse.ArgumentParser(prog="vllm.sh", description=__doc__)
    p.add_argument("dir", type=Path, metavar="DIR", help="holds venv/bin/vllm and models/MODEL")
    p.add_argument("--hotpath", default=os.environ.get("HOTPATH", str(HERE.parents[1] / "build/dev/hotpath")), help="the executable")
    p.add_argument("--model", default="tiny-llama")
    p.add_argument("--output", type=Path, help="folder of the run files (default: a new temporary one)")
    p.add_argument("--record", type=Path, metavar="FOLDER", help="only record raw streams into FOLDER (tests/data)")
    p.add_argument("--requests", type=int, default=200)
    p.add_argument("--streams", type=int, default=16)
    p.add_argument("--pressure", action="store_true", help="a KV cache of 70 blocks, prompts of a trace, then equal prompts: preemptions and prefix hits must be above 0")
    p.add_argument("--rate", type=float, default=10, help="open loop, requests per second")
    a, flags = p.parse_known_args()  # what is left goes to vllm serve
    a.dir = a.dir.resolve()
    if not a.record and not os.access(a.hotpath, os.X_OK):
        p.error(f"no executable {a.hotpath}; build it or name it with --hotpath")
    if a.pressure:
        flags += ["--num-gpu-blocks-override", "70", "--enable-prefix-caching"]
    with Vllm(a.dir, a.model, flags) as server:
        if a.record:
            return record(server, a.record)
        folder = a.output or Path(tempfile.mkdtemp(prefix="hotpath-real-"))
        folder.mkdir(parents=True, exist_ok=True)
        if a.pressure:
            trace = str(HERE.parents[1] / "examples/data/mooncake_conversation_200.jsonl")
            wrong = profile(server, a.hotpath, folder, "pressure", ["--traffic", trace, "--length-scale", "0.0156,0.25", "--concurrency", "32",
                                                                    "--requests", str(a.requests), "--duration", "0"], ("preemptions",))
            wrong += profile(server, a.hotpath, folder, "prefix", ["--traffic", "synthetic:input=300,output=64,seed=1", "--reuse-prompts",
                                                                   "--concurrency", "16", "--requests", "64", "--duration", "0"], ("prefix_hits",))
            print(f"runs and reports: {folder}", file=sys.stderr)
            return 1 if wrong else 0
        traffic = ["--traffic", "synthetic:input=64,output=32,seed=1", "--requests", str(a.requests), "--slo", "ttft=500ms,tpot=50ms"]
        wrong = profile(server, a.hotpath, folder, "closed", [*traffic, "--concurrency", str(a.streams)])
        wrong += profile(server, a.hotpath, folder, "open", [*traffic, "--rate", str(a.rate), "--api", "chat"])
        print(f"runs and reports: {folder}", file=sys.stderr)
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
