"""What the demo's company sells, who sells it, and how: products, sales representatives, the pipeline.

The company itself, Nordwerk, makes scanners and trackers for warehouses and the software that goes with them.
"""

import json
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from deploy.local.demo.batches import Table, columns
from deploy.local.demo.countries import COUNTRIES, REGIONS
from deploy.local.demo.people import name_pool
from deploy.local.demo.timeline import Timeline, founding_id, id_at
from services.sales.pipelines.rules import DEFAULT_NAME, default_stages

PIPELINES = Table("sales", "pipelines", columns("name stages"))
PRODUCTS = Table("sales", "products", columns("name series list_price_amount list_price_currency active"))
SALES_REPS = Table("sales", "sales_reps", columns("name email team manager region"))
COMPANY_DOMAIN = "nordwerk.example"


@dataclass(frozen=True, slots=True)
class Product:
    """`price` in euros; `winning` is the share of its deals that are won, `pieces` how many one deal is about."""

    id: UUID
    name: str
    price: int
    weight: int
    winning: float
    pieces: int
    active: bool


@dataclass(frozen=True, slots=True)
class Rep:
    """`skill` scales the share of deals that they win, `pace` the time that they take."""

    id: UUID
    email: str
    region: str
    skill: float
    pace: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of the pipeline."""

    id: UUID
    name: str
    kind: str


# Name, series, list price in euros, how often it is asked for, how often won, pieces in one deal, still sold.
_PRODUCTS: tuple[tuple[str, str, int, int, float, int, bool], ...] = (
    ("Flow Starter", "Flow", 1_900, 12, 0.58, 1, True),
    ("Flow Business", "Flow", 7_900, 14, 0.49, 1, True),
    ("Flow Enterprise", "Flow", 32_000, 6, 0.36, 1, True),
    ("Flow Classic", "Flow", 5_200, 3, 0.42, 1, False),
    ("Scan Go", "Scan", 650, 15, 0.60, 14, True),
    ("Scan Pro", "Scan", 1_150, 13, 0.55, 12, True),
    ("Scan Dock", "Scan", 240, 5, 0.64, 16, True),
    ("Track Tag", "Track", 38, 9, 0.56, 180, True),
    ("Track Gateway", "Track", 2_400, 7, 0.48, 4, True),
    ("Track Fleet", "Track", 14_500, 5, 0.38, 2, True),
    ("Insight Reports", "Insight", 3_600, 8, 0.52, 1, True),
    ("Insight Forecast", "Insight", 9_800, 4, 0.40, 1, True),
    ("Care Standard", "Care", 1_500, 9, 0.66, 1, True),
    ("Care Premium", "Care", 6_000, 5, 0.54, 1, True),
    ("Onboarding Package", "Care", 4_800, 6, 0.62, 1, True),
)
PRODUCT_NAMES = tuple(product[0] for product in _PRODUCTS)
_REPS_OF_REGION = dict(zip(REGIONS, (8, 4, 6, 4, 4, 3, 2, 3), strict=True))


class Catalogue:
    """All of it, made at once."""

    def __init__(self, tenant_id: UUID, timeline: Timeline, seed: int) -> None:
        self._tenant_id = tenant_id
        self._timeline = timeline
        self._seed = seed
        self._rng = Random(f"{seed} catalogue")  # noqa: S311 (demo data, not secrets)
        self.pipeline_id = founding_id("pipelines", timeline.start)
        kept_stages = default_stages(lambda: id_at(timeline.start, self._rng))
        self.stages = [Stage(UUID(stage["id"]), stage["name"], stage["kind"]) for stage in kept_stages]
        self.pipeline_rows = [
            (*self._record(self.pipeline_id), DEFAULT_NAME, json.dumps(kept_stages)),
        ]
        self.products: list[Product] = []
        self.product_rows: list[tuple[Any, ...]] = []
        self.reps: list[Rep] = []
        self.rep_rows: list[tuple[Any, ...]] = []
        self._make_products()
        for region in REGIONS:
            self._make_team(region)

    def _make_products(self) -> None:
        for name, series, price, weight, winning, pieces, active in _PRODUCTS:
            product = Product(self._id(), name, price, weight, winning, pieces, active)
            self.products.append(product)
            money = Decimal(price).quantize(Decimal("0.01"))
            self.product_rows.append((*self._record(product.id), name, series, money, "EUR", active))

    def _make_team(self, region: str) -> None:
        homes = [country for country in COUNTRIES if country.region == region and country.names != "ja"]
        manager, _ = person(self._rng, homes[0].names, self._seed)
        for _ in range(_REPS_OF_REGION[region]):
            home = self._rng.choice(homes)
            name, email = person(self._rng, home.names, self._seed)
            skill = min(1.35, max(0.6, self._rng.gauss(1, 0.17)))
            rep = Rep(self._id(), email, region, skill, self._rng.uniform(0.8, 1.3))
            self.reps.append(rep)
            self.rep_rows.append((*self._record(rep.id), name, email, region, manager, region))

    def _id(self) -> UUID:
        return id_at(self._timeline.start, self._rng)

    def _record(self, record_id: UUID) -> tuple[Any, ...]:
        start = self._timeline.start
        return (self._tenant_id, record_id, 1, start, start)


def person(rng: Random, names: str, seed: int) -> tuple[str, str]:
    """Name and address of somebody who works at the demo's company."""
    given, family = name_pool(names, seed).pick(rng)
    return f"{given.text} {family.text}", f"{given.latin}.{family.latin}@{COMPANY_DOMAIN}"
