"""A file of replicas: replaced, rewritten, broken, gone."""

import json
import os
from pathlib import Path

import pytest

from services.gateway.balancing.policy import Replica
from services.gateway.discovery.polling import NotFoundError
from services.gateway.discovery.watched_file import WatchedFile


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "replicas.yaml"


def test_yaml_and_json(file: Path) -> None:
    file.write_text("- {host: a, port: 1}\n- {host: '[::1]', port: 2, weight: 3, zone: east}\n")
    expected = (Replica("u", "a", 1), Replica("u", "[::1]", 2, 3, "east"))
    assert WatchedFile("u", file).look() == expected
    file.write_text(json.dumps([{"host": "a", "port": 1}]))
    assert WatchedFile("u", file).look() == expected[:1]


async def test_the_event_loop_is_not_held_up(file: Path) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        await WatchedFile("u", file)()


def test_a_change_is_seen_however_it_is_made(file: Path) -> None:
    watched = WatchedFile("u", file)
    file.write_text("[{host: a, port: 1}]")
    assert watched.look() == (Replica("u", "a", 1),)
    # In place, longer.
    file.write_text("[{host: aa, port: 1}]")
    assert watched.look() == (Replica("u", "aa", 1),)
    # In place, as long as before, a moment later.
    before = file.stat()
    file.write_text("[{host: bb, port: 1}]")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert watched.look() == (Replica("u", "bb", 1),)
    # At one stroke, as long and as old as before.
    other = file.with_suffix(".new")
    other.write_text("[{host: cc, port: 1}]")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    other.rename(file)
    assert watched.look() == (Replica("u", "cc", 1),)


def test_what_looks_the_same_is_not_read_again(file: Path) -> None:
    watched = WatchedFile("u", file)
    file.write_text("[{host: a, port: 1}]")
    before = file.stat()
    first = watched.look()
    file.write_text("[{host: b, port: 1}]")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watched.look() is first


def test_a_broken_file_is_told_in_one_line_with_its_places(file: Path) -> None:
    file.write_text("- {host: a, port: 0}\n- {hots: b, port: 1}\n")
    watched = WatchedFile("u", file)
    for _ in range(2):
        with pytest.raises(NotFoundError) as caught:
            watched.look()
        assert str(caught.value) == (
            f"{file}:1:13: [0].port: must be greater than or equal to 1; "
            f"{file}:2:3: [1].host: is missing; "
            f"{file}:2:4: [1].hots: unknown field; did you mean host?"
        )
    file.write_text("[{host: a, port: 1}]")
    assert watched.look() == (Replica("u", "a", 1),)


def test_one_address_appears_once(file: Path) -> None:
    file.write_text("[{host: a, port: 1}, {host: b, port: 1}, {host: a, port: 1}]")
    with pytest.raises(NotFoundError, match=r"\[2\] has the address of \[0\]$"):
        WatchedFile("u", file).look()


def test_a_file_that_comes_goes_and_comes_back(file: Path) -> None:
    watched = WatchedFile("u", file)
    with pytest.raises(NotFoundError, match=r"replicas\.yaml: No such file or directory$"):
        watched.look()
    file.write_text("[{host: a, port: 1}]")
    assert watched.look() == (Replica("u", "a", 1),)
    file.unlink()
    with pytest.raises(NotFoundError):
        watched.look()
    file.write_text("[]")
    assert watched.look() == ()
