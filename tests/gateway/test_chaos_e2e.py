"""Under steady load everything that can happen to replicas happens to them, and no caller notices."""

from pathlib import Path

import pytest

from tests.gateway.chaos.drill import drill, prepared

pytestmark = pytest.mark.process


async def test_no_idempotent_request_fails_and_no_post_is_executed_twice(tmp_path: Path) -> None:
    async with prepared(tmp_path, rate=200, seed=1, workers=2) as (fleet, gateway, traffic):
        report = await drill(fleet, gateway, traffic, seconds=0.8)
    assert report.complaints() == []
    assert report.ledger["workers"] == [1, 2]
    assert min(one["account"]["requests"] for one in report.upstream["workers"].values()) > 0
    # The replicas' troubles did reach the gateway: it kept them from the callers.
    outcomes = report.account["outcomes"]
    assert outcomes["refused"] + outcomes["broken"] > 0
    assert outcomes["hedge_loser"] + outcomes["timed_out"] > 0
    assert outcomes["server_error"] > 0
    assert outcomes["cut_short"] > 0
