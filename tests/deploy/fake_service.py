"""Stands in for a service's process: `fake_service.py customers [migrate|worker]`, with its settings.

`GET /readyz` is 200, `GET /pid` tells the process id. Every start is noted in the directory that FAKE_STATE
names; a file `<service>[-worker|-migrate].fail` or `.stubborn` there makes it fail or ignore SIGTERM.
"""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = str(os.getpid()).encode()
        self.send_response(200 if self.path in {"/readyz", "/pid"} else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    service, *rest = sys.argv[1:]
    state = os.environ.get("FAKE_STATE")
    if state:
        name = "-".join([service, *rest])
        Path(state, f"{name}.{os.getpid()}").touch()
        if Path(state, f"{name}.fail").exists():
            sys.exit(f"{name} was told to fail")
        if Path(state, f"{name}.stubborn").exists():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"{service} says hello", flush=True)
    if rest == ["worker"]:
        while True:
            time.sleep(60)
    if not rest:
        prefix = service.upper()
        address = os.environ[f"{prefix}_HOST"], int(os.environ[f"{prefix}_PORT"])
        ThreadingHTTPServer(address, _Handler).serve_forever()


if __name__ == "__main__":
    main()
