"""A small real upstream: `python -m tests.gateway.echo PORT NAME`. Its paths say what it does."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from typing import Any
from urllib.parse import parse_qs

import uvicorn

BLOCK = bytes(64 * 1024)


class Echo:
    """One ASGI application with a little memory, read at `/state`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready = True
        self.state = {"requests": 0, "aborted": 0, "waiting": 0}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
        action = scope["path"].strip("/").partition("/")[0].replace("-", "_")
        if action not in ("readyz", "state"):
            self.state["requests"] += 1
        handler = getattr(self, f"do_{action}", self.do_echo)
        await handler(scope, receive, send, query)

    async def answer(self, send: Any, document: Any, status: int = 200) -> None:
        body = json.dumps(document).encode()
        await self.head(send, status, len(body))
        await send({"type": "http.response.body", "body": body})

    async def head(self, send: Any, status: int = 200, length: int | None = None) -> None:
        headers = [
            (b"content-type", b"application/json"),
            (b"connection", b"X-Private"),
            (b"x-private", b"for the gateway only"),
            (b"x-kontor-secret", b"1"),
            (b"set-cookie", b"caller=1"),
            (b"set-cookie", b"other=2"),
        ]
        if length is not None:
            headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def read(self, receive: Any) -> bytes:
        parts = []
        while True:
            message = await receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)

    async def do_echo(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Say what arrived."""
        await self.say(scope, send, await self.read(receive))

    async def say(self, scope: Any, send: Any, body: bytes) -> None:
        await self.answer(
            send,
            {
                "replica": self.name,
                "method": scope["method"],
                "target": scope["raw_path"].decode() + "?" + scope["query_string"].decode(),
                "headers": [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]],
                "body": body.decode("latin-1"),
            },
        )

    async def do_kept(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """An answer that may be stored, with `tags` that say what it shows."""
        await self.read(receive)
        body = json.dumps({"replica": self.name}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"public, max-age=60"),
            (b"x-kontor-tags", query["tags"].encode()),
            (b"x-kontor-visibility", b"tenant"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def do_readyz(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        await self.answer(send, {}, 200 if self.ready else 503)

    async def do_unready(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        self.ready = False
        await self.answer(send, {})

    async def do_state(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        await self.answer(send, self.state)

    async def do_sink(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Swallow a body and say how much it was."""
        size, digest, more = 0, hashlib.sha256(), True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        await self.answer(send, {"bytes": size, "sha256": digest.hexdigest()})

    async def do_source(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Send `bytes` bytes, chunked unless `length` is given."""
        left = int(query["bytes"])
        await self.head(send, length=left if "length" in query else None)
        while left:
            block = BLOCK[: min(left, len(BLOCK))]
            left -= len(block)
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body"})

    async def do_slow(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Answer after `s` seconds."""
        self.state["waiting"] += 1
        await asyncio.sleep(float(query["s"]))
        await self.do_echo(scope, receive, send, query)

    async def do_wait(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Never answer; count it when the other side goes. With `head`, begin to answer first."""
        await self.read(receive)
        if "head" in query:
            await self.head(send)
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        self.state["waiting"] += 1
        while (await receive())["type"] != "http.disconnect":
            pass
        self.state["aborted"] += 1

    async def do_ticks(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """One piece, then the next only when `/tick` was called: shows that nothing is held back."""
        self.tick = asyncio.Event()
        await self.head(send)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.tick.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async def do_tick(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        self.tick.set()
        await self.answer(send, {})

    async def do_cut(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Begin an answer and leave it unfinished."""
        await self.head(send, length=1000 if "length" in query else None)
        await send({"type": "http.response.body", "body": b"x" * 10, "more_body": True})
        await asyncio.sleep(0.1)

    async def do_die(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """Read the request, then die of kill -9; without `only`, or when this replica is `only`."""
        body = await self.read(receive)
        if query.get("only", self.name) == self.name:
            os.kill(os.getpid(), signal.SIGKILL)
        await self.say(scope, send, body)

    async def do_status(self, scope: Any, receive: Any, send: Any, query: Any) -> None:
        """`/status?code=304`: an answer without body that speaks of a length."""
        code = int(query["code"])
        await self.head(send, code, None if code == 204 else 0)
        await send({"type": "http.response.body"})


def main() -> None:
    port, name = int(sys.argv[1]), sys.argv[2]
    uvicorn.run(
        Echo(name),
        host="127.0.0.1",
        port=port,
        lifespan="off",
        log_level="critical",
        access_log=False,
        loop="uvloop",
        http="httptools",
    )


if __name__ == "__main__":
    main()
