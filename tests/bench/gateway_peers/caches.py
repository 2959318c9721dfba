"""The candidates with a cache: our gateway and its peers as they are elsewhere, and Varnish, which is nothing else.

Ours keeps the callers of each tenant apart by their scopes. Theirs go by host and target alone, as nobody there knows
who is asking.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from deploy.local.ports import free_port
from tests.bench.gateway_peers.processes import running, write_config
from tests.bench.gateway_peers.starters import (
    Peer,
    Running,
    Starter,
    Surroundings,
    find_program,
    haproxy_command,
    our_gateway,
)
from tests.bench.gateway_peers.upstream import find_nginx, nginx_command

STORABLE: Final = (
    'Cache-Control "public, max-age=3600"',
    "x-kontor-tags contacts:$request_id",
    "x-kontor-visibility tenant",
)
"""What the upstream says besides: `public` lets answers to requests with credentials be stored (RFC 9111, 3.5), and as
our services do, which record an answer contains, and that all callers of a tenant get the same."""
_BYTES: Final = 2 * 1024**3  # more than all that is asked for

# Open files are kept as well, else each hit would open one.
_NGINX_CACHES: Final = """proxy_cache_path nginx-cache keys_zone=answers:64m max_size=4g inactive=1h use_temp_path=off;
    open_file_cache max=50000 inactive=1h;
    open_file_cache_valid 1h;
    sendfile on;
"""
_NGINX_CACHED: Final = """proxy_cache answers;
            proxy_cache_key $host$request_uri;
            add_header X-Cache-Status $upstream_cache_status;
"""
_HAPROXY_CACHES: Final = f"""cache answers
    total-max-size {_BYTES // 1024**2 - 1}
    max-object-size 131072
    max-age 3600
"""
# Its cache passes by whatever has credentials, also what says `public`.
_HAPROXY_CACHED: Final = """http-request del-header authorization
    http-request cache-use answers
    http-response cache-store answers
"""


@contextmanager
def _ours(around: Surroundings) -> Iterator[Running]:
    cache = {"bytes": _BYTES, "visibility": "scopes", "fresh_s": 3600}
    with our_gateway(around, cache=cache) as running_gateway:
        yield running_gateway


@dataclass(frozen=True, slots=True)
class _Varnish:
    """Its log is in shared memory, always; nobody reads it here."""

    program: str

    @contextmanager
    def __call__(self, around: Surroundings) -> Iterator[Running]:
        port, (first, second) = free_port(), around.replicas
        config = write_config("varnish.vcl", around.folder, first=first, second=second)
        command = [
            *(self.program, "-F", "-j", "none", "-T", "none", "-n", str(around.folder / "varnish")),
            *("-f", str(config), "-a", f"127.0.0.1:{port}", "-s", f"malloc,{_BYTES}"),
            *("-p", "thread_pools=1", "-p", "thread_pool_min=300"),
        ]
        output = around.folder / "varnish.txt"
        with running(command, output, core=around.cores.candidate, question=around.question(port)) as process:
            yield Running(port, process, None)


def find_caches() -> dict[str, Starter | None]:
    """Every candidate by name, None where its program is not on this machine."""
    nginx, haproxy, varnish = find_nginx(), find_program("haproxy"), find_program("varnishd")
    return {
        "ours": _ours,
        "nginx": Peer("nginx", "nginx.conf", nginx, nginx_command, caches=_NGINX_CACHES, cached=_NGINX_CACHED)
        if nginx
        else None,
        "haproxy": Peer(
            "haproxy",
            "haproxy.cfg",
            haproxy,
            haproxy_command,
            ring=True,
            caches=_HAPROXY_CACHES,
            cached=_HAPROXY_CACHED,
        )
        if haproxy
        else None,
        "varnish": _Varnish(varnish) if varnish else None,
    }
