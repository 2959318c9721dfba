"""The pure part of the stages: for any list that a caller may send."""

from itertools import count
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.sales.pipelines.rules import (
    default_stages,
    first_open_stage,
    protected_stages,
    settled_stages,
    stage_faults,
)

_KNOWN = [str(UUID(int=number)) for number in range(1, 6)]
_names = st.sampled_from(["New", "new", "NEW", "Talks", "Straße", "STRASSE", "Won", "Lost"])
_stages = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.none() | st.sampled_from([*_KNOWN, str(UUID(int=99))]),
            "name": _names,
            "kind": st.sampled_from(["open", "won", "lost"]),
            "probability": st.none() | st.sampled_from([0, 50, 100]),
        }
    ),
    max_size=6,
)


def _before() -> list[dict[str, Any]]:
    names = ("New", "Talks", "Offer", "Won", "Lost")
    kinds = ("open", "open", "open", "won", "lost")
    return [
        {"id": known, "name": name, "kind": kind, "probability": {"won": 100, "lost": 0}.get(kind, 50)}
        for known, name, kind in zip(_KNOWN, names, kinds, strict=True)
    ]


def _settled(stages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    numbers = count(1000)
    return settled_stages(stages, _before(), lambda: UUID(int=next(numbers)))


@given(_stages)
def test_what_has_no_faults_settles_into_a_sound_list(stages: list[dict[str, Any]]) -> None:
    if stage_faults(stages, _KNOWN):
        return
    settled = _settled(stages)
    assert [stage["name"] for stage in settled] == [stage["name"] for stage in stages]
    assert len({stage["id"] for stage in settled}) == len(settled)
    assert len({stage["name"].casefold() for stage in settled}) == len(settled)
    assert first_open_stage(settled)["kind"] == "open"
    for wanted, stage in zip(stages, settled, strict=True):
        assert wanted["id"] in (None, stage["id"])
        assert stage["probability"] == {"won": 100, "lost": 0}.get(stage["kind"], wanted["probability"])


@given(_stages)
def test_settling_again_changes_nothing(stages: list[dict[str, Any]]) -> None:
    if stage_faults(stages, _KNOWN):
        return
    settled = _settled(stages)
    assert stage_faults(settled, [stage["id"] for stage in settled]) == []
    for again in (settled, [stage | {"id": None} for stage in settled]):
        assert settled_stages(again, settled, lambda: UUID(int=0)) == settled
    assert protected_stages(settled, settled) == []


@given(_stages)
def test_every_fault_points_into_the_list(stages: list[dict[str, Any]]) -> None:
    for fault in stage_faults(stages, _KNOWN):
        _, _, *place = fault.pointer.split("/")
        assert not place or place[1] in stages[int(place[0])]


@given(_stages)
def test_a_stage_is_protected_unless_it_stays_of_its_kind(stages: list[dict[str, Any]]) -> None:
    if stage_faults(stages, _KNOWN):
        return
    kept = {(stage["id"], stage["kind"]) for stage in _settled(stages)}
    protected = {stage["id"] for stage in protected_stages(_before(), _settled(stages))}
    assert protected == {stage["id"] for stage in _before() if (stage["id"], stage["kind"]) not in kept}


def test_the_default_stages_have_no_faults() -> None:
    numbers = count(1)
    made = default_stages(lambda: UUID(int=next(numbers)))
    assert stage_faults(made, [stage["id"] for stage in made]) == []
