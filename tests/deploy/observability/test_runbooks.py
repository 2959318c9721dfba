"""Every alert has its page, every page its alert, and what the pages name exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.routing import APIRoute
from typer.main import get_command

from cli.main import app
from services.gateway.admin import api, caches, traces
from tests.deploy.observability.promtool import RULES

ROOT = Path(__file__).parent.parent.parent.parent
RUNBOOKS = ROOT / "docs" / "runbooks"
# On any day, not for an alert.
_GENERAL = {"README", "gateway"}
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path.stem not in _GENERAL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
_HEADINGS = ["What it means", "What to look at", "What to do", "How to know it is over"]
_COMMAND = re.compile(r"\./kontor ([^`\n]+)")
_PATH = re.compile(r"(?:`|^ +)admin '?([a-z][^\s'`?]*)", re.MULTILINE)


def _alerts() -> dict[str, set[str]]:
    """The pages that each alert names."""
    found: dict[str, set[str]] = {}
    for path in RULES.glob("*.yaml"):
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    found.setdefault(rule["alert"], set()).add(rule["annotations"]["runbook"])
    return found


def _title(page: Path) -> str:
    return page.read_text("utf-8").splitlines()[0].removeprefix("# ")


def test_each_alert_has_its_page_and_each_page_its_alert() -> None:
    pages = {_title(page): {str(page.relative_to(ROOT))} for page in PAGES}
    assert _alerts() == pages


@each_page
def test_a_page_says_all_that_it_should(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == _HEADINGS
    for part in re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]:
        assert part.strip()


def test_the_index_has_every_page() -> None:
    index = (RUNBOOKS / "README.md").read_text("utf-8")
    listed = re.findall(r"^\| \[(\w+)\]\(([\w-]+\.md)\) \|", index, re.MULTILINE)
    assert sorted(listed) == sorted((_title(page), page.name) for page in PAGES)


@pytest.mark.parametrize(
    "page", sorted([*RUNBOOKS.glob("*.md"), ROOT / "docs" / "observability.md"]), ids=lambda p: p.stem
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    known = dict(_commands(get_command(app)))
    for line in _COMMAND.findall(page.read_text("utf-8")):
        name = max((name for name in known if f"{line} ".startswith(f"{name} ")), key=len, default=None)
        assert name, line
        assert set(re.findall(r"--[a-z-]+", line)) <= known[name], line


def _commands(command: Any, prefix: str = "") -> Iterator[tuple[str, set[str]]]:
    """Each command of a (click) group, and of the groups within, with its options."""
    for name, one in command.commands.items():
        if hasattr(one, "commands"):
            yield from _commands(one, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", {option for parameter in one.params for option in parameter.opts}


@each_page
def test_admin_paths_exist(page: Path) -> None:
    routes = [route for router in (api.router, caches.router, traces.router) for route in router.routes]
    paths = {route.path.removeprefix("/admin/") for route in routes if isinstance(route, APIRoute)}
    templates = [re.sub(r"\{\w+\}", "[^/]+", path) for path in paths]
    for asked in _PATH.findall(page.read_text("utf-8")):
        assert any(re.fullmatch(template, asked) for template in templates), asked
