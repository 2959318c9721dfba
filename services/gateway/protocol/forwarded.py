"""Where a request comes from, when a proxy in front of us tells (X-Forwarded-For, -Proto, -Host)."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from services.gateway.resilience.deadline import ACCEPTED_HEADERS

if TYPE_CHECKING:
    from services.gateway.exchange import Exchange


def believe(exchange: "Exchange", trusts: Callable[[str], bool]) -> None:
    """Take over what the trusted peer of this exchange says of it.

    The caller is the last address in X-Forwarded-For that is no trusted proxy itself: what stands before it
    was written by whoever it is.
    """
    fields = exchange.fields
    found = fields.found
    chain = [part.strip() for part in found.get(b"x-forwarded-for", b"").decode("latin-1").split(",")]
    chain = [*(part for part in chain if part), exchange.client.peer]
    exchange.peer = _caller(chain, trusts)
    scheme = found.get(b"x-forwarded-proto", b"http").lower()
    fields.scheme = scheme if scheme in (b"http", b"https") else b"http"
    host = found.get(b"x-forwarded-host", fields.host)
    if b"/" not in host:  # proxies pass on what callers wrote, and in a cache's keys a target follows it
        fields.host = host
    exchange.forwarded = b"x-forwarded-for: %b\r\nx-forwarded-proto: %b\r\nx-forwarded-host: %b\r\n" % (
        ", ".join(chain).encode("latin-1"),
        fields.scheme,
        fields.host,
    )
    exchange.asked_timeout = next((found[name] for name in ACCEPTED_HEADERS if name in found), None)


def _caller(chain: list[str], trusts: Callable[[str], bool]) -> str:
    for address in reversed(chain):
        try:
            plain = str(ip_address(address))
        except ValueError:
            return chain[-1]  # nobody can be found behind what is no address
        if not trusts(plain):
            return plain
    return chain[0]
