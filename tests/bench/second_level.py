"""What the second level costs and saves: its hits against the first level's, and against going to the upstream.

make bench BENCH=second_level [ARGS="--quick"]

Needs the wheel of Valkey. One gateway worker at a time is asked for more than its first level holds, so that each
request is a miss there. What a service and its database would spend is not in these figures: the upstream here answers
at once, from memory.
"""

import argparse
import asyncio
import itertools
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any, cast

import psutil

from services.gateway.caching.second.entries import SharedAnswer, decode, encode
from tests.bench import harness
from tests.bench.harness import Candidate, Sample
from tests.gateway.caching.second.servers import Valkey
from tests.gateway.processes import free_port

_SIZES = (1024, 65_536)
_TARGETS = {1024: 4096, 65_536: 512}
_NEW = 400_000
_CONNECTIONS = (1, 32)
_SECONDS = 2.0


class Upstream(asyncio.Protocol):
    """Answers `/SIZE/…` with so many bytes of JSON, each target its own."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is no subclass

    def data_received(self, data: bytes) -> None:
        target = data.split(b" ", 2)[1]
        body = b"[]" if target == b"/readyz" else _body(target)
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: public, max-age=3600\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )


_bodies: dict[int, bytes] = {}


def _body(target: bytes) -> bytes:
    size = int(target.split(b"/")[1])
    if size not in _bodies:
        _bodies[size] = records(size)
    own = b'[{"target": "%b"},' % target
    return own + _bodies[size][len(own) :]


def records(size: int) -> bytes:
    """A list of records as services answer it: ids that repeat nothing, and names that repeat."""
    draw = random.Random(1)  # noqa: S311 - the same each time
    found: list[bytes] = []
    while sum(map(len, found)) < size:
        record = {
            "id": f"0190{draw.getrandbits(112):028x}",
            "name": f"{draw.choice(['Anna', 'Ben', 'Carla', 'Dirk'])} {draw.choice(['Huber', 'Maier', 'Weiss'])}",
            "email": f"someone{draw.randrange(10**6)}@example.org",
            "owner_id": f"0190{draw.getrandbits(112):028x}",
            "created_at": f"2026-{draw.randrange(1, 13):02d}-{draw.randrange(1, 29):02d}T10:00:00Z",
            "status": draw.choice(["open", "won", "lost"]),
            "version": draw.randrange(9),
        }
        found.append(json.dumps(record).encode() + b",")
    return b"".join(found)[:size]


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    await server.serve_forever()


@contextmanager
def _gateway(
    folder: Path, upstream: int, cache: dict[str, Any], **sections: Any
) -> Iterator[tuple[int, psutil.Process]]:
    port = free_port()
    document = {
        "auth": {"mode": "none"},
        "workers": 1,
        "rate_limit": {"enabled": False},
        "routes": [
            {"name": "all", "prefix": "/", "upstream": "u", "cache": {"visibility": "everyone", **cache}},
        ],
        "upstreams": {"u": {"replicas": [{"host": "127.0.0.1", "port": upstream}]}},
        **sections,
    }
    file = folder / f"gateway-{port}.yaml"
    file.write_text(json.dumps(document))
    arguments = ["-m", "services.gateway", "--config", str(file), "--port", str(port)]
    with harness.served(arguments, {"GATEWAY_LOG_FORMAT": "text"}, port, "/readyz") as process:
        yield port, process


def _requests(size: int, names: Sequence[int]) -> list[bytes]:
    return [harness.get(f"/{size}/{name}", {}) for name in names]


def _candidates(
    size: int,
    connections: int,
    seconds: float,
    ports: dict[str, tuple[int, psutil.Process]],
    valkey: psutil.Process,
) -> list[Candidate]:
    known = _requests(size, range(_TARGETS[size]))
    new = itertools.count(_TARGETS[size])

    def turn(name: str, *, fresh: bool = False) -> Any:
        port, process = ports[name]

        async def run() -> Sample:
            asked = _requests(size, list(itertools.islice(new, 20_000))) if fresh else known
            before = sum(valkey.cpu_times()[:2])
            sample = await harness.load(port, asked, process, connections=connections, seconds=seconds)
            spent = sum(valkey.cpu_times()[:2]) - before
            return replace(sample, cpu_s=sample.cpu_s + spent)

        return run

    return [
        Candidate(f"first level, {size} B, {connections}", turn("first")),
        Candidate(f"second level, {size} B, {connections}", turn("second")),
        Candidate(f"upstream, {size} B, {connections}", turn("alone", fresh=True)),
        Candidate(f"upstream and stored, {size} B, {connections}", turn("second", fresh=True)),
    ]


def compression() -> None:
    """Where compressing begins to pay: CPU and size of one entry."""
    print(
        f"{'body, B':>10} {'written, µs':>12} {'read, µs':>10} {'of its size':>12} {'plain: written, read, µs':>26}"
    )
    for size in (512, 1024, 2048, 4096, 16_384, 65_536, 262_144, 1_048_576):
        answer = SharedAnswer(b"key", 200, b"a: b\r\n", None, b"", (), (), 0, 0, 0, records(size))
        compressed, plain = _cost(answer, 0), _cost(answer, size + 1)
        share = len(encode(answer, 0)) / len(encode(answer, size + 1))
        print(
            f"{size:10,} {compressed[0]:12,.0f} {compressed[1]:10,.0f} {share:12.2f} {plain[0]:15,.0f}, {plain[1]:,.0f}"
        )


def _cost(answer: SharedAnswer, compress_bytes: int) -> tuple[float, float]:
    count = max(5, 4_000_000 // len(answer.body))
    began = process_time()
    for _ in range(count):
        data = encode(answer, compress_bytes)
    written = process_time()
    for _ in range(count):
        decode(data, answer.key)
    return (written - began) / count * 1e6, (process_time() - written) / count * 1e6


async def main() -> None:
    """All candidates take turns, case by case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short turns, for a look")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.upstream is not None:
        await _serve(options.upstream)
        return
    compression()
    seconds, rounds = (0.5, 2) if options.quick else (_SECONDS, 5)
    figures: dict[str, float] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = Valkey(folder)
        stack.callback(server.stop)
        upstream = free_port()
        arguments = ["-m", "tests.bench.second_level", "--upstream", str(upstream)]
        stack.enter_context(harness.served(arguments, {}, upstream, "/readyz"))
        small, large = {"bytes": 1024**2, "policy": "lru"}, {"bytes": 256 * 1024**2}
        shared = {"servers": [{"host": "127.0.0.1", "port": server.port}], "timeout_s": 1.0}
        ports = {
            "first": stack.enter_context(_gateway(folder, upstream, large)),
            "alone": stack.enter_context(_gateway(folder, upstream, small)),
            "second": stack.enter_context(_gateway(folder, upstream, small, shared_cache=shared)),
        }
        valkey = psutil.Process(server.process.pid)
        for size, connections in itertools.product(_SIZES, _CONNECTIONS):
            candidates = _candidates(size, connections, seconds, ports, valkey)
            await harness.interleave(candidates, rounds)
            harness.print_table(candidates)
            first, second, alone, stored = candidates
            name = f"{size // 1024}k_c{connections}"
            figures[f"second_{name}_cpu_us"] = second.median("cpu_us")
            figures[f"second_{name}_cpu_vs_first"] = harness.ratio(second, first, "cpu_us")
            figures[f"second_{name}_cpu_vs_upstream"] = harness.ratio(second, alone, "cpu_us")
            figures[f"second_{name}_latency_vs_upstream"] = harness.ratio(alone, second)
            figures[f"storing_{name}_cpu_vs_upstream"] = harness.ratio(stored, alone, "cpu_us")
    harness.finish("second_level", figures)


if __name__ == "__main__":
    harness.run(main)
