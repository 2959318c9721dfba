"""A trace's tree, what is placed where, and the critical path through it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cli.trace_tree import Node, Span, build, critical_path

TOLD = ("queue", "db_wait", "db", "processing", "sched", "down_processing", "down_network", "down_system")


def span(
    span_id: str, parent: str, start: int, end: int, *, service: str = "gateway", **attributes: Any
) -> Span:
    kind = attributes.pop("kind", "SERVER")
    said = {name.replace("__", "."): value for name, value in attributes.items()}
    return Span("7" * 32, span_id, parent, service, kind, span_id, start, end, said)


def names(root: Node) -> list[tuple[str, int]]:
    return [(node.span.span_id, node.depth) for node in root.walk()]


def path(root: Node) -> dict[str, int]:
    return {node.span.span_id: ns for node, ns in critical_path(root)}


def test_children_in_the_order_of_their_beginning() -> None:
    (root,) = build(
        [span("c", "a", 50, 60), span("a", "outside", 0, 100), span("b", "a", 10, 40), span("d", "b", 20, 30)]
    )
    assert names(root) == [("a", 0), ("b", 1), ("d", 2), ("c", 1)]
    assert path(root) == {"a": 60, "b": 20, "d": 10, "c": 10}


def test_several_requests_of_a_trace_are_several_trees() -> None:
    roots = build([span("b", "outside", 50, 60), span("a", "", 0, 10)])
    assert [root.span.span_id for root in roots] == ["a", "b"]


def test_whatever_ends_last_is_what_is_waited_for() -> None:
    (root,) = build(
        [span("a", "", 0, 100), span("b", "a", 10, 80), span("c", "a", 20, 90), span("d", "a", 5, 15)]
    )
    assert path(root) == {"a": 5 + 10, "d": 5, "b": 10, "c": 70}


def test_an_attempt_that_lost_is_not_waited_for() -> None:
    lost = span("b", "a", 10, 90, crm__attempt__counted=False)
    won = span("c", "a", 50, 90, crm__attempt__counted=True)
    (root,) = build([span("a", "", 0, 100), lost, won])
    assert path(root) == {"a": 60, "c": 40}


def test_clocks_of_other_hosts_are_not_believed() -> None:
    client = span("b", "a", 1_000, 1_100, kind="CLIENT")
    server = span("c", "b", 77_000, 77_040, service="customers")
    statement = span("d", "c", 77_010, 77_020, service="customers", kind="CLIENT")
    (root,) = build([span("a", "", 990, 1_200), client, server, statement])
    placed = {node.span.span_id: (node.start_ns, node.end_ns, node.moved) for node in root.walk()}
    assert placed["c"] == (1_030, 1_070, True)
    assert placed["d"] == (1_040, 1_050, False)
    (root,) = build([span("a", "", 990, 1_200), client, span("c", "b", 1_001, 1_041, service="customers")])
    assert placed["b"] == (1_000, 1_100, False)
    assert next(node for node in root.walk() if node.span.span_id == "c").start_ns == 1_001


def test_a_service_without_spans_is_shown_by_its_terms() -> None:
    said: dict[str, Any] = {f"crm__service__{name}_ns": 1 for name in TOLD}
    said |= {"crm__service__db_ns": 40, "crm__upstream__name": "customers"}
    client = span("b", "a", 100, 200, kind="CLIENT", **said)
    (root,) = build([span("a", "", 0, 300), client])
    told = [node for node in root.walk() if node.told]
    assert [(node.span.service, node.span.kind, node.duration_ns) for node in told] == [
        ("customers", "SERVER", 47)
    ]
    assert told[0].terms() == (42, 1, 4)
    assert told[0].components() == {
        **{name: 1 for name in TOLD if name not in ("db", "processing")},
        "db": 40,
        "own_processing": 1,
    }
    assert (told[0].start_ns, told[0].end_ns) == (126, 173)
    # With a span of its own there is nothing to make up.
    (root,) = build([span("a", "", 0, 300), client, span("c", "b", 110, 120, service="customers")])
    assert not any(node.told for node in root.walk())


def test_a_service_that_claims_too_much_is_no_longer_than_its_attempt() -> None:
    said: dict[str, Any] = {f"crm__service__{name}_ns": 1_000 for name in TOLD}
    (root,) = build([span("a", "", 0, 300, kind="CLIENT", **said)])
    (told,) = root.children
    assert (told.start_ns, told.end_ns) == (0, 300)


def test_terms_of_other_kinds_are_not_taken() -> None:
    (root,) = build([span("a", "", 0, 10, crm__latency__processing_ns="much")])
    assert root.terms() is None
    assert root.components() == {}


SPANS = st.lists(
    st.tuples(st.integers(0, 12), st.integers(-1, 12), st.integers(0, 1_000), st.integers(0, 1_000)),
    max_size=13,
)


@given(SPANS)
def test_any_spans(found: list[tuple[int, int, int, int]]) -> None:
    """Circles, orphans, spans that end before they begin: each is shown once, and each path adds up."""
    roots = build([span(str(number), str(parent), start, end) for number, parent, start, end in found])
    shown = [node.span.span_id for root in roots for node in root.walk()]
    assert sorted(shown) == sorted({str(number) for number, *_ in found})
    for root in roots:
        took = critical_path(root)
        assert sum(ns for _, ns in took) == root.duration_ns
        assert all(ns > 0 for _, ns in took)


def test_a_very_long_chain() -> None:
    chain = [span(str(number), str(number - 1), number, 20_000 - number) for number in range(1, 5_000)]
    roots = build(chain)
    assert sum(1 for root in roots for _ in root.walk()) == len(chain)
