"""A trace as a tree: what called what, what each hop says of its time, and the critical path through it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

TERMS: Final = ("processing", "network", "system")
_DEEPEST: Final = 100
_LATENCY: Final = "crm.latency."
_TOLD: Final = "crm.service."
# What the terms of a span are beside its components.
_NO_COMPONENTS: Final = frozenset({"processing", "network", "system", "total"})
# A service's own components, as its terms header names them, and the term that each belongs to.
_SERVICE_TERMS: Final = {
    "queue": "system",
    "db_wait": "system",
    "db": "processing",
    "processing": "processing",
    "sched": "system",
    "down_processing": "processing",
    "down_network": "network",
    "down_system": "system",
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span, at a time in ns since 1970."""

    name: str
    at_ns: int
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Ids in hexadecimal, `parent_id` empty for a root; times in ns since 1970; `error` None when there was none."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    kind: str
    name: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    error: str | None = None


@dataclass(slots=True)
class Node:
    """A span in its place. `moved`: clocks of different hosts disagreed, and it was put within its parent.

    `told`: no span of a service, but what its terms said of it.
    """

    span: Span
    depth: int = 0
    start_ns: int = 0
    moved: bool = False
    told: bool = False
    children: list["Node"] = field(default_factory=list)

    @property
    def duration_ns(self) -> int:
        """By its own clock."""
        return max(0, self.span.end_ns - self.span.start_ns)

    @property
    def end_ns(self) -> int:
        """Where it ends in its place."""
        return self.start_ns + self.duration_ns

    def walk(self) -> Iterator["Node"]:
        """This one, and all below it in the order of their beginning."""
        yield self
        for child in self.children:
            yield from child.walk()

    def terms(self) -> tuple[int, int, int] | None:
        """Processing, network and system in ns, if the span says them."""
        values = [self.span.attributes.get(f"{_LATENCY}{term}_ns") for term in TERMS]
        if not all(isinstance(value, int) for value in values):
            return None
        processing, network, system = (int(value) for value in values if value is not None)
        return processing, network, system

    def components(self) -> dict[str, int]:
        """What the terms are made of, in ns, as far as it is not 0."""
        found = {
            name.removeprefix(_LATENCY).removesuffix("_ns"): value
            for name, value in self.span.attributes.items()
            if name.startswith(_LATENCY) and name.endswith("_ns") and isinstance(value, int) and value
        }
        return {name: value for name, value in found.items() if name not in _NO_COMPONENTS}


def build(spans: Iterable[Span]) -> list[Node]:
    """The trees of one trace, in the order of their beginning. A span that was stored twice counts once."""
    nodes = {span.span_id: Node(span, start_ns=span.start_ns) for span in spans}
    roots = []
    for node in nodes.values():
        parent = nodes.get(node.span.parent_id)
        if parent is None or not _hangs_together(node, nodes):
            roots.append(node)
        else:
            parent.children.append(node)
    roots.sort(key=lambda node: node.start_ns)
    for root in roots:
        _settle(root, 0)
    return roots


def critical_path(root: Node) -> list[tuple[Node, int]]:
    """Who the caller was waiting for: nodes with the time (ns) that each itself took, which adds up to the root's.

    Going back from the end, it is always whatever ended last; an attempt that lost to another ran beside it.
    """
    took: dict[int, tuple[Node, int]] = {}

    def visit(node: Node, from_ns: int, until_ns: int) -> None:
        """Account for a node between two times."""
        own_ns = 0
        for child in sorted(filter(_counted, node.children), key=lambda one: one.end_ns, reverse=True):
            begin_ns, end_ns = max(child.start_ns, from_ns), min(child.end_ns, until_ns)
            if end_ns > begin_ns:
                visit(child, begin_ns, end_ns)
                own_ns += until_ns - end_ns
                until_ns = begin_ns
        took[id(node)] = node, own_ns + until_ns - from_ns

    visit(root, root.start_ns, root.end_ns)
    return [(node, ns) for node, ns in sorted(took.values(), key=lambda one: one[0].start_ns) if ns]


def _counted(node: Node) -> bool:
    return node.span.attributes.get("crm.attempt.counted") is not False


def _hangs_together(node: Node, nodes: Mapping[str, Node]) -> bool:
    """Whether the way up from a node ends, and soon: spans may name each other in a circle."""
    at = node
    for _ in range(_DEEPEST):
        parent = nodes.get(at.span.parent_id)
        if parent is None:
            return True
        at = parent
    return False


def _settle(node: Node, depth: int) -> None:
    """Put a node's children into their places, and theirs into theirs."""
    node.depth = depth
    if node.span.kind == "CLIENT" and not node.children:
        service = _told_service(node)
        if service is not None:
            node.children.append(service)
    for child in node.children:
        _place(child, node)
    node.children.sort(key=lambda child: child.start_ns)
    for child in node.children:
        _settle(child, depth + 1)


def _place(child: Node, parent: Node) -> None:
    """Durations travel between hosts, points in time do not: what sticks out of its caller is centred in it."""
    shift_ns = parent.start_ns - parent.span.start_ns
    child.start_ns = child.span.start_ns + shift_ns
    elsewhere = child.span.service != parent.span.service
    if elsewhere and not parent.start_ns <= child.start_ns <= child.end_ns <= parent.end_ns:
        child.start_ns = parent.start_ns + max(0, parent.duration_ns - child.duration_ns) // 2
        child.moved = True


def _told_service(client: Node) -> Node | None:
    """The replica of an attempt as its terms describe it, where none of its own spans are at hand."""
    said = client.span.attributes
    parts = {name: said.get(f"{_TOLD}{name}_ns") for name in _SERVICE_TERMS}
    if not all(isinstance(value, int) for value in parts.values()):
        return None
    sums = dict.fromkeys(TERMS, 0)
    for name, term in _SERVICE_TERMS.items():
        sums[term] += int(parts[name] or 0)
    attributes = {f"{_LATENCY}{name}_ns": value for name, value in parts.items() if name != "processing"}
    attributes |= {f"{_LATENCY}own_processing_ns": parts["processing"]}
    attributes |= {f"{_LATENCY}{term}_ns": ns for term, ns in sums.items()}
    total_ns = sum(sums.values())
    # As far as it was believed: a service may claim more than the time that passed.
    lasted_ns = min(total_ns, client.duration_ns)
    start_ns = client.span.start_ns + (client.duration_ns - lasted_ns) // 2
    span = replace(
        client.span,
        span_id="",
        parent_id=client.span.span_id,
        service=str(said.get("crm.upstream.name", "service")),
        kind="SERVER",
        name="as its terms say",
        start_ns=start_ns,
        end_ns=start_ns + lasted_ns,
        attributes=attributes,
        events=(),
        error=None,
    )
    return Node(span, told=True)
