"""The Compose deployment, as far as it can be held to its promises without a container engine."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.credentials import load_or_make
from deploy.local.topology import SERVICES, Topology
from services.gateway.config import ConfigDocument, load
from services.gateway.documents import read_document
from services.gateway.settings import GatewaySettings
from shared.service.settings import ServiceSettings

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "deploy" / "compose"
Container = dict[str, Any]
Containers = dict[str, Container]

_OURS = (*SERVICES, "gateway")
_MIGRATIONS = {f"migrate-{service}" for service in SERVICES}
_SECRETIVE = re.compile(r"password|secret|token|_key|database_url", re.IGNORECASE)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return content


@pytest.fixture(scope="module")
def containers(document: dict[str, Any]) -> Containers:
    services: Containers = document["services"]
    return services


def test_compose_accepts_the_file() -> None:
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    answer = subprocess.run(
        [*command, "--file", str(COMPOSE / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_every_service_of_the_suite_is_there(containers: Containers) -> None:
    in_the_tree = {path.parent.name for path in (ROOT / "services").glob("*/__main__.py")}
    assert in_the_tree <= set(_OURS)
    expected = {f"{service}-{part}" for service in SERVICES for part in ("1", "2", "worker")}
    assert expected | _MIGRATIONS | {"gateway", "postgres", "jaeger"} == set(containers)
    for name in expected | _MIGRATIONS | {"gateway"}:
        container = containers[name]
        service = next(service for service in _OURS if service in name)
        assert container["build"]["args"] == {"SERVICE": service}
        assert (COMPOSE / container["build"]["context"]).resolve() == ROOT
        assert container["image"].startswith(f"kontor-{service}:")
        command = "worker" if name.endswith("worker") else "migrate" if name in _MIGRATIONS else None
        assert container.get("command") == ([command] if command else None)


def test_images_are_pinned_to_a_version(containers: Containers) -> None:
    for name, container in containers.items():
        image = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", container["image"])
        assert re.fullmatch(r"[a-z/-]+:\d+\.\d+(\.\d+)?(-[a-z]+)?", image), f"{name}: {image}"


def test_what_keeps_running_has_a_health_check(containers: Containers) -> None:
    for name, container in containers.items():
        check = container["healthcheck"]
        if name in _MIGRATIONS:
            assert check == {"disable": True}
        else:
            assert check["test"][0] == "CMD", name
            assert {"interval", "timeout", "retries", "start_period"} <= set(check), name


def test_health_checks_in_python_are_python(containers: Containers) -> None:
    for container in containers.values():
        match container["healthcheck"].get("test"):
            case ["CMD", "python", "-c", code]:
                compile(code, "healthcheck", "exec")
                assert "$" not in code, "Compose would take it for a variable"


def test_everything_is_limited_and_hardened(containers: Containers) -> None:
    for name, container in containers.items():
        assert {"cpus", "memory"} == set(container["deploy"]["resources"]["limits"]), name
        assert container["pids_limit"] > 0, name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert container["read_only"] is True, name
        assert container["tmpfs"], name
        assert container["user"] == "${KONTOR_UID:-10001}:${KONTOR_GID:-10001}", name
        assert container["restart"] == ("no" if name in _MIGRATIONS else "unless-stopped"), name
        assert container["logging"]["options"]["max-size"], name
        assert "privileged" not in container


def test_only_this_machine_is_listened_to(containers: Containers) -> None:
    published = {name: container["ports"] for name, container in containers.items() if "ports" in container}
    assert set(published) == {"gateway", "jaeger"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_only_services_reach_the_database(document: dict[str, Any], containers: Containers) -> None:
    near = {name for name, container in containers.items() if "data" in container["networks"]}
    assert near == set(containers) - {"gateway", "jaeger"}
    assert document["networks"]["data"] == document["networks"]["suite"] == {"internal": True}
    assert {name for name, container in containers.items() if "edge" in container["networks"]} == {
        "gateway",
        "jaeger",
    }


def test_secrets_are_files_and_nothing_else(document: dict[str, Any], containers: Containers) -> None:
    for name, container in containers.items():
        for variable, value in container.get("environment", {}).items():
            assert not _SECRETIVE.search(variable) or variable.endswith("_FILE"), f"{name}: {variable}"
            if str(value).startswith("/run/secrets/"):
                assert str(value).removeprefix("/run/secrets/") in container["secrets"], f"{name}: {variable}"
        assert set(container.get("secrets", ())) <= set(document["secrets"]), name
    assert all(set(secret) == {"file"} for secret in document["secrets"].values())
    assert all(secret["file"].startswith("./secrets/") for secret in document["secrets"].values())
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"deploy/compose/secrets/", "deploy/compose/.env"} <= set(ignored)


def test_a_service_has_no_secret_of_another(containers: Containers) -> None:
    for service in SERVICES:
        others = set(SERVICES) - {service}
        for part in ("1", "2", "worker"):
            secrets = containers[f"{service}-{part}"]["secrets"]
            assert not [secret for secret in secrets if secret.split("-")[0] in others]
            assert "identity-private-key" not in secrets
    assert set(containers["gateway"]["secrets"]) == {"identity-private-key", "api-keys"}


def test_migrations_come_before_services(containers: Containers) -> None:
    for service in SERVICES:
        migration = f"migrate-{service}"
        assert containers[migration]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
        for part in ("1", "2", "worker"):
            assert containers[f"{service}-{part}"]["depends_on"] == {
                "postgres": {"condition": "service_healthy"},
                migration: {"condition": "service_completed_successfully"},
            }


def test_every_setting_exists(containers: Containers) -> None:
    for name, container in containers.items():
        service = next((service for service in _OURS if service in name), None)
        if service is None:
            continue
        model = GatewaySettings if service == "gateway" else ServiceSettings
        prefix = f"{service.upper()}_"
        given = {variable for variable in container["environment"] if not variable.startswith("OTEL_")}
        fields = {variable.removeprefix(prefix).lower() for variable in given}
        assert all(variable.startswith(prefix) for variable in given), name
        assert fields <= set(model.model_fields), name
        required = {field for field, info in model.model_fields.items() if info.is_required()}
        assert required - {"database_url"} <= fields, name


def test_the_gateway_knows_the_replicas(containers: Containers) -> None:
    addresses = {
        name: [(replica.host, replica.port) for replica in upstream.replicas]
        for name, upstream in load(COMPOSE / "gateway.yaml").upstreams.items()
    }
    assert addresses == {service: [(f"{service}-1", 8000), (f"{service}-2", 8000)] for service in SERVICES}
    for service, replicas in addresses.items():
        for host, port in replicas:
            assert containers[host]["environment"][f"{service.upper()}_PORT"] == str(port)
            assert "suite" in containers[host]["networks"]
    assert "./gateway.yaml:/etc/kontor/gateway.yaml:ro" in containers["gateway"]["volumes"]


def test_the_gateway_serves_what_make_run_serves(tmp_path: Path) -> None:
    local = tmp_path / "gateway.json"
    topology = Topology(
        gateway_port=8000,
        ports={service: [8001] for service in SERVICES},
        database_urls={},
        credentials=load_or_make(tmp_path / "secrets", services=SERVICES, data_exists=False),
        gateway_config_file=local,
    )
    local.write_text(topology.gateway_document())
    here = read_document(COMPOSE / "gateway.yaml", ConfigDocument)
    assert set(here.routes) == set(read_document(local, ConfigDocument).routes)


def test_the_example_environment_names_every_variable() -> None:
    text = "".join((COMPOSE / name).read_text() for name in ("compose.yaml", "observability.yaml"))
    used = set(re.findall(r"\$\{(\w+)", text))
    defined = re.findall(r"^(\w+)=", (COMPOSE / ".env.example").read_text(), re.MULTILINE)
    assert set(defined) == used | {"COMPOSE_PROJECT_NAME"}


@pytest.mark.parametrize("service", _OURS)
def test_what_the_image_copies_exists(service: str) -> None:
    copied = _copied(service)
    assert copied == [
        f"requirements-{service}.lock",
        "services/__init__.py",
        f"services/{service}",
        "shared",
    ]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored, "what is not named stays out of the build"
    assert {"!requirements-*.lock", "!services", "!shared"} == {line for line in ignored if line[:1] == "!"}


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    instructions = _instructions()
    images = {words for name, words in instructions if name == "FROM"}
    assert {image.split(" AS ")[0] for image in images} == {"python:3.11.15-slim-bookworm"}
    assert [words for name, words in instructions if name == "USER"] == ["10001:10001"]
    (install,) = (words for name, words in instructions if name == "RUN" and "pip" in words)
    assert "--require-hashes --only-binary :all:" in install
    check = next(words for name, words in instructions if name == "HEALTHCHECK")
    python, option, code = json.loads(check.partition(" CMD ")[2])
    assert (python, option) == ("python", "-c")
    assert "/livez" in code
    compile(code, "healthcheck", "exec")


@pytest.mark.parametrize("arguments", [[], ["migrate"], ["worker"]])
def test_the_entry_point_becomes_the_service(arguments: list[str], tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$$ $*"\n')
    python.chmod(0o755)
    entry_point = json.loads(next(words for name, words in _instructions() if name == "ENTRYPOINT"))
    process = subprocess.Popen(
        [*entry_point, *arguments],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "SERVICE": "customers"},
        stdout=subprocess.PIPE,
        text=True,
    )
    output, _ = process.communicate()
    # The same process: otherwise a shell would get the signal to end, and keep it.
    assert output.split() == [str(process.pid), "-m", "services.customers", *arguments]


def compose_command() -> list[str] | None:
    """The installed form of Compose, if any; neither needs an engine to check a file."""
    if shutil.which("docker"):
        answer = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if answer.returncode == 0:
            return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(name, words) for name, _, words in (line.partition(" ") for line in lines if line)]


def _copied(service: str) -> list[str]:
    """What the image takes from the tree."""
    sources = (
        words.split()[0] for name, words in _instructions() if name == "COPY" and "--from" not in words
    )
    return [source.replace("${SERVICE}", service) for source in sources]
