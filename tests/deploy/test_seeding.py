import json
import os
import subprocess
import uuid

import pytest

from deploy.local import report, seeding
from deploy.local.programs import PROJECT

pytestmark = pytest.mark.process

_URLS = {name: f"postgresql://{name}" for name in ("customers", "sales", "tickets")}


def _run(generator: str) -> subprocess.CompletedProcess[str]:
    order = seeding.order(_URLS, uuid.UUID(int=7), generator=generator)
    return subprocess.run(
        seeding.command(),
        env={**os.environ, **order},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_generator_is_given_what_it_needs_and_reports() -> None:
    answer = _run("tests.deploy.fake_demo")
    said, *progress = answer.stdout.splitlines()
    assert answer.returncode == 0
    assert said == f"for {uuid.UUID(int=7)}"
    assert [json.loads(line)["done"] for line in progress] == list(range(0, 101, 10))


def test_no_generator_is_no_failure() -> None:
    answer = _run("tests.deploy.nobody")
    assert (answer.returncode, json.loads(answer.stdout)) == (0, {"missing": True})


def test_a_failing_generator_fails() -> None:
    answer = _run("tests.deploy.conftest")
    assert answer.returncode == 1
    assert "AttributeError" in answer.stderr


@pytest.mark.parametrize(
    ("done", "total", "share"),
    [(0, 0, "100 %"), (0, 9, "0 %"), (5, 9, "55 %"), (8999, 9000, "99 %"), (9, 9, "100 %")],
)
def test_the_bar_is_not_full_before_the_work_is_done(done: int, total: int, share: str) -> None:
    bar = report.bar(done, total)
    assert f" {share} " in bar
    assert ("." in bar) == (done < total)
