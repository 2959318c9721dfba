"""The servers that gateways share."""

from tests.gateway.caching.second.conftest import shared_valkey, valkey, valkey_cluster

__all__ = ["shared_valkey", "valkey", "valkey_cluster"]
