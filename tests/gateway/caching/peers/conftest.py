"""The servers that the second level is tested with."""

from tests.gateway.caching.second.conftest import shared_valkey, valkey, valkey_cluster

__all__ = ["shared_valkey", "valkey", "valkey_cluster"]
