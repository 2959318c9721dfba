"""Filling the demo workspace once, in a process of its own, so that the supervisor stays lean and attentive.

`python -m deploy.local.seeding` finds its order as JSON in the variable KONTOR_SEED and answers with lines
of JSON: `{"done": 100, "total": 55000}` as it goes, or `{"missing": true}` when there is no generator.
"""

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

GENERATOR = "deploy.local.demo"
_ORDER = "KONTOR_SEED"


class Seed(Protocol):
    """What the generator offers as `seed`. Run again after a crash, it must leave one whole workspace."""

    async def __call__(
        self,
        *,
        database_urls: dict[str, str],
        tenant_id: uuid.UUID,
        progress: Callable[[int, int], None],
    ) -> None: ...


def order(
    database_urls: Mapping[str, str], tenant_id: uuid.UUID, *, generator: str = GENERATOR
) -> dict[str, str]:
    """The environment that tells the seeding process what to fill."""
    demand = {"generator": generator, "database_urls": dict(database_urls), "tenant_id": str(tenant_id)}
    return {_ORDER: json.dumps(demand)}


def command() -> list[str]:
    """How to start the seeding process."""
    return [sys.executable, "-m", "deploy.local.seeding"]


def main() -> None:
    """Seed as ordered."""
    demand = json.loads(os.environ[_ORDER])
    if importlib.util.find_spec(demand["generator"]) is None:
        _answer({"missing": True})
        return
    seed = cast("Seed", importlib.import_module(demand["generator"]).seed)
    asyncio.run(
        seed(
            database_urls=demand["database_urls"],
            tenant_id=uuid.UUID(demand["tenant_id"]),
            progress=lambda done, total: _answer({"done": done, "total": total}),
        )
    )


def _answer(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
