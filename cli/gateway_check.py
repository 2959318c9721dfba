"""`kontor gateway check`: is a gateway's document in order? Connects to nothing."""

import sys
from pathlib import Path

from services.gateway import config
from services.gateway.config import Snapshot
from services.gateway.discovery.rules import DnsRule, FileRule, SourceRule
from services.gateway.discovery.watched_file import read_replicas
from services.gateway.documents import UnreadableError
from services.gateway.documents.reading import decoded

STANDARD_INPUT = "-"
_MOST_BYTES = 8 * 1024 * 1024


def check(file: str) -> str:
    """What the document comes to, in one line and one more for each upstream; `-` is the standard input.

    Files of replicas are read as well, where they are there already. Raises `DocumentError` with every
    mistake of the first file that has any, of it `UnreadableError`.
    """
    snapshot = _read(file)
    plans = snapshot.upstreams.values()
    found = {plan.name: _replicas(plan.name, plan.source) for plan in plans}
    total = sum(count for count, _ in found.values())
    counts = (len(snapshot.routes), "route"), (len(plans), "upstream"), (total, "replica")
    summary = f"ok: {', '.join(_count(*one) for one in counts)} known beforehand"
    return "\n".join([summary, *(f"  {name}: {text}" for name, (_, text) in found.items())])


def _read(file: str) -> Snapshot:
    if file == STANDARD_INPUT:
        text = decoded(sys.stdin.buffer.read(_MOST_BYTES), "stdin")
        return config.read(text, "stdin", Path())
    return config.load(Path(file))


def _replicas(upstream: str, source: SourceRule) -> tuple[int, str]:
    """How many replicas are known before anything is asked, and where they come from."""
    if isinstance(source, DnsRule):
        return 0, f"{source.type} records of {source.name}, asked for every {source.every_s:g} s"
    if isinstance(source, FileRule):
        try:
            count = len(read_replicas(source.path, upstream))
        except UnreadableError as error:
            return 0, f"{error} (looked for every {source.every_s:g} s)"
        return count, f"{_count(count, 'replica')} in {source.path}"
    return len(source.replicas), _count(len(source.replicas), "replica")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
