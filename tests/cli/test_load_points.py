from pathlib import Path

import pytest

from cli.load_points import LoadPoint, PointsError, Series, read_points, save_points, series_of
from shared.telemetry.capacity import Point


def written(tmp_path: Path, text: str, name: str = "points.csv") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_csv(tmp_path: Path) -> None:
    text = "\ufeffname, Replicas ,throughput\nsmall, 1, 950\nlarge,2,1.8e3\n"
    assert read_points(written(tmp_path, text)) == [LoadPoint(1, None, 950), LoadPoint(2, None, 1800)]


def test_json(tmp_path: Path) -> None:
    text = '[{"concurrency": 8, "throughput": 950.5, "host": "a"}, {"concurrency": 16, "throughput": 1200}]'
    assert read_points(written(tmp_path, text, "points.json")) == [
        LoadPoint(None, 8, 950.5),
        LoadPoint(None, 16, 1200),
    ]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "n,throughput\n1,2\n", "replicas or concurrency or both; it has: n, throughput"),
        ("a.csv", "", "it has: nothing"),
        (
            "a.csv",
            "replicas,throughput\n1,2\n2,many\n",
            "line 3: throughput must be a positive number, not 'many'",
        ),
        ("a.csv", "replicas,throughput\n1,\n", "line 2: throughput is missing"),
        ("a.csv", "replicas,throughput\n0,1\n", "line 2: replicas must be a positive number"),
        ("a.csv", "replicas,throughput\nnan,1\n", "line 2: replicas must be a positive number"),
        ("a.json", "{}", "a list of objects is needed"),
        ("a.json", "[1]", "a list of objects is needed"),
        ("a.json", "[", "this is not JSON"),
        (
            "a.json",
            '[{"replicas": true, "throughput": 1}]',
            r"\[0\]: replicas must be a positive number, not True",
        ),
    ],
)
def test_mistakes_say_where(tmp_path: Path, name: str, text: str, words: str) -> None:
    file = written(tmp_path, text, name)
    with pytest.raises(PointsError, match=words) as caught:
        read_points(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PointsError, match="not UTF-8"):
        read_points(file)


def test_what_is_saved_is_read_again_and_collected(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    one, other = [LoadPoint(1, 8, 950.25), LoadPoint(None, 16, 1200)], [LoadPoint(2, None, 2000)]
    save_points(file, one)
    save_points(file, other)
    assert read_points(file) == [*one, *other]
    assert file.read_text().count("throughput") == 1


def test_another_file_is_not_spoilt(tmp_path: Path) -> None:
    file = written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(PointsError, match="begins with something else"):
        save_points(file, [LoadPoint(1, 1, 1)])
    assert file.read_text() == "a,b\n1,2\n"


def test_n_is_replicas_where_their_number_differs() -> None:
    measured = [LoadPoint(1, None, 90), LoadPoint(2, None, 170), LoadPoint(2, None, 175)]
    assert series_of(measured) == Series("replicas", [Point(1, 90), Point(2, 170), Point(2, 175)], None)


def test_of_several_concurrencies_the_best_is_what_replicas_serve() -> None:
    measured = [LoadPoint(1, 8, 90), LoadPoint(1, 16, 95), LoadPoint(2, 16, 180), LoadPoint(2, 32, 170)]
    assert series_of(measured) == Series("replicas", [Point(1, 95), Point(2, 180)], None)


def test_n_is_concurrency_where_the_replicas_stay_or_are_unknown() -> None:
    points = [Point(8, 90), Point(16, 95)]
    assert series_of([LoadPoint(3, 8, 90), LoadPoint(3, 16, 95)]) == Series("concurrency", points, 3)
    assert series_of([LoadPoint(None, 8, 90), LoadPoint(None, 16, 95)]) == Series("concurrency", points, None)
    assert series_of([LoadPoint(None, 8, 90), LoadPoint(3, 16, 95)]) == Series("concurrency", points, None)


def test_points_that_have_nothing_in_common() -> None:
    with pytest.raises(PointsError, match="Every point needs its concurrency, or every point its replicas"):
        series_of([LoadPoint(None, 8, 90), LoadPoint(3, None, 95)])
    with pytest.raises(PointsError, match="There are no points"):
        series_of([])
