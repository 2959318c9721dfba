"""Metrics over HTTP, of a gateway or of a replica: one text after the other, the last one again and again.

Instead of a text, None is a connection that is cut without an answer.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

KEY = "admin-key-of-a-test"


@contextmanager
def gateway(texts: Sequence[str | None], *, replicas: Sequence[str] = ()) -> Iterator[str]:
    """Serves until the block ends; gives the admin API's URL. `replicas` are the addresses it tells of."""
    upstreams = [{"name": "customers", "replicas": [{"address": address} for address in replicas]}]
    with _serving(texts, f"Bearer {KEY}", json.dumps(upstreams)) as address:
        yield f"http://{address}/admin/"


@contextmanager
def replica(texts: Sequence[str | None]) -> Iterator[str]:
    """Serves until the block ends, and refuses whoever shows a key; gives the address, host:port."""
    with _serving(texts, None, "") as address:
        yield address


@contextmanager
def _serving(texts: Sequence[str | None], authorization: str | None, upstreams: str) -> Iterator[str]:
    left = list(texts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers["Authorization"] != authorization:
                problem = '{"title": "Unauthorized", "detail": "Send the key."}'
                self._answer(401, "application/problem+json", problem)
            elif self.path == "/metrics":
                text = left.pop(0) if len(left) > 1 else left[0]
                if text is not None:
                    self._answer(200, "text/plain; version=0.0.4", text)
            elif self.path == "/admin/upstreams":
                self._answer(200, "application/json", upstreams)
            else:
                self._answer(404, "application/problem+json", "{}")

        def _answer(self, status: int, media_type: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
