"""Stages: which lists of them make sense, and what a new list means for an old one. Pure decisions.

A stage is a JSON object as the pipeline's row keeps it: `id` (text), `name`, `kind`, `probability`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.problems import FieldError

Stage = dict[str, Any]
MAX_STAGES = 50
DEFAULT_NAME = "Sales"
_DEFAULT_STAGES = (
    ("New", "open", 10),
    ("Qualified", "open", 25),
    ("Proposal", "open", 50),
    ("Negotiation", "open", 75),
    ("Won", "won", 100),
    ("Lost", "lost", 0),
)
_FIXED_PROBABILITY = {"won": 100, "lost": 0}


def default_stage_values() -> tuple[tuple[str, str, int], ...]:
    """The same as `(name, kind, probability)`, for SQL that makes them set-based."""
    return _DEFAULT_STAGES


def default_stages(new_id: Callable[[], UUID]) -> list[Stage]:
    """The stages of the pipeline that a tenant has before it makes its own."""
    return [
        {"id": str(new_id()), "name": name, "kind": kind, "probability": probability}
        for name, kind, probability in _DEFAULT_STAGES
    ]


def stage_faults(stages: Sequence[Mapping[str, Any]], known_ids: Iterable[str]) -> list[FieldError]:
    """What is wrong with a list of stages as a caller wrote it; `known_ids` are those of the pipeline now."""
    faults = [*_repeated(stages, "id", str), *_repeated(stages, "name", str.casefold)]
    known = set(known_ids)
    for position, stage in enumerate(stages):
        if stage["id"] is not None and stage["id"] not in known:
            detail = "The pipeline has no such stage; leave the id out for a new one."
            faults.append(FieldError(f"/stages/{position}/id", "unknown_stage", detail))
        faults += _probability_faults(stage, f"/stages/{position}/probability")
    if not any(stage["kind"] == "open" for stage in stages):
        faults.append(FieldError("/stages", "no_open_stage", "At least one stage must be open."))
    return faults


def settled_stages(
    stages: Sequence[Mapping[str, Any]], before: Sequence[Stage], new_id: Callable[[], UUID]
) -> list[Stage]:
    """The list as it is kept: every stage with an id and a probability. `stages` has no faults.

    A stage without an id that bears the name of a stage of `before` which no other one claims is that stage, so
    that the same list may be sent again.
    """
    claimed = {stage["id"] for stage in stages}
    free = {stage["name"].casefold(): stage["id"] for stage in before if stage["id"] not in claimed}
    return [
        {
            "id": stage["id"] or free.get(stage["name"].casefold()) or str(new_id()),
            "name": stage["name"],
            "kind": stage["kind"],
            "probability": _FIXED_PROBABILITY.get(stage["kind"], stage["probability"]),
        }
        for stage in stages
    ]


def protected_stages(before: Sequence[Stage], after: Sequence[Stage]) -> list[Stage]:
    """The stages of `before` that may go or change their kind only while no deal is in them."""
    kinds = {stage["id"]: stage["kind"] for stage in after}
    return [stage for stage in before if kinds.get(stage["id"]) != stage["kind"]]


def find_stage(stages: Iterable[Stage], stage_id: UUID) -> Stage | None:
    """The stage of this id."""
    return next((stage for stage in stages if stage["id"] == str(stage_id)), None)


def first_open_stage(stages: Iterable[Stage]) -> Stage:
    """Where a deal begins. Every pipeline has one."""
    return next(stage for stage in stages if stage["kind"] == "open")


def _repeated(
    stages: Sequence[Mapping[str, Any]], member: str, fold: Callable[[str], str]
) -> list[FieldError]:
    seen: set[str] = set()
    faults = []
    for position, stage in enumerate(stages):
        if stage[member] is None:
            continue
        value = fold(stage[member])
        if value in seen:
            detail = f"Another stage of the pipeline has this {member}."
            faults.append(FieldError(f"/stages/{position}/{member}", "repeated", detail))
        seen.add(value)
    return faults


def _probability_faults(stage: Mapping[str, Any], pointer: str) -> list[FieldError]:
    given, fixed = stage["probability"], _FIXED_PROBABILITY.get(stage["kind"])
    if fixed is None and given is None:
        return [FieldError(pointer, "missing", "An open stage needs a probability.")]
    if fixed is not None and given not in (None, fixed):
        detail = f"The probability of a {stage['kind']} stage is {fixed}."
        return [FieldError(pointer, "fixed_probability", detail)]
    return []
