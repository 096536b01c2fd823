#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""with_server.py SERVER [server options] -- COMMAND ...: runs COMMAND beside a scripted server.

`{url}` in COMMAND becomes the server's address. Ends with COMMAND's status; the server ends with its stdin.
"""
import subprocess
import sys


def main():
    split = sys.argv.index("--")
    server = subprocess.Popen(sys.argv[1:split], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = server.stdout.readline().strip()
        if not port:
            sys.exit("the server did not start")
        command = [a.replace("{url}", f"http://127.0.0.1:{port}") for a in sys.argv[split + 1:]]
        return subprocess.run(command, timeout=100).returncode
    finally:
        server.stdin.close()
        server.wait(10)


if __name__ == "__main__":
    sys.exit(main())
