"""TCP ports of 127.0.0.1 for the processes of one suite."""

import socket
from collections.abc import Collection
from pathlib import Path
from random import SystemRandom

HOST = "127.0.0.1"
_FIRST_PORT = 10_000
_ATTEMPTS = 50


def free_port(taken: Collection[int] = ()) -> int:
    """A port that nobody listens on and that no outgoing connection is given by chance.

    The kernel's ephemeral range is avoided: while a killed replica is away, an outgoing connection could take
    its port (and then it cannot come back), and a probe of the port could even connect to itself.
    """
    random = SystemRandom()
    ceiling = _ephemeral_floor()
    for _ in range(_ATTEMPTS if ceiling > _FIRST_PORT else 0):
        port = random.randrange(_FIRST_PORT, ceiling)
        if port not in taken and port_is_free(port):
            return port
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """So many different free ports."""
    ports: list[int] = []
    while len(ports) < count:
        ports.append(free_port(ports))
    return ports


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port now.

    Raises PermissionError for a port this user may not use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is no obstacle
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except PermissionError:
            raise
        except OSError:
            return False
    return True


def _ephemeral_floor() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux's default, and below the range of other systems
