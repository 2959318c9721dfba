"""Asking services by ourselves, beside the requests of callers: health checks, change feeds, proofs."""

import ssl
from typing import Final

import httpx2

_KEPT: Final = 20


def plain_transport(*, keep_alive: bool) -> httpx2.AsyncHTTPTransport:
    """For `http://` alone, which services speak behind the gateway; no proxy of the environment stands in between.

    Without `keep_alive` each question has a connection of its own.
    """
    limits = httpx2.Limits(max_keepalive_connections=_KEPT if keep_alive else 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used, which spares loading the certificate store
    return httpx2.AsyncHTTPTransport(limits=limits, verify=context, trust_env=False)
