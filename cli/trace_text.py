"""A trace as text: the waterfall, the response-time formula of each hop, the critical path."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from cli.trace_tree import TERMS, Node, critical_path

NARROWEST = 80
_DURATION = 12
_WIDEST_LABEL = 60


def waterfall(roots: Sequence[Node], width: int) -> Iterator[str]:
    """Everything there is to say of one trace, in lines of at most `width` columns, which are 80 or more."""
    if not roots:
        return
    for number, root in enumerate(roots):
        if number:
            yield ""
        yield from _tree(root, width)


def listing(traces: Iterable[dict[str, Any]], width: int) -> Iterator[str]:
    """A line for each of the gateway's remembered requests."""
    for one in traces:
        what = f"{one['method']} {one['route'] or '-'}" + (f" ({one['error']})" if one["error"] else "")
        status = one["status"] or "---"
        line = f"{one['trace_id']} {status} {ms(one['total_ns']):>9} ms {one['dominant']:10} {one['kept']:7} "
        yield line + _short(what, max(8, width - len(line)))


def ms(ns: int) -> str:
    """In milliseconds, to the microsecond."""
    return f"{ns / 1e6:.3f}"


def _tree(root: Node, width: int) -> Iterator[str]:
    span = root.span
    path = critical_path(root)
    began = datetime.fromtimestamp(span.start_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    yield f"trace {_safe(span.trace_id)}, {began} UTC, {ms(root.duration_ns)} ms"
    yield ""
    yield from _bars(root, {id(node) for node, _ in path}, width)
    yield from _notes(root, width)
    yield ""
    yield from _formulas(root, width)
    yield ""
    yield f"critical path, {ms(root.duration_ns)} ms"
    for node, took_ns in path:
        share = 100 * took_ns / root.duration_ns if root.duration_ns else 0.0
        yield _short(f"  {ms(took_ns):>10} ms {share:5.1f} %  {_label(node)}", width)


def _bars(root: Node, critical: set[int], width: int) -> Iterator[str]:
    label = min(_WIDEST_LABEL, width // 2 - 2)
    room = width - label - _DURATION - 3
    for node in root.walk():
        name = _short("  " * node.depth + _label(node), label)
        mark = "#" if id(node) in critical else "="
        yield f"{name:{label}} {ms(node.duration_ns):>{_DURATION - 3}} ms |{_bar(root, node, room, mark)}"


def _bar(root: Node, node: Node, room: int, mark: str) -> str:
    whole = max(1, root.duration_ns)
    begin = min(room - 1, max(0, (node.start_ns - root.start_ns) * room // whole))
    length = min(room - begin, max(1, round(node.duration_ns * room / whole)))
    return " " * begin + mark * length


def _label(node: Node) -> str:
    """Who did what, and how it ended."""
    span = node.span
    said = span.attributes
    if span.kind == "CLIENT" and "crm.attempt.kind" in said:
        text = f"{said['crm.attempt.kind']} {said.get('server.address')}:{said.get('server.port')}"
    else:
        text = f"{span.service} {span.name}"
    status = said.get("http.response.status_code")
    if status is not None:
        text += f" {status}"
    if said.get("crm.attempt.counted") is False:
        text += " (not counted)"
    error = said.get("error.type")
    if span.error is not None and str(error) != str(status):
        text += f" ! {error or span.error or 'error'}"
    return _safe(text + (" ~" if node.moved else ""))


def _notes(root: Node, width: int) -> Iterator[str]:
    """Legend, and what was decided on the way."""
    nodes = list(root.walk())
    yield ""
    yield "# is on the critical path, = runs beside it" + (
        ", ~ was placed by its duration" if any(node.moved for node in nodes) else ""
    )
    for node in nodes:
        verdict = node.span.attributes.get("crm.service.terms")
        if verdict in ("missing", "malformed", "overstated"):
            yield _short(f"  {_label(node)}: its terms were {verdict}", width)
    decisions = [
        (event.at_ns - node.span.start_ns + node.start_ns, event)
        for node in nodes
        for event in node.span.events
    ]
    for at_ns, event in sorted(decisions, key=lambda one: one[0]):
        why = ", ".join(str(value) for value in event.attributes.values())
        yield _short(f"  {ms(at_ns - root.start_ns):>10} ms  {_safe(f'{event.name}: {why}')}", width)


def _formulas(root: Node, width: int) -> Iterator[str]:
    hops = [node for node in root.walk() if node.span.kind == "SERVER"]
    yield f"{'response time, ms':>28} = {' + '.join(f'{term:>10}' for term in TERMS)}"
    for node in hops:
        terms = node.terms()
        name = _short(_safe(node.span.service), 16)
        if terms is None:
            yield f"{name:16} {ms(node.duration_ns):>11}   (it says nothing of its terms)"
            continue
        largest = TERMS[terms.index(max(terms))]
        yield f"{name:16} {ms(sum(terms)):>11} = {' + '.join(f'{ms(ns):>10}' for ns in terms)}  {largest}"
        parts = sorted(node.components().items(), key=lambda part: -part[1])
        text = ", ".join(f"{_safe(part)} {ms(ns)}" for part, ns in parts)
        yield from textwrap.wrap(text, width, initial_indent=" " * 4, subsequent_indent=" " * 4)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 2].rstrip() + ".."


def _safe(text: str) -> str:
    """Without what could steer a terminal: names come from whoever wrote the span."""
    return "".join(one if one.isprintable() else "?" for one in text)
