"""A replica that costs next to nothing and tells its terms: `python -m tests.bench.timed_replica PORT`."""

import asyncio
import json
import sys
from typing import Final, cast

import uvloop

from shared.telemetry.terms import TERMS_HEADER, ServiceTerms, write_terms

_TERMS = ServiceTerms(queue=9_200, db_wait=0, db=400_300, processing=120_111, sched=20_000)
_BODY = json.dumps({"filling": "f" * 1_010}).encode()
ANSWER: Final = b"\r\n".join(
    (
        b"HTTP/1.1 200 OK",
        b"content-type: application/json",
        b"content-length: %d" % len(_BODY),
        TERMS_HEADER + b": " + write_terms(_TERMS),
        b"",
        _BODY,
    )
)


class Replica(asyncio.Protocol):
    """Takes requests without a body and one after the other, as the gateway sends them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection of the gateway's pool."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """An answer for each end of a head."""
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def serve(port: int) -> None:
    """Until it is killed."""
    server = await asyncio.get_running_loop().create_server(Replica, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
