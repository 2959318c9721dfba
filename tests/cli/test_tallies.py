import pytest

from cli.scraping import Window, scraped
from cli.tallies import tallies
from tests.cli.expositions import Exposition

BEFORE = (
    Exposition()
    .requests((5, 8, 10, 10), 0.1, route="/v1/deals", http_response_status_code=200)
    .requests((0, 0, 0, 1), 3.0, route="/v1/deals", http_response_status_code=503, error_type=503)
    .terms(11, 1.0, 0.1, 2.0, route="/v1/deals")
    .requests((4, 4, 4, 4), 0.01, route="/v1/quiet", http_response_status_code=200)
)
AFTER = (
    Exposition()
    .requests((15, 28, 50, 50), 1.1, route="/v1/deals", http_response_status_code=200)
    .requests((0, 0, 0, 11), 5.0, route="/v1/deals", http_response_status_code=503, error_type=503)
    .terms(61, 1.5, 0.2, 4.4, route="/v1/deals")
    .requests((4, 4, 4, 4), 0.01, route="/v1/quiet", http_response_status_code=200)
    .requests((100, 100, 100, 100), 0.2, route="/v1/accounts", http_response_status_code=200)
    .requests((60, 60, 60, 60), 0.1, route="/v1/accounts", hop="customers", http_response_status_code=200)
)
WINDOW = Window(scraped(0, str(BEFORE)), scraped(2, str(AFTER)))


def test_a_route_adds_up_its_methods_and_statuses() -> None:
    deals = tallies(WINDOW, "http_route", "gateway")["/v1/deals"]
    assert deals.rate == 25
    assert deals.error_rate == 10 / 50
    assert deals.mean_s == pytest.approx(3.0 / 50)
    assert deals.buckets == pytest.approx({0.005: 10, 0.01: 20, 0.1: 40, float("inf"): 50})
    assert deals.quantile_s(0.5) == pytest.approx(0.01 + 0.09 * 5 / 20)
    assert deals.quantile_s(0.95) == 0.1, "the highest bound there is"


def test_the_terms_are_means_and_one_dominates() -> None:
    deals = tallies(WINDOW, "http_route", "gateway")["/v1/deals"]
    means = [deals.term_s(component) for component in ("processing", "network", "system")]
    assert means == pytest.approx([0.5 / 50, 0.1 / 50, 2.4 / 50])
    assert deals.dominant == "system"
    accounts = tallies(WINDOW, "http_route", "gateway")["/v1/accounts"]
    assert (accounts.term_s("system"), accounts.dominant) == (None, None)


def test_the_busiest_come_first_and_the_quiet_not_at_all() -> None:
    assert list(tallies(WINDOW, "http_route", "gateway")) == ["/v1/accounts", "/v1/deals"]


def test_hops() -> None:
    hops = tallies(WINDOW, "hop")
    assert {hop: tally.rate for hop, tally in hops.items()} == {"gateway": 75, "customers": 30}


def test_an_empty_label_may_be_left_out_but_a_hop_may_not() -> None:
    name = "http_server_request_duration_seconds_count"
    text = Exposition().add(name, 3, hop="gateway").add(name, 4, http_route="/other")
    window = Window(scraped(0, ""), scraped(1, str(text)))
    assert {route: tally.requests for route, tally in tallies(window, "http_route", "gateway").items()} == {
        "": 3
    }
    assert {hop: tally.requests for hop, tally in tallies(window, "hop").items()} == {"gateway": 3}
