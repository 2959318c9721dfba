"""The servers that the second level is tested with."""

from tests.gateway.caching.second.conftest import shared_valkey

__all__ = ["shared_valkey"]
