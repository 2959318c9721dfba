"""Following a feed: what is stamped, and when all is known that matters."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from time import perf_counter_ns
from uuid import UUID

import pytest

from services.gateway.caching import following as following_module
from services.gateway.caching.following import SILENCE_S, STABLE_S, Feed, FeedError, Follower, ReconnectDelay
from services.gateway.caching.stamps import Stamps, scope_of
from shared.events.access import may_follow
from shared.identity import IDENTITY_HEADER
from shared.identity.signer import IdentitySigner
from shared.identity.verifier import IdentityVerifier
from shared.testing.services import Keys
from tests.gateway.caching.feeds import TENANT, FakeFeed, change, feeding, frame, heartbeat, start

SILENCE_NS = round(SILENCE_S * 1e9)
CONTACT = ("contacts/1", "contacts/*")
OTHER_TENANT = UUID(int=2)


class Told:
    """What was stamped."""

    def __init__(self) -> None:
        self.stamped: list[tuple[bytes, tuple[bytes, ...], int]] = []
        self.scopes: list[tuple[bytes, int]] = []

    def stamp(self, scope: bytes, tags: Iterable[bytes], now_ns: int) -> None:
        self.stamped.append((scope, tuple(tags), now_ns))

    def stamp_scope(self, scope: bytes, now_ns: int) -> None:
        self.scopes.append((scope, now_ns))


class Reader:
    """A feed to which whole frames are given."""

    def __init__(self) -> None:
        self.told = Told()
        self.feed = Feed("customers", self.told)
        self._last_id = ""

    def take(self, one: bytes, now_ns: int) -> None:
        fields = dict(line.split(": ", 1) for line in one.decode().strip().split("\n"))
        self._last_id = fields.get("id", self._last_id)
        self.feed.take(fields["event"], self._last_id, fields["data"], now_ns)

    def lose(self) -> None:
        self.feed.lost()
        self._last_id = ""


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_at_first_everything_is_suspect_and_from_then_on_all_is_told(reader: Reader) -> None:
    assert reader.feed.current_until_ns == 0
    reader.take(start("10.0"), 1_000)
    assert reader.told.scopes == [(b"customers", 1_000)]
    assert reader.feed.current_until_ns == 1_000 + SILENCE_NS
    assert reader.feed.cursor == "7@10.0"


def test_a_change_stamps_its_tags_in_its_tenant(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.take(change("10.1", *CONTACT), 2_000)
    reader.take(change("10.2", "accounts", tenant=OTHER_TENANT), 3_000)
    assert reader.told.stamped == [
        (scope_of("customers", TENANT), (b"contacts/1", b"contacts/*"), 2_000),
        (scope_of("customers", OTHER_TENANT), (b"accounts",), 3_000),
    ]
    assert reader.feed.cursor == "7@10.2"
    assert reader.feed.current_until_ns == 1_000 + SILENCE_NS  # which only heartbeats put off


def test_heartbeats_keep_it_current(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.take(heartbeat("12.0"), 5_000)
    assert reader.feed.current_until_ns == 5_000 + SILENCE_NS


def test_a_loss_ends_it_at_once(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.lose()
    assert (reader.feed.current_until_ns, reader.feed.cursor) == (0, "7@10.0")


def test_who_goes_on_is_current_when_all_was_told_that_was_missed(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.lose()
    for number, one in enumerate((start("10.0"), change("10.1", *CONTACT), heartbeat("10.1"))):
        reader.take(one, 2_000 + number)
        assert reader.feed.current_until_ns == 0
    reader.take(heartbeat("14.0"), 3_000)
    assert reader.feed.current_until_ns == 3_000 + SILENCE_NS
    assert reader.told.scopes == [(b"customers", 1_000)]
    assert len(reader.told.stamped) == 1


@pytest.mark.parametrize("forgotten", [True, False])
def test_where_it_cannot_go_on_everything_is_suspect_again(reader: Reader, forgotten: bool) -> None:
    reader.take(start("10.0"), 1_000)
    reader.lose()
    if forgotten:
        reader.feed.forget()
    reader.take(start("3.0", reset=not forgotten), 2_000)
    assert reader.told.scopes == [(b"customers", 1_000), (b"customers", 2_000)]
    assert reader.feed.current_until_ns == 2_000 + SILENCE_NS
    assert reader.feed.resets == 2


def test_who_falls_behind_is_not_current_until_the_end_is_reached(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.take(heartbeat("10.200"), 2_000)
    assert reader.feed.current_until_ns == 0
    reader.take(heartbeat("11.0"), 3_000)
    assert reader.feed.current_until_ns == 3_000 + SILENCE_NS


def test_what_waits_for_an_older_transaction_must_have_been_told_early(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.take(change("12.5", *CONTACT, early=True), 1_100)
    reader.take(change("13.6", "accounts", early=True), 1_200)
    assert [tags for _, tags, _ in reader.told.stamped] == [(b"contacts/1", b"contacts/*"), (b"accounts",)]
    assert reader.feed.cursor == "7@10.0"  # it is not what to go on from
    reader.take(heartbeat("11.0", held=2), 2_000)
    assert reader.feed.current_until_ns == 2_000 + SILENCE_NS
    reader.take(heartbeat("11.0", held=3), 3_000)
    assert reader.feed.current_until_ns == 0
    # Transaction 12 has had its turn: what was told of it early does not count for the others.
    reader.take(heartbeat("13.0", held=2), 4_000)
    assert reader.feed.current_until_ns == 0
    reader.take(heartbeat("13.0", held=1), 5_000)
    assert reader.feed.current_until_ns == 5_000 + SILENCE_NS


def test_of_what_was_told_early_a_bounded_number_is_remembered(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "_MOST_EARLY", 3)
    reader.take(start("10.0"), 1_000)
    for transaction in range(20, 24):
        reader.take(change(f"{transaction}.1", "accounts", early=True), 1_000)
    reader.take(heartbeat("11.0", held=4), 2_000)
    assert reader.feed.current_until_ns == 0


def test_what_it_does_not_know_it_passes_over(reader: Reader) -> None:
    reader.take(start("10.0"), 1_000)
    reader.take(frame("weather", {"sunny": True}), 2_000)
    assert (reader.feed.cursor, reader.told.stamped) == ("7@10.0", [])


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("start", "{"),
        ("start", "[]"),
        ("start", "{}"),
        ("change", "null"),
        ("change", json.dumps({"position": "11.1", "tenant_id": str(TENANT), "tags": "contacts"})),
        ("change", json.dumps({"position": "11.1", "tenant_id": str(TENANT), "tags": [1]})),
        ("change", json.dumps({"position": "11.1", "tenant_id": str(TENANT), "tags": ["ü"]})),
        ("change", json.dumps({"position": "11.1", "tenant_id": "mine", "tags": []})),
        ("change", json.dumps({"position": 11, "tenant_id": str(TENANT), "tags": []})),
        ("change", json.dumps({"position": "late", "tenant_id": str(TENANT), "tags": []})),
        ("heartbeat", json.dumps({"position": "11.0"})),
        ("heartbeat", json.dumps({"position": "now", "held": 0})),
        ("heartbeat", json.dumps({"position": "11.0", "held": None})),
    ],
)
def test_what_cannot_be_understood_is_not_passed_over(reader: Reader, event: str, data: str) -> None:
    reader.take(start("10.0"), 1_000)
    with pytest.raises(FeedError, match=event):
        reader.feed.take(event, "7@11.0", data, 2_000)
    assert reader.feed.cursor == "7@10.0"


def test_a_heartbeat_without_a_start_proves_nothing(reader: Reader) -> None:
    with pytest.raises(FeedError):
        reader.take(heartbeat("10.0"), 1_000)
    assert reader.feed.current_until_ns == 0


def test_attempts_come_less_often_and_never_together() -> None:
    delay = ReconnectDelay(lambda: 1.0)
    assert [delay.after(0.0) for _ in range(9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0]
    assert delay.after(STABLE_S) == 0.05
    assert delay.after(0.0) == 0.1
    assert ReconnectDelay(lambda: 0.0).after(0.0) == 0.025


# The follower, over a connection


@pytest.fixture
def stamps() -> Iterator[Stamps]:
    made = Stamps.private()
    yield made
    made.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.make(tmp_path_factory.mktemp("keys"))


Follow = Callable[..., Follower]


@pytest.fixture
async def follow(stamps: Stamps, keys: Keys) -> AsyncIterator[Follow]:
    async with AsyncExitStack() as stack:

        def begin(*replicas: str, draw: float = 0.0) -> Follower:
            signer = IdentitySigner(keys.private_pem)
            follower = Follower("customers", "crm", lambda: replicas, signer, stamps, lambda: draw)
            stack.push_async_callback(follower.stop)
            follower.start()
            return follower

        yield begin


@pytest.fixture
async def feed() -> AsyncIterator[FakeFeed]:
    async with feeding() as feed:
        yield feed


@pytest.fixture
async def other_feed() -> AsyncIterator[FakeFeed]:
    async with feeding() as feed:
        yield feed


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


def is_current(follower: Follower) -> bool:
    return follower.current(perf_counter_ns())


def changed(stamps: Stamps, since_ns: int, *tags: bytes) -> bool:
    return stamps.changed_since(stamps.slots(scope_of("customers", TENANT), tags), since_ns)


async def test_it_asks_as_the_gateway_itself(follow: Follow, feed: FakeFeed, keys: Keys) -> None:
    follow(feed.address)
    asked = await feed.asked()
    assert asked.request_line == "GET /internal/changes?early=true HTTP/1.1"
    assert asked.headers["accept"] == "text/event-stream"
    assert "last-event-id" not in asked.headers
    token = asked.headers[IDENTITY_HEADER.lower()]
    assert may_follow(IdentityVerifier(keys.public_file.read_bytes(), "crm").verify(token))


async def test_what_is_told_is_stamped(follow: Follow, feed: FakeFeed, stamps: Stamps) -> None:
    before_ns = perf_counter_ns()
    follower = follow(feed.address)
    assert not is_current(follower)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    await until(lambda: is_current(follower))
    assert changed(stamps, before_ns)
    after_ns = perf_counter_ns()
    assert not changed(stamps, after_ns, b"contacts/1")
    await asked.tell(change("10.1", *CONTACT))
    await until(lambda: changed(stamps, after_ns, b"contacts/1"))
    assert not changed(stamps, after_ns, b"accounts")


async def test_frames_may_come_in_pieces_and_many_at_once(
    follow: Follow, feed: FakeFeed, stamps: Stamps
) -> None:
    follower = follow(feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    await until(lambda: is_current(follower))
    since_ns = perf_counter_ns()
    written = b"".join(change(f"11.{n}", f"contacts/{n}") for n in range(1, 301)) + heartbeat("12.0")
    for begin in range(0, len(written), 1_001):
        await asked.tell(written[begin : begin + 1_001])
    await until(lambda: follower.describe(0)["position"] == "7@12.0")
    assert all(changed(stamps, since_ns, b"contacts/%d" % n) for n in range(1, 301))
    assert follower.describe(perf_counter_ns()) == {
        "current": True,
        "replica": feed.address,
        "position": "7@12.0",
        "changes": 300,
        "resets": 1,
        "losses": 0,
    }


@pytest.mark.parametrize("how", ["killed", "ended"])
async def test_after_a_loss_another_replica_tells_what_was_missed(
    follow: Follow, feed: FakeFeed, other_feed: FakeFeed, stamps: Stamps, how: str
) -> None:
    follower = follow(feed.address, other_feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"), heartbeat("10.0"), change("10.1", "accounts"))
    await until(lambda: is_current(follower) and follower.describe(0)["changes"] == 1)
    since_ns = perf_counter_ns()
    if how == "killed":
        asked.break_off()
    else:
        await asked.end()
    again = await other_feed.asked()
    assert not is_current(follower)
    assert again.headers["last-event-id"] == "7@10.1"
    await again.begin()
    await again.tell(start("10.1"), change("11.2", *CONTACT))
    await until(lambda: changed(stamps, since_ns, b"contacts/1"))
    assert not is_current(follower)
    await again.tell(heartbeat("12.0"))
    await until(lambda: is_current(follower))
    assert not changed(stamps, since_ns, b"accounts/1")


async def test_who_is_silent_is_left(
    follow: Follow, feed: FakeFeed, other_feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "SILENCE_S", 0.2)
    follower = follow(feed.address, other_feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    await other_feed.asked()
    await feed.left()
    assert not is_current(follower)


async def test_who_does_not_answer_is_left(
    follow: Follow, feed: FakeFeed, other_feed: FakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following_module, "_CONNECT_S", 0.1)
    follow(feed.address, other_feed.address)
    await feed.asked()
    await other_feed.asked()


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        (503, "application/problem+json"),
        (403, "application/problem+json"),
        (200, "text/html"),
        (302, "text/html"),
    ],
)
async def test_who_has_no_feed_is_told_once_and_asked_again(
    follow: Follow, feed: FakeFeed, caplog: pytest.LogCaptureFixture, status: int, content_type: str
) -> None:
    with caplog.at_level(logging.INFO):
        follower = follow(feed.address)
        for _ in range(3):
            asked = await feed.asked()
            await asked.begin(status, content_type)
            await asked.tell(b"{}")
            await asked.end()
        last = await feed.asked()
        assert len(caplog.records) == 1
        assert not is_current(follower)
        await last.begin()
        await last.tell(start("10.0"))
        await until(lambda: is_current(follower))
    assert "customers" in caplog.records[0].message
    assert feed.address in caplog.records[0].message
    assert caplog.records[1].levelname == "INFO"


async def test_a_place_that_is_refused_is_forgotten(follow: Follow, feed: FakeFeed) -> None:
    follower = follow(feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    await until(lambda: is_current(follower))
    await asked.end()
    again = await feed.asked()
    assert again.headers["last-event-id"] == "7@10.0"
    await again.begin(400)
    await again.end()
    assert "last-event-id" not in (await feed.asked()).headers


async def test_what_makes_no_sense_is_asked_for_again(follow: Follow, feed: FakeFeed) -> None:
    follower = follow(feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"), frame("change", {"tags": ["contacts"]}, "7@10.1"))
    again = await feed.asked()
    assert again.headers["last-event-id"] == "7@10.0"
    assert not is_current(follower)


async def test_an_event_without_an_end_does_not_fill_the_memory(follow: Follow, feed: FakeFeed) -> None:
    follow(feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"), b"event: change\ndata: ")
    with pytest.raises(ConnectionError):  # noqa: PT012 - it is cut off somewhere
        for _ in range(64):
            await asked.tell(b"x" * 65_536)
            await asyncio.sleep(0.001)
    await feed.asked()


async def test_it_waits_for_a_healthy_replica(stamps: Stamps, keys: Keys, feed: FakeFeed) -> None:
    healthy: list[str] = []
    follower = Follower("customers", "crm", lambda: healthy, IdentitySigner(keys.private_pem), stamps)
    follower.start()
    await asyncio.sleep(0)
    assert follower.describe(0)["losses"] == 0
    healthy.append(feed.address)
    await feed.asked()
    await follower.stop()


async def test_a_stop_ends_it_at_once(follow: Follow, feed: FakeFeed) -> None:
    follower = follow(feed.address)
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"))
    await until(lambda: is_current(follower))
    follower.close()
    assert not is_current(follower)
    await follower.stop()
    await feed.left()


async def test_it_can_be_stopped_before_it_began(stamps: Stamps, keys: Keys) -> None:
    follower = Follower("customers", "crm", lambda: (), IdentitySigner(keys.private_pem), stamps)
    await follower.stop()


async def test_a_mistake_of_ours_is_told_and_leaves_it_behind(
    keys: Keys, feed: FakeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Told):
        def stamp(self, scope: bytes, tags: Iterable[bytes], now_ns: int) -> None:
            raise RuntimeError("out of order")

    follower = Follower(
        "customers", "crm", lambda: (feed.address,), IdentitySigner(keys.private_pem), Broken()
    )
    follower.start()
    asked = await feed.asked()
    await asked.begin()
    await asked.tell(start("10.0"), change("10.1", *CONTACT))
    await feed.left()
    await until(lambda: any("not followed any more" in record.message for record in caplog.records))
    assert not is_current(follower)
