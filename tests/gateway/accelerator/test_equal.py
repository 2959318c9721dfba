"""The compiled form passes the tests of the pure one.

Opt-in, as building and running takes two minutes of CPU, and CI has two cores for everything:

    ACCELERATOR=1 make test ARGS=tests/gateway/accelerator

needs a C compiler and what `requirements-accelerate.lock` names. Nothing is built in this checkout.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.accelerator import what_is_missing

ROOT = Path(__file__).parents[3]
TREES = ("services", "shared", "deploy", "cli", "tests")
# Of tests/gateway: what runs what is compiled, and is quick.
TESTS = (
    "admin",
    "balancing",
    "forwarding",
    "limits",
    "metrics",
    "protocol",
    "resilience",
    "routing",
    "timing",
    "test_app.py",
    "test_exchange.py",
    "test_exchange_races.py",
    "test_exchange_times.py",
    "test_request_ids.py",
    "test_answers_e2e.py",
    "test_back_pressure_e2e.py",
    "test_conformance_e2e.py",
    "test_differential_e2e.py",
    "test_forwarding_e2e.py",
    "test_smuggling_e2e.py",
    "test_websocket_e2e.py",
    "caching/test_cache.py",
    "caching/test_cache_conditions.py",
    "caching/test_cache_isolation.py",
    "caching/test_cache_races.py",
    "caching/test_cache_reloads.py",
    "caching/test_cache_told.py",
    "caching/peers/test_answering_later.py",
    "caching/second/test_sharing.py",
)
_FORM = "import services.gateway.app; from services.gateway.accelerator import form; print(form())"

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        "ACCELERATOR" not in os.environ, reason="takes two minutes of CPU: ACCELERATOR=1 asks for it"
    ),
]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, compiled."""
    missing = what_is_missing()
    if missing is not None:
        pytest.skip(missing)
    copy = tmp_path_factory.mktemp("compiled")
    for tree in TREES:
        shutil.copytree(ROOT / tree, copy / tree, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    run(copy, "-m", "deploy.accelerator", "--quick")
    return copy


def run(copy: Path, *arguments: str, **environment: str) -> str:
    """What Python says there. Fails with it when it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return done.stdout


def test_what_was_built_is_what_runs_unless_told_otherwise(copy: Path) -> None:
    assert run(copy, "-c", _FORM).strip() == "compiled"
    assert run(copy, "-c", _FORM, GATEWAY_PURE="1").strip() == "pure Python"


def test_the_gateway_s_tests_pass(copy: Path) -> None:
    tests = [f"tests/gateway/{one}" for one in TESTS]
    assert " passed" in run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def test_an_older_compiled_form_is_told_of(copy: Path) -> None:
    (copy / "services/gateway/exchange.py").touch()
    assert "services.gateway.exchange from an older source" in run(copy, "-c", _FORM)


def test_cleaning_leaves_the_pure_form(copy: Path) -> None:
    run(copy, "-m", "deploy.accelerator", "--clean")
    assert run(copy, "-c", _FORM).strip() == "pure Python"
