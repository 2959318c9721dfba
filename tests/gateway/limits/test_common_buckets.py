"""The script at a real server, held against its model; and what its buckets are called."""

import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.crc import key_slot

from services.gateway.caching.second.connection import Servers
from services.gateway.limits.common_buckets import SPEND, BucketNames, arguments, read_owed
from services.gateway.limits.reckoning import MOST_AT_ONCE, Spending
from services.gateway.limits.token_bucket import Rate
from tests.gateway.caching.second.servers import Valkey, connected, rule
from tests.gateway.limits.common_model import ModelBuckets

LAG_US = 200_000


@pytest.fixture
async def servers(shared_valkey: Valkey) -> AsyncIterator[Servers]:
    shared_valkey.flush()
    made = Servers(rule(shared_valkey))
    made.start()
    yield await connected(made)
    await made.stop()


async def spend(servers: Servers, names: list[str], spent_us: list[int], lag_us: int = LAG_US) -> list[int]:
    keys = [name.encode() for name in names]
    told = arguments(Spending(names, spent_us, lag_us))
    return read_owed(await servers.ask_script(SPEND, keys, *told), len(keys))


def kept(valkey: Valkey, name: str) -> tuple[float, float]:
    """What is owed of a bucket, and since when."""
    with valkey.client() as client:
        owed, since = struct.unpack("<dd", client.get(name))
    return owed, since


spendings = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcd"), st.integers(10**7, 10**9), min_size=1), st.integers(0, 10**6)
    ),
    max_size=6,
)


@pytest.mark.process
@settings(deadline=None, max_examples=40)
@given(spendings)
async def test_it_does_what_its_model_does(
    shared_valkey: Valkey, several: list[tuple[dict[str, int], int]]
) -> None:
    shared_valkey.flush()
    model = ModelBuckets()
    servers = Servers(rule(shared_valkey))
    servers.start()
    try:
        await connected(servers)
        for spent, lag_us in several:
            names = list(spent)
            owed_ns = await spend(servers, names, list(spent.values()), lag_us)
            states = [kept(shared_valkey, name) for name in names]
            # Within a script no time passes, by its server's clock.
            [now_us] = {since for _, since in states}
            assert [owed for owed, _ in states] == [one / 1000 for one in owed_ns]
            expected = model.spend(names, list(spent.values()), lag_us, int(now_us))
            assert owed_ns == [us * 1000 for us in expected]
    finally:
        await servers.stop()


@pytest.mark.process
async def test_a_bucket_is_forgotten_when_it_is_fuller_than_full(
    servers: Servers, shared_valkey: Valkey
) -> None:
    assert await spend(servers, ["a"], [60_000_000]) == [59_800_000_000]
    with shared_valkey.client() as client:
        assert 59_000 < client.pttl("a") <= 60_000


@pytest.mark.process
async def test_who_spends_nothing_learns_what_is_owed_and_leaves_nothing(
    servers: Servers, shared_valkey: Valkey
) -> None:
    assert await spend(servers, ["a", "b"], [0, 0]) == [-200_000_000] * 2
    assert shared_valkey.keys("*") == []
    await spend(servers, ["a"], [60_000_000])
    [owed_ns] = await spend(servers, ["a"], [0])
    assert 0 < owed_ns < 59_800_000_000


@pytest.mark.process
async def test_time_that_runs_backwards_lets_nothing_grow(servers: Servers, shared_valkey: Valkey) -> None:
    await spend(servers, ["a"], [60_000_000])
    hour_us = 3_600_000_000
    _, since = kept(shared_valkey, "a")
    with shared_valkey.client() as client:
        client.set("a", struct.pack("<dd", 5_000_000, since + hour_us))
    assert await spend(servers, ["a"], [1_000_000]) == [6_000_000_000]
    assert kept(shared_valkey, "a")[1] < since + hour_us / 2  # and from now on it grows again


@pytest.mark.process
async def test_whatever_else_is_there_counts_for_nothing(servers: Servers, shared_valkey: Valkey) -> None:
    with shared_valkey.client() as client:
        client.set("a", "something")
        client.hset("b", "some", "thing")
    assert await spend(servers, ["a", "b"], [1_000_000, 1_000_000]) == [800_000_000] * 2
    assert kept(shared_valkey, "b")[0] == 800_000


@pytest.mark.process
async def test_as_many_as_there_may_be_at_once(servers: Servers) -> None:
    names = [str(number) for number in range(MOST_AT_ONCE)]
    owed_ns = await spend(servers, names, list(range(1, MOST_AT_ONCE + 1)))
    assert owed_ns == [(number - LAG_US) * 1000 for number in range(1, MOST_AT_ONCE + 1)]


@pytest.mark.parametrize("owed", [1e300, float("inf"), float("-inf"), float("nan")])
def test_what_nobody_can_owe_counts_as_nothing(owed: float) -> None:
    assert read_owed(struct.pack("<dd", owed, 2), 2) == [0, 2000]


@pytest.mark.parametrize("answer", [b"", b"\0" * 9, None, 3])
def test_what_is_no_answer_is_told(answer: object) -> None:
    with pytest.raises(ValueError, match="does not tell of 1 buckets"):
        read_owed(answer, 1)


def test_names_tell_callers_and_rates_apart_and_lie_in_one_slot() -> None:
    names = [BucketNames("crm", Rate(burst=burst)).of(caller) for burst in (1, 2) for caller in ("a", "b")]
    assert len(set(names)) == 4
    assert len({key_slot(name) for name in names}) == 1
    address = BucketNames("crm", Rate()).of("address:192.0.2.7")
    assert address.startswith(b"{crm:rates}:2000/4000:")
    assert b"192.0.2.7" not in address
