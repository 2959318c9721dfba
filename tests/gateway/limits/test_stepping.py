"""Workers that keep in step by way of a real server, and what becomes of them without it."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.gateway.limits.common import CommonLimits
from services.gateway.limits.common_rule import CommonRule
from services.gateway.limits.rate_limiter import RateLimiter
from services.gateway.limits.shared_table import WAYS, SharedTable
from services.gateway.limits.stepping import Stepper
from services.gateway.limits.token_bucket import Rate
from tests.gateway.caching.second.servers import Valkey, rule, until

pytestmark = pytest.mark.process

# Nothing grows while a test runs.
RATE = Rate(per_second=1, burst=100_000)
INTERVAL_NS = 20_000_000
ALONE = "rate limits hold for this gateway alone"
TOGETHER = "rate limits hold for all gateways together"


def common(*servers: Valkey, prefix: str = "kontor", **choices: Any) -> CommonRule:
    return CommonRule(rule(*servers, **choices), prefix, INTERVAL_NS)


@asynccontextmanager
async def gateways(made: CommonRule, count: int) -> AsyncIterator[tuple[list[RateLimiter], list[Stepper]]]:
    """One worker of each, in step."""
    limiters = [RateLimiter(RATE) for _ in range(count)]
    steppers = [Stepper(made, limiter, RATE) for limiter in limiters]
    for stepper in steppers:
        stepper.start()
    try:
        await until_in_step(steppers)
        yield limiters, steppers
    finally:
        for stepper in steppers:
            await stepper.stop()


async def until_in_step(steppers: Sequence[Stepper], wanted: bool = True) -> None:
    await until(lambda: all(stepper.describe()["in_step"] is wanted for stepper in steppers))


def spent(limiter: RateLimiter, caller: str) -> int:
    """How many tokens a gateway believes to be gone, if one more is taken."""
    return RATE.burst - limiter.peek(caller).remaining


def spend(limiter: RateLimiter, caller: str, times: int) -> None:
    for _ in range(times):
        assert limiter.take(caller).allowed


async def until_known(limiters: Sequence[RateLimiter], caller: str, least: int) -> int:
    """Until all of them have heard of so many tokens. Who has not takes one now and then, as one hears of who asks;
    returns how many that were."""
    taken = 0

    def known() -> bool:
        nonlocal taken
        waiting = [limiter for limiter in limiters if spent(limiter, caller) <= least]
        for limiter in waiting:
            spend(limiter, caller, 1)
        taken += len(waiting)
        return not waiting

    await until(known)
    return taken


async def test_what_was_spent_at_one_gateway_is_known_at_others(shared_valkey: Valkey) -> None:
    shared_valkey.flush()
    async with gateways(common(shared_valkey), 3) as (limiters, _):
        for number, limiter in enumerate(limiters):
            spend(limiter, "a", 1_000 * (number + 1))
        spend(limiters[0], "b", 5)
        more = await until_known(limiters, "a", 6_000)
        assert max(spent(limiter, "a") for limiter in limiters) <= 6_000 + more + 1
        assert [spent(limiter, "b") for limiter in limiters] == [6, 1, 1]


async def test_over_a_cluster(valkey_cluster: list[Valkey]) -> None:
    async with gateways(common(*valkey_cluster, cluster=True, prefix="one"), 2) as (limiters, _):
        spend(limiters[0], "a", 500)
        await until_known(limiters, "a", 500)


async def test_who_has_another_prefix_or_rate_is_another_group(shared_valkey: Valkey) -> None:
    shared_valkey.flush()
    async with (
        gateways(common(shared_valkey), 1) as ([one], [stepper]),
        gateways(common(shared_valkey, prefix="crm"), 1) as ([other], [elsewhere]),
    ):
        spend(one, "a", 500)
        spend(other, "a", 1)
        await until(lambda: all(each.counts["answered"] for each in (stepper, elsewhere)))
        assert spent(other, "a") == 2
        stepper.go_on_with(another := RateLimiter(Rate(1, 50)), Rate(1, 50))
        spend(another, "a", 1)
        await until(lambda: stepper.counts["answered"] == 2)
        assert another.peek("a").remaining == 48
    assert len(shared_valkey.keys("{kontor:rates}:1/100000:*")) == 1
    assert len(shared_valkey.keys("{kontor:rates}:1/50:*")) == 1
    assert len(shared_valkey.keys("{crm:rates}:*")) == 1


async def kill(valkey: Valkey) -> None:
    valkey.kill()


async def hang(valkey: Valkey) -> None:
    valkey.pause()


@pytest.mark.parametrize("trouble", [kill, hang])
async def test_without_a_server_each_is_alone_says_so_once_and_they_find_together_again(
    valkey: Valkey, caplog: pytest.LogCaptureFixture, trouble: Any
) -> None:
    caplog.set_level(logging.INFO, "kontor.gateway.limits")
    async with gateways(common(valkey, timeout_s=0.2), 2) as (limiters, steppers):
        spend(limiters[0], "a", 100)
        await until_known(limiters, "a", 100)
        await trouble(valkey)
        for limiter in limiters:
            spend(limiter, "a", 1_000)
        await until_in_step(steppers, wanted=False)
        for limiter in limiters:
            spend(limiter, "b", 1_000)
        await until(lambda: all(stepper.counts["forgotten"] for stepper in steppers))
        assert max(spent(limiter, "b") for limiter in limiters) == 1_001
        if trouble is kill:
            valkey.start()
        else:
            valkey.go_on()
        await until_in_step(steppers)
        spend(limiters[0], "b", 2_000)
        more = await until_known(limiters, "b", 2_000)
        # What others have spent while they were alone is never claimed.
        assert spent(limiters[1], "b") <= 3_000 + more + 1
        assert [stepper.counts["losses"] for stepper in steppers] == [1, 1]
        said = [record.message.partition(":")[0] for record in caplog.records if "limits" in record.name]
        assert sorted(said) == sorted([TOGETHER, ALONE, TOGETHER] * 2)


async def test_after_a_flush_they_go_on(valkey: Valkey) -> None:
    async with gateways(common(valkey), 2) as (limiters, steppers):
        spend(limiters[0], "a", 100)
        await until_known(limiters, "a", 100)
        valkey.flush()
        spend(limiters[1], "a", 500)
        await until_known(limiters, "a", 500)
        assert [stepper.counts["losses"] for stepper in steppers] == [0, 0]


async def test_whose_script_was_flushed_sends_it_again(valkey: Valkey) -> None:
    async with gateways(common(valkey), 2) as (limiters, steppers):
        with valkey.client() as client:
            client.script_flush()
        for limiter in limiters:
            spend(limiter, "a", 1)
        await until(lambda: all(stepper.counts["losses"] for stepper in steppers))
        await until_in_step(steppers)
        spend(limiters[0], "a", 500)
        await until_known(limiters, "a", 500)


async def test_who_may_not_is_alone_and_told_why_once_until_he_may(
    valkey: Valkey, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with valkey.client() as client:
        rights, keys = ["+info", "+time", "+client"], ["{kontor:rates}*"]
        client.acl_setuser("limits", enabled=True, passwords=["+secret"], commands=rights, keys=keys)
    (tmp_path / "password").write_text("secret\n")
    made = common(valkey, username="limits", password_file=tmp_path / "password")
    stepper = Stepper(made, limiter := RateLimiter(RATE), RATE)
    stepper.start()
    try:
        spend(limiter, "a", 3)
        await until(lambda: stepper.servers.failures["refused"] >= 3)
        told = [record.message for record in caplog.records if record.name == "kontor.gateway.limits"]
        assert len(told) == 1
        assert told[0].startswith(ALONE)
        assert "permission" in told[0]
        assert not stepper.describe()["in_step"]
        with valkey.client() as client:
            client.execute_command("ACL", "SETUSER", "limits", "+eval", "+evalsha", "+mget", "+set")
        await until_in_step([stepper])
        spend(limiter, "a", 3)
        await until(lambda: stepper.counts["answered"] == 1)
    finally:
        await stepper.stop()


async def test_an_answer_that_comes_after_a_reload_is_nobodys(valkey: Valkey) -> None:
    table = SharedTable.private(WAYS)
    stepper = Stepper(common(valkey, timeout_s=5.0), before := RateLimiter(RATE, table), RATE)
    stepper.start()
    try:
        await until_in_step([stepper])
        spend(before, "a", 1)
        await until(lambda: stepper.counts["answered"] == 1)
        valkey.pause()
        spend(before, "a", 1)
        await until(lambda: stepper.counts["sent"] == 2)
        stepper.go_on_with(after := RateLimiter(RATE, table), RATE)
        spend(after, "a", 10)
        valkey.go_on()
        await until(lambda: stepper.counts["answered"] >= 3)
        assert spent(after, "a") == 13
    finally:
        await stepper.stop()


def stored(valkey: Valkey, prefix: str) -> bool:
    return len(valkey.keys("{" + prefix + ":rates}*")) == 1


async def test_a_document_takes_it_up_changes_it_and_lets_it_go(shared_valkey: Valkey) -> None:
    limits = CommonLimits()
    limits.configure(None, RateLimiter(RATE), RATE)
    limits.start()
    assert limits.describe() is None

    def in_step() -> bool:
        told = limits.describe()
        return told is not None and told["in_step"]

    for prefix in ("one", "two"):
        limits.configure(common(shared_valkey, prefix=prefix), limiter := RateLimiter(RATE), RATE)
        await until(in_step)
        spend(limiter, "a", 1)
        await until(partial(stored, shared_valkey, prefix))
    limits.configure(common(shared_valkey, prefix="two"), RateLimiter(RATE), RATE)
    assert in_step()  # as it was
    limits.configure(common(shared_valkey), None, RATE)
    assert limits.describe() is None
    await limits.stop()
