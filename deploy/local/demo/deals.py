"""The demo's deals, each with the way it took through the pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import exp
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from deploy.local.demo.accounts import Account
from deploy.local.demo.batches import Table, columns
from deploy.local.demo.catalogue import Catalogue, Product, Rep, Stage
from deploy.local.demo.choosing import Grown, Weighted, pick
from deploy.local.demo.contacts import Contact
from deploy.local.demo.timeline import Timeline, id_at
from shared.fields.money import minor_units

DEALS = Table(
    "sales",
    "deals",
    columns(
        "name account_id contact_ids product_id rep_id pipeline_id stage_id status amount_amount amount_currency "
        "engaged_on closed_on loss_reason stage_changed_at"
    ),
)
STAGE_CHANGES = Table(
    "sales",
    "deal_stage_changes",
    columns(
        "changed_at principal deal_id from_pipeline_id from_stage_id from_stage_name from_stage_kind "
        "to_pipeline_id to_stage_id to_stage_name to_stage_kind",
        records=False,
    ),
    records=False,
)
_SHORTEST_DAYS, _USUAL_DAYS, _LONGEST_DAYS = 10, 42, 120
_WITHOUT_ACCOUNT = 0.02
# How much of its whole time a deal has taken when it comes into each open stage.
_PROGRESS = (0.0, 0.18, 0.42, 0.7)
_NAMES = (
    "{account}: {product}",
    "{product} for {account}",
    "{account}: {product} renewal",
    "{account}: more {product}",
)
_NAME_WEIGHTS = (6, 3, 2, 1)
_LOSS_REASONS = ("Price", "Competitor", "No budget", "No decision", "Missing feature", "Timing", "No answer")
_LOSS_WEIGHTS = (26, 20, 16, 14, 10, 8, 6)


@dataclass(frozen=True, slots=True)
class _Step:
    """A stage that the deal came into."""

    stage: Stage
    at: datetime


class Deals:
    """Makes deals and their stage changes; `rows` and `change_rows` grow."""

    def __init__(
        self,
        tenant_id: UUID,
        timeline: Timeline,
        seed: int,
        catalogue: Catalogue,
        accounts: Sequence[Account],
        contacts: Sequence[Contact],
    ) -> None:
        self._tenant_id = tenant_id
        self._timeline = timeline
        self._catalogue = catalogue
        self._rng = Random(f"{seed} deals")  # noqa: S311 (demo data, not secrets)
        self._utc = ZoneInfo("UTC")
        self._accounts = Grown(accounts, [a.weight for a in accounts], lambda account: account.created_at)
        products = catalogue.products
        self._products = Weighted(products, [product.weight for product in products])
        self._open_stages = [stage for stage in catalogue.stages if stage.kind == "open"]
        self._ends = {stage.kind: stage for stage in catalogue.stages if stage.kind != "open"}
        self._teams: dict[str, list[Rep]] = {}
        for rep in catalogue.reps:
            self._teams.setdefault(rep.region, []).append(rep)
        self._people: dict[UUID, list[Contact]] = {}
        for contact in contacts:
            if contact.account is not None:
                self._people.setdefault(contact.account.id, []).append(contact)
        self.rows: list[tuple[Any, ...]] = []
        self.change_rows: list[tuple[Any, ...]] = []

    def make(self, number: int) -> None:
        """So many more."""
        for _ in range(number):
            self._make_one()

    def _make_one(self) -> None:
        rng = self._rng
        created_at = self._timeline.instant(self._utc, rng)
        account = None if rng.random() < _WITHOUT_ACCOUNT else self._accounts.pick(rng, created_at)
        rep = self._rep(account)
        product = self._product(created_at)
        steps = self._way(created_at, account, rep, product)
        last = steps[-1]
        deal_id = id_at(created_at, rng)
        self.change_rows += self._changes(deal_id, steps, rep)
        amount, currency = self._amount(account, product)
        closed = last.stage.kind != "open"
        lost = last.stage.kind == "lost"
        self.rows.append(
            (
                self._tenant_id,
                deal_id,
                len(steps),
                created_at,
                last.at,
                self._name(account, product),
                account.id if account is not None else None,
                self._buyers(account, created_at),
                product.id,
                rep.id,
                self._catalogue.pipeline_id,
                last.stage.id,
                last.stage.kind,
                amount,
                currency,
                created_at.date(),
                last.at.date() if closed else None,
                rng.choices(_LOSS_REASONS, _LOSS_WEIGHTS)[0] if lost else None,
                last.at,
            )
        )

    def _rep(self, account: Account | None) -> Rep:
        """Accounts have one representative, who is sometimes stood in for."""
        if account is None:
            return self._rng.choice(self._catalogue.reps)
        team = self._teams[account.country.region]
        return team[account.id.int % len(team)] if self._rng.random() < 0.85 else self._rng.choice(team)

    def _product(self, at: datetime) -> Product:
        """What is no longer offered was sold until the middle of the year."""
        discontinued = at > self._timeline.start + timedelta(days=180)
        while True:
            product = self._products.pick(self._rng)
            if product.active or not discontinued:
                return product

    def _way(self, created_at: datetime, account: Account | None, rep: Rep, product: Product) -> list[_Step]:
        """As far as the deal has come by now. Larger customers take longer; what will be lost often ends early."""
        rng, now = self._rng, self._timeline.now
        size = account.employees if account is not None else 20
        days = _USUAL_DAYS * rep.pace * (size / 100) ** 0.08 * exp(rng.gauss(0, 0.5))
        days = min(_LONGEST_DAYS - 2.0, max(_SHORTEST_DAYS, days))
        won = rng.random() < min(0.95, product.winning * rep.skill)
        stages = (
            self._open_stages if won else self._open_stages[: rng.choices((1, 2, 3, 4), (18, 30, 32, 20))[0]]
        )
        steps = [_Step(self._open_stages[0], created_at)]
        for stage, share in zip(stages[1:], _PROGRESS[1:], strict=False):
            self._come_into(steps, stage, days * share * rng.uniform(0.85, 1.15))
        self._come_into(steps, self._ends["won" if won else "lost"], days)
        return [step for step in steps if step.at <= now]

    def _come_into(self, steps: list[_Step], stage: Stage, days: float) -> None:
        """So many days after the deal began, and in any case after its last step."""
        at = self._timeline.after(steps[0].at, days * 86_400, self._utc, self._rng)
        steps.append(_Step(stage, max(at, steps[-1].at + timedelta(minutes=20))))

    def _changes(self, deal_id: UUID, steps: list[_Step], rep: Rep) -> list[tuple[Any, ...]]:
        pipeline_id = self._catalogue.pipeline_id
        came_from: tuple[Any, ...] = (None, None, None, None)
        changes = []
        for step in steps:
            entered = (pipeline_id, step.stage.id, step.stage.name, step.stage.kind)
            change_id = id_at(step.at, self._rng)
            changes.append((self._tenant_id, change_id, step.at, rep.email, deal_id, *came_from, *entered))
            came_from = entered
        return changes

    def _amount(self, account: Account | None, product: Product) -> tuple[Decimal, str]:
        """Log-normal around the list price of the usual number of pieces, which grows with the customer."""
        rng = self._rng
        size = account.employees if account is not None else 20
        pieces = max(1, round(product.pieces * (size / 100) ** 0.3 * exp(rng.gauss(0, 0.55))))
        discount = rng.choice((0.0, 0.0, 0.0, 0.05, 0.1, 0.15, 0.2))
        currency, units = (
            ("EUR", 1.0) if account is None else (account.country.currency, account.country.units)
        )
        price = (
            product.price * pieces * (1 - discount) * units * (1 if pieces > 1 else exp(rng.gauss(0, 0.18)))
        )
        step = 10 if price < 10_000 else 100
        return Decimal(f"{round(price / step) * step:.{minor_units(currency)}f}"), currency

    def _name(self, account: Account | None, product: Product) -> str:
        if account is None:
            return f"Enquiry about {product.name}"
        return self._rng.choices(_NAMES, _NAME_WEIGHTS)[0].format(account=account.brand, product=product.name)

    def _buyers(self, account: Account | None, at: datetime) -> list[UUID]:
        if account is None:
            return []
        people = self._people.get(account.id)
        if people is None:
            return []
        asked = (pick(people, self._rng) for _ in range(pick((1, 1, 1, 2, 2, 3), self._rng)))
        return list(dict.fromkeys(person.id for person in asked if person.created_at <= at))
