"""What a deal's stage means for its other fields, and what deals come to. Pure decisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from shared.problems import FieldError


@dataclass(frozen=True)
class Ending:
    """How a deal stands: `status` is open, won or lost, and only one that is not open has ended."""

    status: str
    closed_on: date | None = None
    loss_reason: str | None = None


def settled_ending(wanted: Ending, before: Ending | None, today: date) -> Ending:
    """The ending as it is kept. `wanted` has the new status and what the caller's document says.

    A document carries over what it does not change, so what no longer fits the status and is as it was before goes
    silently; `ending_faults` is about the rest.
    """
    closed_on, loss_reason = wanted.closed_on, wanted.loss_reason
    if before is not None and before.status != wanted.status:
        if wanted.status == "open" and closed_on == before.closed_on:
            closed_on = None
        if wanted.status != "lost" and loss_reason == before.loss_reason:
            loss_reason = None
    if closed_on is None and wanted.status != "open":
        closed_on = before.closed_on if before is not None and before.status != "open" else None
        closed_on = closed_on or today
    return Ending(wanted.status, closed_on, loss_reason)


def ending_faults(ending: Ending, engaged_on: date | None) -> list[FieldError]:
    """What in a settled ending does not fit together."""
    faults = []
    if ending.status == "open" and ending.closed_on is not None:
        faults.append(FieldError("/closed_on", "deal_is_open", "An open deal has no closing date."))
    if ending.status != "lost" and ending.loss_reason is not None:
        faults.append(FieldError("/loss_reason", "deal_is_not_lost", "Only a lost deal has a loss reason."))
    if ending.closed_on is not None and engaged_on is not None and ending.closed_on < engaged_on:
        detail = f"A deal cannot close on {ending.closed_on}, before it was engaged on {engaged_on}."
        faults.append(FieldError("/closed_on", "before_engagement", detail))
    return faults


def next_instant(now: datetime, last: datetime | None) -> datetime:
    """`now`, or just after `last` where the clock says otherwise: a history's order is that of its instants."""
    return now if last is None else max(now, last + timedelta(microseconds=1))


@dataclass(frozen=True)
class DealGroup:
    """The deals of one status and currency: how many, and the sum of their amounts as a decimal text.

    Both `currency` and `amount` are None for the deals without an amount.
    """

    status: str
    currency: str | None
    count: int
    amount: str | None


def summary_of(groups: Iterable[DealGroup]) -> dict[str, Any]:
    """The document of `schemas.DealSummary`. Nothing is computed with the sums: they stay as exact as they came."""
    kinds: dict[str, Any] = {kind: {"count": 0, "amounts": []} for kind in ("open", "won", "lost")}
    for group in groups:
        kind = kinds[group.status]
        kind["count"] += group.count
        if group.currency is not None:
            kind["amounts"].append({"amount": group.amount, "currency": group.currency})
    return {
        "count": sum(kind["count"] for kind in kinds.values()),
        "won_count": kinds["won"]["count"],
        "won_amounts": kinds["won"]["amounts"],
        "by_stage_kind": kinds,
    }
