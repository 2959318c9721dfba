"""A short, reproducible run of the fuzzer."""

import pytest

from tests.fuzz.gateway import TARGETS, Finding, Mutator, run


@pytest.mark.parametrize(("name", "count"), [("request", 5_000), ("chunks", 5_000), ("answer", 15_000)])
def test_nothing_unexpected_leaves_a_parser(name: str, count: int) -> None:
    made, accepted = run(name, seed=20261121, count=count)
    assert made == count
    assert accepted > count / 10, "mutations that are all refused show little"


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, second = (Mutator([b"abc"], 1) for _ in range(2))
    assert [first.make() for _ in range(100)] == [second.make() for _ in range(100)]


def test_a_finding_names_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(data: bytes) -> bool:
        raise IndexError(len(data))

    monkeypatch.setitem(TARGETS, "request", (fails, [b"abc"]))
    with pytest.raises(Finding, match=r"^request: b"):
        run("request", seed=1, count=1)
