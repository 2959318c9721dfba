"""Real files, whole: every record of them, as the standard library reads them, and nothing refused."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from shared.imports.reading.dialect import Dialect, detect_delimiter
from shared.imports.reading.encoding import SAMPLE_BYTES, choose_encoding
from shared.imports.reading.records import RecordReader
from shared.imports.reading.values import Converter, instant, integer, money, plain_date
from tests.shared.imports.reading.factory import chunks_of, published


def columns_of(path: Path, *, has_header: bool = True) -> tuple[dict[str, list[str]], str]:
    """The columns of a file whose form nobody has told, and its delimiter."""
    sample = path.read_bytes()[:SAMPLE_BYTES]
    encoding = choose_encoding(None, sample)
    delimiter = detect_delimiter(encoding.decoder().decode(sample))
    reader = RecordReader(chunks_of(path, 10_007), Dialect(delimiter), encoding, has_header=has_header)
    columns: dict[str, list[str]] = {name: [] for name in reader.header}
    for batch in reader:
        assert batch.errors == []
        for name, cells in zip(columns, batch.rows.columns, strict=True):
            columns[name].extend(cells)
    return columns, delimiter


@pytest.mark.parametrize(
    ("name", "rows", "delimiter"),
    [
        ("crm/maven_accounts.csv", 85, ","),
        ("crm/maven_products.csv", 7, ","),
        ("crm/maven_sales_teams.csv", 35, ","),
        ("crm/maven_sales_pipeline_engaged_to_2017-06-30.csv", 4365, ","),
        ("incidents/incident_event_log_20pct.csv", 28_324, ","),
        ("nyc311/nyc311_january.csv", 2_038, ","),
        ("campaigns/bank_10pct_official_sample.csv", 4_521, ";"),
        ("targets/SalesPersonQuotaHistory.csv", 163, "\t"),
        ("dedupe/febrl1.csv", 1_000, ","),
    ],
)
def test_every_record_is_read(name: str, rows: int, delimiter: str) -> None:
    path = published(*name.split("/"))
    has_header = not name.startswith("targets/")
    columns, found = columns_of(path, has_header=has_header)
    assert found == delimiter
    with path.open(newline="", encoding="utf-8-sig") as file:
        plain = list(csv.reader(file, delimiter=delimiter))[has_header:]
    assert len(plain) == rows
    assert list(zip(*columns.values(), strict=True)) == [tuple(row) for row in plain]


def test_the_deals_add_up() -> None:
    columns, _ = columns_of(published("crm", "maven_sales_pipeline_engaged_to_2017-06-30.csv"))
    won = [
        value
        for value, stage in zip(columns["close_value"], columns["deal_stage"], strict=True)
        if stage == "Won"
    ]
    amounts, refused = Converter(money("USD", 1), "invalid_money")(won)  # type: ignore[arg-type]
    assert refused == []
    assert len(won) == 2_394
    assert sum(int((amount or "").removesuffix(".00 USD")) for amount in amounts) == 5_662_233


def test_the_incidents_last_events() -> None:
    columns, _ = columns_of(published("incidents", "incident_event_log_20pct.csv"))
    assert "category#2" in columns
    numbers, refused = Converter(integer(0, None), "invalid_integer")(columns["sys_mod_count"])
    assert refused == []
    last: dict[str, tuple[int, str]] = {}
    for number, count, made in zip(columns["number"], numbers, columns["made_sla"], strict=True):
        last[number] = max(last.get(number, (-1, "")), (int(count or 0), made))
    assert len(last) == 4_963
    assert Counter(made for _, made in last.values())["true"] == 3_153


def test_the_dates_are_what_they_say() -> None:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 (one use)

    incidents, _ = columns_of(published("incidents", "incident_event_log_20pct.csv"))
    opened, refused = Converter(instant("dmy", ZoneInfo("UTC")), "x")(incidents["opened_at"])
    assert (opened[0], refused) == ("2016-02-29T07:10:00+00:00", [])
    requests, _ = columns_of(published("nyc311", "nyc311_january.csv"))
    created, refused = Converter(instant("mdy", ZoneInfo("America/New_York")), "x")(requests["Created Date"])
    assert (created[0], refused) == ("2025-02-01T04:35:00+00:00", [])
    deals, _ = columns_of(published("crm", "maven_sales_pipeline_engaged_to_2017-06-30.csv"))
    engaged, refused = Converter(plain_date("ymd"), "x")(deals["engage_date"])
    assert (engaged[0], refused) == ("2016-10-20", [])
