"""What gateways say to one another: that something was written, and that they know. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

Tags = Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Written:
    """`tags` of one tenant (in hexadecimal, or `-`) at the service called `audience`; None: anything of that tenant's.

    `gateway` says who tells, `number` which write this is at the worker that listens on `reply`.
    """

    gateway: str
    reply: bytes
    number: int
    audience: str
    tenant: bytes
    tags: tuple[bytes, ...] | None

    def encode(self) -> bytes:
        """For the channel."""
        tags = None if self.tags is None else [tag.decode("latin-1") for tag in self.tags]
        reply, tenant = self.reply.decode("latin-1"), self.tenant.decode("ascii")
        return json.dumps([self.gateway, reply, self.number, self.audience, tenant, tags]).encode("ascii")

    @classmethod
    def decode(cls, message: bytes) -> "Written":
        """Raises `ValueError` for anything else."""
        try:
            gateway, reply, number, audience, tenant, tags = json.loads(message)
            return cls(
                str(gateway),
                reply.encode("latin-1"),
                int(number),
                str(audience),
                tenant.encode("ascii"),
                None if tags is None else tuple(tag.encode("latin-1") for tag in tags),
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"not what a gateway says: {message[:200]!r}") from error


def acknowledgement(number: int, gateway: str) -> bytes:
    """That this gateway uses nothing any more that a write has changed."""
    return b"%d %b" % (number, gateway.encode("ascii"))


def read_acknowledgement(message: bytes) -> tuple[int, str]:
    """The write's number and the gateway. Raises `ValueError`."""
    number, _, gateway = message.partition(b" ")
    try:
        return int(number), gateway.decode("ascii")
    except ValueError as error:
        raise ValueError(f"not an acknowledgement: {message[:200]!r}") from error
