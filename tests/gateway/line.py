"""One gateway that anyone may ask, in front of one replica that tells what it heard."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.gateway.caller import calling
from tests.gateway.processes import GatewayProcess
from tests.gateway.scripted import ScriptedReplica, scripted_replica

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


class Line:
    """A gateway, and the one replica behind it."""

    def __init__(self, gateway: GatewayProcess, replica: ScriptedReplica) -> None:
        self.gateway = gateway
        self.replica = replica
        self.port = gateway.port


def document(port: int) -> dict[str, object]:
    """Anyone may ask anything; nothing is tried twice; no number of failures takes the replica away."""
    return {
        "limits": {"head_timeout_s": 1},
        "rate_limit": {"per_second": 1_000_000, "burst": 1_000_000},
        "routes": [{"name": "all", "prefix": "/", "upstream": "echo", "public": True}],
        "upstreams": {
            "echo": {
                "replicas": [{"host": "127.0.0.1", "port": port}],
                "health": {"unhealthy_after": 100},
                "breaker": {"min_attempts": 1_000_000},
                "retries": {"max_retries": 0},
            }
        },
    }


@asynccontextmanager
async def running_line(folder: Path) -> AsyncIterator[Line]:
    async with scripted_replica() as replica:
        gateway = GatewayProcess(folder, [], document(replica.port))
        try:
            await gateway.until_ready()
            yield Line(gateway, replica)
        finally:
            printed = gateway.stop()
            print(printed)
    assert "Traceback" not in printed, "an exception was not handled"


async def works(line: Line) -> None:
    """The gateway and the replica still understand one another."""
    line.replica.clear()
    async with calling(line.port) as caller:
        await caller.send(NEXT)
        assert ((await caller.answer()).status, line.replica.targets) == (200, [b"/next"])
