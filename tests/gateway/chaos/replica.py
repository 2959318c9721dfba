"""A replica that does as it is told, also badly: `python -m tests.gateway.chaos.replica PORT NAME JOURNAL`.

What it executes it writes down before it answers, in a file that outlives kill -9. `POST /fault?…` to the replica
itself, past the gateway, sets what it does wrong from then on: `delay_s`, `status`, `cut`; without any, it is well.
"""

import asyncio
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

PAD = "pad="
_SERVICE_S = (0.005, 0.015)


@dataclass(frozen=True, slots=True)
class Fault:
    """`delay_s`: before each answer; `status`: of each answer; `cut`: a longer body is announced than comes."""

    delay_s: float = 0.0
    status: int = 200
    cut: bool = False


def echo(method: str, target: str, body: bytes) -> bytes:
    """The answer to a request, by which it can be told from every other; `?pad=…` makes it longer."""
    padding = int(target.rpartition(PAD)[2]) if PAD in target else 0
    return f"{method} {target} ".encode() + body + b"." * padding


class Replica:
    """What all connections share."""

    def __init__(self, name: str, journal: Path) -> None:
        self.name = name
        self.fault = Fault()
        self._dice = random.Random(name)  # noqa: S311 - reproducible, not secret
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def executes(self, method: str, target: str) -> None:
        """One line in one write: neither a kill nor another replica comes in between."""
        os.write(self._journal, f"{self.name} {method} {target}\n".encode())

    def service_s(self) -> float:
        """How long the next request takes: long enough for requests to meet."""
        return self._dice.uniform(*_SERVICE_S)

    def order(self, query: str) -> None:
        """Do this wrong from now on."""
        told = dict(parse_qsl(query))
        self.fault = Fault(float(told.get("delay_s", 0)), int(told.get("status", 200)), "cut" in told)


class Connection(asyncio.Protocol):
    """Requests with a length or without a body, one after the other: nothing else comes from the gateway here."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields.get("content-length", 0))
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        method, target, _ = first.split(" ")
        self._take(method, target, rest[:length])

    def _take(self, method: str, target: str, body: bytes) -> None:
        path, _, query = target.partition("?")
        if path == "/fault":
            self._replica.order(query)
        if path in ("/fault", "/readyz"):
            self._answer(Fault(), b"")
            return
        fault = self._replica.fault
        self._replica.executes(method, target)
        asyncio.get_running_loop().call_later(
            fault.delay_s + self._replica.service_s(), self._answer, fault, echo(method, target, body)
        )

    def _answer(self, fault: Fault, body: bytes) -> None:
        if self._transport.is_closing():
            return
        length = len(body) + (100 if fault.cut else 0)
        head = f"HTTP/1.1 {fault.status} Said\r\nContent-Length: {length}\r\nX-Replica: {self._replica.name}\r\n\r\n"
        self._transport.write(head.encode() + body)
        if fault.cut:
            self._transport.close()


async def main(port: int, name: str, journal: Path) -> None:
    replica = Replica(name, journal)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(replica), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
