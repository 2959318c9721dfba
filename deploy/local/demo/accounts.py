"""The demo's accounts: organisations of several countries, sectors and sizes, some of them daughters of others."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import exp
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from deploy.local.demo.batches import Table, columns
from deploy.local.demo.companies import CompanyNames
from deploy.local.demo.countries import COUNTRIES, City, Country
from deploy.local.demo.sectors import SECTORS, Sector
from deploy.local.demo.timeline import Timeline, founding_id, id_at

ACCOUNTS = Table(
    "customers",
    "accounts",
    columns(
        "name domain sector year_established employees annual_revenue_amount annual_revenue_currency "
        "country city parent_id description"
    ),
)
_HERE_FROM_THE_START = 0.45
_SUBSIDIARIES = 0.07
_PARENT_SIZE = 400
_LARGEST = 60_000


@dataclass(frozen=True, slots=True)
class Account:
    """What the other generators know of an account. `weight` is how much business there is with it."""

    id: UUID
    created_at: datetime
    name: str
    brand: str
    domain: str
    sector: Sector
    country: Country
    city: City
    zone: ZoneInfo
    employees: int
    weight: float


class Accounts:
    """Makes accounts in the order of their creation; `made` and `rows` grow together."""

    def __init__(self, tenant_id: UUID, timeline: Timeline, seed: int) -> None:
        self._tenant_id = tenant_id
        self._timeline = timeline
        self._rng = Random(f"{seed} accounts")  # noqa: S311 (demo data, not secrets)
        self._names = CompanyNames(seed, self._rng)
        self._zones = {city.zone: ZoneInfo(city.zone) for country in COUNTRIES for city in country.cities}
        self._weights = [country.weight for country in COUNTRIES]
        self._sector_weights = [sector.weight for sector in SECTORS]
        self._parents: list[Account] = []
        self.made: list[Account] = []
        self.rows: list[tuple[Any, ...]] = []

    def make(self, number: int) -> None:
        """So many; the first one is the table's founding record."""
        for created_at in self._instants(number):
            self._make_one(created_at)

    def _instants(self, number: int) -> list[datetime]:
        """Many were brought along when the workspace was set up; the others came in the course of the year."""
        start, rng = self._timeline.start, self._rng
        zone = ZoneInfo("UTC")
        instants = [
            start + timedelta(hours=1 + rng.random() * 72)
            if rng.random() < _HERE_FROM_THE_START
            else self._timeline.instant(zone, rng)
            for _ in range(number - 1)
        ]
        return [start, *sorted(instants)]

    def _make_one(self, created_at: datetime) -> None:
        rng = self._rng
        country = rng.choices(COUNTRIES, self._weights)[0]
        city = rng.choices(country.cities, [city.weight for city in country.cities])[0]
        parent = rng.choice(self._parents) if self._parents and rng.random() < _SUBSIDIARIES else None
        if parent is None:
            sector = rng.choices(SECTORS, self._sector_weights)[0]
            brand, name, domain = self._names.invent(country, city, sector)
            employees = min(_LARGEST, max(1, round(sector.size * exp(rng.gauss(0, 1.35)))))
        else:
            sector, brand = parent.sector, parent.brand
            name, domain = self._names.subsidiary(brand, parent.domain, country, city)
            employees = max(5, round(parent.employees * rng.uniform(0.03, 0.35)))
        account = Account(
            id_at(created_at, rng) if self.made else founding_id("accounts", created_at),
            created_at,
            name,
            brand,
            domain,
            sector,
            country,
            city,
            self._zones[city.zone],
            employees,
            # A few customers bring much of the business, and larger ones more of it.
            employees**0.35 * exp(rng.gauss(0, 0.8)),
        )
        if parent is None and employees >= _PARENT_SIZE:
            self._parents.append(account)
        self.made.append(account)
        self.rows.append(self._row(account, parent))

    def _row(self, account: Account, parent: Account | None) -> tuple[Any, ...]:
        rng, country = self._rng, account.country
        revenue = None
        if rng.random() < 0.9:
            per_head = account.sector.turnover * exp(rng.gauss(0, 0.4)) * country.units
            revenue = Decimal(_three_digits(account.employees * per_head))
            if country.currency != "JPY":
                revenue = revenue.quantize(Decimal("0.01"))
        age = int(6 + 110 * rng.random() ** 2.2)
        return (
            self._tenant_id,
            account.id,
            1,
            account.created_at,
            account.created_at,
            account.name,
            account.domain if rng.random() < 0.96 else None,
            account.sector.name,
            self._timeline.now.year - age if rng.random() < 0.93 else None,
            account.employees,
            revenue,
            country.currency if revenue is not None else None,
            country.name,
            account.city.name,
            parent.id if parent is not None else None,
            _description(account, parent) if rng.random() < 0.3 else None,
        )


def _description(account: Account, parent: Account | None) -> str:
    where = f"{account.city.name}, {account.country.name}"
    if parent is not None:
        return f"Subsidiary of {parent.name} in {where}."
    size = "Small" if account.employees < 50 else "Mid-sized" if account.employees < 500 else "Large"
    return f"{size} customer in {account.sector.name.lower()}, based in {where}."


def _three_digits(value: float) -> int:
    step: int = 10 ** max(0, len(str(int(value))) - 3)
    return round(value / step) * step
