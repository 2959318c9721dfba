"""The pipeline run dry where its route has a cache."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.gateway.admin.explain import Question
from services.gateway.admin.schemas import Explanation
from tests.gateway.caching.test_cache import answer, ask
from tests.gateway.puppets import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage({"cache": {"visibility": "everyone"}})
    yield stage
    stage.close()


def explained(stage: Stage, headers: dict[str, str] | None = None) -> Explanation:
    told: Any = stage.gateway.explain(Question("/x", host="a", headers=headers or {}))
    return Explanation.model_validate({"worker": 1, **told})


async def test_it_tells_whether_the_answer_would_come_from_the_cache(stage: Stage) -> None:
    before = explained(stage)
    assert before.cache is not None
    assert (before.outcome, before.cache.outcome) == ("forwarded", "miss")
    await ask(stage)
    await answer(stage)
    after = explained(stage)
    assert after.cache is not None
    assert (after.outcome, after.reason) == ("cached", "The stored answer is fresh.")
    assert after.balancing is None
    assert stage.cache.requests["hit"] == 0


async def test_it_tells_of_a_request_that_nobody_is_asked_for(stage: Stage) -> None:
    told = explained(stage, {"Cache-Control": "only-if-cached"})
    assert told.cache is not None
    assert (told.outcome, told.cache.outcome) == ("refused", "unavailable")
    assert told.problem is not None
    assert told.problem["status"] == 504
