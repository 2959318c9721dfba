"""A gateway's metrics over HTTP: one text after the other, the last one again and again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

KEY = "admin-key-of-a-test"


@contextmanager
def gateway(texts: Sequence[str], port: int = 0) -> Iterator[str]:
    """Serves until the block ends; gives the admin API's URL."""
    left = list(texts)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/metrics" or self.headers["Authorization"] != f"Bearer {KEY}":
                self._answer(
                    401, "application/problem+json", '{"title": "Unauthorized", "detail": "Send the key."}'
                )
            else:
                self._answer(200, "text/plain; version=0.0.4", left.pop(0) if len(left) > 1 else left[0])

        def _answer(self, status: int, media_type: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/admin/"
        finally:
            server.shutdown()
            thread.join()
