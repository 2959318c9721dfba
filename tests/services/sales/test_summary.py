"""What deals come to: exact sums per currency, over the same deals that the list has."""

from typing import Any

import httpx2
import pytest

from services.sales.deals.rules import DealGroup, summary_of
from tests.services.sales.conftest import Json, Make, stage_id, stages

EMPTY = {"count": 0, "amounts": []}


def _money(amount: str, currency: str) -> Json:
    return {"amount": amount, "currency": currency}


@pytest.fixture
async def pipeline(make: Make) -> Json:
    return await make("pipelines", name="Hardware", stages=stages("New", "Talks", "Won:won", "Lost:lost"))


async def _summary(client: httpx2.AsyncClient, **params: str) -> Json:
    answer = await client.get("/v1/deals/summary", params=params)
    assert answer.status_code == 200, answer.text
    document: Json = answer.json()
    return document


def test_no_deals_are_nothing_of_each_kind() -> None:
    assert summary_of([]) == {
        "count": 0,
        "won_count": 0,
        "won_amounts": [],
        "by_stage_kind": {"open": EMPTY, "won": EMPTY, "lost": EMPTY},
    }


def test_deals_without_an_amount_count_and_add_nothing() -> None:
    summary = summary_of([DealGroup("won", "EUR", 2, "10.50"), DealGroup("won", None, 3, None)])
    assert (summary["won_count"], summary["won_amounts"]) == (5, [_money("10.50", "EUR")])


async def test_sums_are_exact_and_currencies_stay_apart(
    client: httpx2.AsyncClient, make: Make, pipeline: Json
) -> None:
    for name, amount, currency in (
        ("Won", "99999999999999.10", "EUR"),
        ("Won", "99999999999999.20", "EUR"),
        ("Won", "-0.01", "EUR"),
        ("Won", "1500", "JPY"),
        ("Won", "0.125", "KWD"),
        ("Lost", "3.30", "EUR"),
        ("New", "0.10", "USD"),
        ("Talks", "0.20", "USD"),
    ):
        await make("deals", stage_id=stage_id(pipeline, name), amount=_money(amount, currency))
    await make("deals", stage_id=stage_id(pipeline, "Won"))
    won = [_money("199999999999998.29", "EUR"), _money("1500", "JPY"), _money("0.125", "KWD")]
    assert await _summary(client) == {
        "count": 9,
        "won_count": 6,
        "won_amounts": won,
        "by_stage_kind": {
            "open": {"count": 2, "amounts": [_money("0.30", "USD")]},
            "won": {"count": 6, "amounts": won},
            "lost": {"count": 1, "amounts": [_money("3.30", "EUR")]},
        },
    }


async def test_it_is_about_the_deals_of_the_list(
    client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, make: Make, pipeline: Json
) -> None:
    deals = [
        await make(
            "deals",
            name=f"Printer {number}",
            stage_id=stage_id(pipeline, "Won" if number % 2 else "New"),
            amount=_money(f"{number}.00", "EUR"),
            engaged_on=f"2026-01-0{number}",
        )
        for number in range(1, 7)
    ]
    assert (await client.delete(f"/v1/deals/{deals[4]['id']}")).status_code == 204
    questions: list[dict[str, str]] = [
        {},
        {"filter[status]": "won"},
        {"filter[amount][gte]": "2", "filter[engaged_on][lt]": "2026-01-06"},
        {"filter[stage_id][in]": stage_id(pipeline, "New")},
        {"filter[deleted]": "true"},
        {"q": "printer 3"},
        {"q": "fax"},
    ]
    counts = []
    for params in questions:
        listed = (await client.get("/v1/deals", params=params | {"count": "exact"})).json()
        summary = await _summary(client, **params)
        won = [deal for deal in listed["data"] if deal["status"] == "won"]
        worth = sum(int(deal["amount"]["amount"].removesuffix(".00")) for deal in won)
        assert (summary["count"], summary["won_count"]) == (listed["total"], len(won)), params
        assert summary["won_amounts"] == ([_money(f"{worth}.00", "EUR")] if won else []), params
        counts.append(summary["count"])
    assert counts == [5, 2, 3, 3, 1, 1, 0]
    assert (await _summary(stranger))["count"] == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"limit": "5"}, "unknown_parameter"),
        ({"sort": "name"}, "unknown_parameter"),
        ({"fields": "id"}, "unknown_parameter"),
        ({"filter[size]": "1"}, "unknown_field"),
        ({"filter[amount][like]": "1"}, "unknown_operator"),
        ({"filter[status]": "new"}, "invalid_value"),
    ],
)
async def test_what_it_does_not_take_is_named(
    client: httpx2.AsyncClient, params: dict[str, Any], code: str
) -> None:
    answer = await client.get("/v1/deals/summary", params=params)
    assert answer.status_code == 400
    (fault,) = answer.json()["errors"]
    assert (fault["pointer"], fault["code"]) == (f"?{next(iter(params))}", code)
