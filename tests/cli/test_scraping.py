from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from cli.gateway import GatewayError
from cli.scraping import Scrape, Window, failed, frames, open_metrics, scraped
from tests.cli.expositions import Exposition
from tests.cli.fake_gateway import KEY, gateway, replica

COUNTER = "http_server_request_duration_seconds_count"


def counted(at_s: float, **counts: float) -> Scrape:
    text = Exposition()
    for route, count in counts.items():
        text.add(COUNTER, count, route=route)
    return scraped(at_s, str(text))


def increases(window: Window) -> dict[str, float]:
    return {labels["route"]: increase for labels, increase in window.increases(COUNTER)}


def scripted(*script: Scrape | str) -> Callable[[], Scrape]:
    left = iter(script)

    def scrape() -> Scrape:
        found = next(left)
        if isinstance(found, str):
            raise GatewayError(found)
        return found

    return scrape


def test_a_window_is_what_grew() -> None:
    window = Window(counted(10, a=5, b=7), counted(12.5, a=9, b=7, new=3))
    assert window.seconds == 2.5
    assert not window.began_anew
    assert increases(window) == {"a": 4, "b": 0, "new": 3}
    assert list(window.increases("unknown")) == []


def test_counters_that_fell_began_anew() -> None:
    assert Window(counted(0, a=5), counted(1, a=4)).began_anew
    gone = Window(counted(0, a=5, b=1), counted(1, a=5))
    assert not gone.began_anew, "a replica that was taken away is no longer told of"
    assert increases(gone) == {"a": 0}


def test_a_gauge_may_fall() -> None:
    name = "db_client_connection_count"
    window = Window(scraped(0, f'{name}{{state="used"}} 9'), scraped(1, f'{name}{{state="used"}} 2'))
    assert not window.began_anew
    assert list(window.after.values(name)) == [({"state": "used"}, 2.0)]


def test_each_window_follows_the_last() -> None:
    waits: list[None] = []
    readings = [counted(0, a=1), counted(2, a=3), counted(4, a=4)]
    seen = list(islice(frames(scripted(*readings), lambda: waits.append(None)), 2))
    assert [increases(window) for window in seen if isinstance(window, Window)] == [{"a": 2}, {"a": 1}]
    assert len(waits) == 2


def test_a_gateway_that_goes_away_and_comes_back() -> None:
    away = "It does not answer."
    scrape = scripted(counted(0, a=9), away, away, counted(6, a=2), counted(8, a=5))
    *sentences, window = islice(frames(scrape, lambda: None), 4)
    assert sentences == [
        "It does not answer. Trying again.",
        "It does not answer. Trying again.",
        "The gateway is back; measuring.",
    ]
    assert isinstance(window, Window)
    assert (window.seconds, increases(window)) == (2, {"a": 3})


def test_a_gateway_started_anew_between_two_readings() -> None:
    readings = [counted(0, a=9), counted(2, a=1), counted(4, a=4)]
    sentence, window = islice(frames(scripted(*readings), lambda: None), 2)
    assert sentence == "A process was started anew, and with it its counters; measuring."
    assert isinstance(window, Window)
    assert increases(window) == {"a": 3}


def test_a_gateway_that_never_was_there_is_an_error() -> None:
    with pytest.raises(GatewayError, match="nobody"):
        next(frames(scripted("nobody"), lambda: None))


@pytest.mark.parametrize(
    ("status", "error_type", "is_error"),
    [
        ("200", "", False),
        ("304", "", False),
        ("404", "", False),
        ("429", "429", False),
        ("404", "404", False),
        ("200", "client_left", False),
        ("", "client_left", False),
        ("500", "500", True),
        ("504", "", True),
        ("200", "cut_short", True),
        ("", "connect", True),
    ],
)
def test_what_counts_as_an_error(status: str, error_type: str, is_error: bool) -> None:
    assert failed({"http_response_status_code": status, "error_type": error_type}) is is_error


def test_metrics_over_http(tmp_path: Path) -> None:
    key_file = tmp_path / "admin.key"
    key_file.write_text(KEY + "\n")
    texts = [str(Exposition().add(COUNTER, 3, route="a")), "<html>"]
    with gateway(texts) as url, open_metrics(url, key_file) as metrics:
        assert list(metrics.scrape().values(COUNTER)) == [({"route": "a"}, 3.0)]
        with pytest.raises(
            GatewayError, match=r"/metrics answers are no metrics: line 1 is no sample: <html>"
        ):
            metrics.scrape()
        key_file.write_text("wrong")
        with (
            open_metrics(url, key_file) as others,
            pytest.raises(GatewayError, match="Unauthorized: Send the key"),
        ):
            others.scrape()


def test_replicas_are_asked_as_well_and_not_shown_the_key(tmp_path: Path) -> None:
    key_file = tmp_path / "admin.key"
    key_file.write_text(KEY)
    own = str(Exposition().add(COUNTER, 3, route="a"))
    with replica([]) as closed:
        pass
    with (
        replica([own]) as one,
        replica(["<html>"]) as other,
        gateway([own], replicas=[one, other, closed]) as url,
        open_metrics(url.rstrip("/"), key_file, with_replicas=True) as metrics,
    ):
        scrape = metrics.scrape()
    assert dict(scrape.metrics[COUNTER]) == {
        frozenset({("route", "a")}): 3,
        frozenset({("route", "a"), ("instance", one)}): 3,
    }
    assert scrape.instances == {one}
    assert scrape.silent[other] == "no metrics"
    assert "refused" in scrape.silent[closed]


def test_a_replica_that_comes_back_has_not_served_all_of_it_at_once() -> None:
    def scrape(at_s: float, count: float, *instances: str) -> Scrape:
        text = Exposition().add(COUNTER, 5, route="gateway")
        for instance in instances:
            text.add(COUNTER, count, route=instance, instance=instance)
        return scraped(at_s, str(text))._replace(instances=frozenset(instances))

    first, second, third = scrape(0, 100, "a"), scrape(2, 110, "a", "b"), scrape(4, 120, "a", "b")
    assert increases(Window(first, second)) == {"gateway": 0, "a": 10}
    assert increases(Window(second, third)) == {"gateway": 0, "a": 10, "b": 10}
