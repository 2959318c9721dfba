from cli.load_points import LoadPoint
from cli.observing import observe, of_usual_replicas, point_of
from cli.scraping import Scrape, Window, scraped
from tests.cli.expositions import Exposition

UPSTREAM = {"crm_upstream_name": "customers"}


def window(after: Exposition) -> Window:
    return Window(scraped(10, ""), scraped(12, str(after)))


def attempts(count: int, total_s: float, port: int, status: int, upstream: str = "customers") -> Exposition:
    return Exposition().histogram(
        "http_client_request_duration_seconds",
        (count,) * 4,
        total_s,
        crm_upstream_name=upstream,
        server_address="127.0.0.1",
        server_port=port,
        http_response_status_code=status,
    )


def test_concurrency_is_the_sum_of_the_durations_by_the_time() -> None:
    seen = window(
        Exposition()
        .requests((90, 90, 90, 90), 6.0, route="/a", http_response_status_code=200)
        .requests((10, 10, 10, 10), 2.0, route="/b", http_response_status_code=404)
        .requests((90, 90, 90, 90), 5.0, route="/a", hop="customers", http_response_status_code=200)
    )
    assert point_of(seen, "") == LoadPoint(None, 4, 50)


def test_what_is_refused_or_fails_is_not_served() -> None:
    seen = window(
        Exposition()
        .requests((90, 90, 90, 90), 6.0, route="/a", http_response_status_code=200)
        .requests((50, 50, 50, 50), 0.0, route="/a", http_response_status_code=429)
        .requests((10, 10, 10, 10), 2.0, route="/a", http_response_status_code=503, error_type=503)
    )
    assert point_of(seen, "") == LoadPoint(None, 4, 45)


def test_an_upstream_has_attempts_and_replicas() -> None:
    text = (
        str(attempts(60, 3.0, 1, 200))
        + str(attempts(40, 3.0, 2, 200))
        + str(attempts(900, 90.0, 3, 200, "sales"))
    )
    up = Exposition()
    for port, instance, value in ((1, 1, 1), (2, 1, 1), (3, 1, 1), (1, 2, 1), (2, 2, 1), (3, 2, 0)):
        up.add(
            "crm_gateway_replica_up",
            value,
            **UPSTREAM,
            server_address="127.0.0.1",
            server_port=port,
            instance=instance,
        )
    up.add("crm_gateway_replica_up", 1, crm_upstream_name="sales", server_address="127.0.0.1", server_port=3)
    seen = Window(scraped(0, ""), scraped(2, text + str(up)))
    assert point_of(seen, "customers") == LoadPoint(2, 3, 50)
    assert point_of(seen, "tickets") is None


def test_less_than_one_under_way_says_nothing_of_capacity() -> None:
    idle = Exposition().requests((9, 9, 9, 9), 1.9, route="/a", http_response_status_code=200)
    assert point_of(window(idle), "") is None
    assert point_of(window(Exposition()), "") is None


def test_windows_with_load_become_points() -> None:
    totals = [(0, 0.0), (100, 4.0), (300, 16.0), (301, 16.1)]
    readings = [
        scraped(
            2 * number,
            str(Exposition().requests((count,) * 4, total_s, route="/a", http_response_status_code=200)),
        )
        for number, (count, total_s) in enumerate(totals)
    ]
    left = iter(readings)
    told: list[str] = []

    def scrape() -> Scrape:
        return next(left)

    points = observe(scrape, 1e9, 0, "", told.append)
    assert [next(points), next(points)] == [
        LoadPoint(None, 2, 50),
        LoadPoint(None, 6, 100),
    ]
    left = iter(readings[2:])
    assert list(observe(scrape, 0, 0, "", told.append)) == []
    assert told == ["In 0 of 1 windows a request or more was under way on average."]


def test_windows_in_which_a_replica_was_down_do_not_count() -> None:
    points = [LoadPoint(2, 4, 90), LoadPoint(1, 4, 60), LoadPoint(2, 8, 120)]
    assert of_usual_replicas(points) == [points[0], points[2]]
    unknown = [LoadPoint(None, 4, 90), LoadPoint(None, 8, 120)]
    assert of_usual_replicas(unknown) == unknown
