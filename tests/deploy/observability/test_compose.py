"""What watches the Compose deployment, as far as it can be held to its promises without a container engine."""

import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.local.topology import SERVICES
from deploy.observability.__main__ import FOLDER
from services.gateway.settings import GatewaySettings
from tests.deploy.test_compose import COMPOSE, compose_command

_OURS = {f"{service}-{part}" for service in SERVICES for part in ("1", "2", "worker")} | {"gateway"}
_ADDED = {"collector", "own-volumes", "prometheus", "alertmanager", "grafana"}
_ONE_SHOT = "own-volumes"
_PUBLISHED = {"prometheus", "alertmanager", "grafana"}
Containers = dict[str, dict[str, Any]]


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return content


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return _read(COMPOSE / "observability.yaml")


@pytest.fixture(scope="module")
def containers(document: dict[str, Any]) -> Containers:
    services: Containers = document["services"]
    return services


@pytest.fixture(scope="module")
def suite() -> Containers:
    services: Containers = _read(COMPOSE / "compose.yaml")["services"]
    return services


@pytest.fixture(scope="module")
def merged() -> Containers:
    """What Compose makes of both files."""
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    files = [
        part for name in ("compose.yaml", "observability.yaml") for part in ("--file", str(COMPOSE / name))
    ]
    answer = subprocess.run([*command, *files, "config"], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    services: Containers = yaml.safe_load(answer.stdout)["services"]
    return services


def test_it_adds_what_watches_and_touches_what_is_watched(containers: Containers) -> None:
    assert set(containers) == _OURS | _ADDED


def test_every_process_tells_the_collector(merged: Containers) -> None:
    for name in _OURS:
        environment = merged[name]["environment"]
        assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318", name
        assert environment["OTEL_METRICS_EXPORTER"] == "none", name
        assert "suite" in merged[name]["networks"]


def test_what_was_there_stays_as_it_was(merged: Containers, suite: Containers) -> None:
    assert set(suite) <= set(merged)
    for name in _OURS:
        assert set(suite[name]["environment"]) <= set(merged[name]["environment"])
        assert merged[name]["read_only"] is True
    assert set(merged["jaeger"]["networks"]) == {"suite", "edge"}
    sources = {secret["source"] for secret in merged["gateway"]["secrets"]}
    assert sources == {"identity-private-key", "api-keys", "gateway-admin-key"}


def test_images_are_pinned_to_a_version(containers: Containers) -> None:
    for name in _ADDED:
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", containers[name]["image"]), name


def test_everything_is_limited_and_hardened(containers: Containers) -> None:
    for name in _ADDED:
        container = containers[name]
        assert {"cpus", "memory"} == set(container["deploy"]["resources"]["limits"]), name
        assert container["cap_drop"] == ["ALL"], name
        assert container["security_opt"] == ["no-new-privileges:true"], name
        assert container["read_only"] is True, name
        assert container["logging"]["options"]["max-size"], name
        assert container["pids_limit"] > 0, name
        if name != _ONE_SHOT:
            assert container["user"] == "${KONTOR_UID:-10001}:${KONTOR_GID:-10001}", name
            assert container["restart"] == "unless-stopped", name
            assert "cap_add" not in container, name


def test_who_may_become_root_does_one_thing_and_ends(containers: Containers) -> None:
    container = containers[_ONE_SHOT]
    assert container["user"] == "0:0"
    assert container["cap_add"] == ["CHOWN"]
    assert container["network_mode"] == "none"
    assert container["restart"] == "no"
    assert container["entrypoint"][0] == "chown"
    mounted = [volume.partition(":")[2] for volume in container["volumes"]]
    assert container["command"] == mounted


def test_what_keeps_data_waits_for_its_volume(document: dict[str, Any], containers: Containers) -> None:
    owned = {volume.partition(":")[0] for volume in containers[_ONE_SHOT]["volumes"]}
    assert owned == set(document["volumes"])
    for name in _PUBLISHED:
        kept = [volume for volume in containers[name]["volumes"] if volume.partition(":")[0] in owned]
        assert kept == [f"{name}-data:/data"]
        assert containers[name]["depends_on"] == {_ONE_SHOT: {"condition": "service_completed_successfully"}}


def test_health_is_checked_where_it_can_be(containers: Containers) -> None:
    for name in _PUBLISHED:
        check = containers[name]["healthcheck"]
        port = containers[name]["ports"][0].rpartition(":")[2]
        assert urlsplit(check["test"][-1]).netloc == f"127.0.0.1:{port}"
        assert {"interval", "timeout", "retries", "start_period"} <= set(check), name


def test_only_this_machine_is_listened_to(containers: Containers) -> None:
    published = {name: container["ports"] for name, container in containers.items() if "ports" in container}
    assert set(published) == _PUBLISHED | {"gateway"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_who_looks_need_not_reach_the_services(document: dict[str, Any], containers: Containers) -> None:
    assert document["networks"]["watch"] == {"internal": True}
    in_the_suite = {name for name in _ADDED if "suite" in containers[name].get("networks", ())}
    assert in_the_suite == {"collector", "prometheus"}
    assert all("data" not in containers[name].get("networks", ()) for name in _ADDED)


def test_nothing_has_a_password_that_is_known(document: dict[str, Any], containers: Containers) -> None:
    for name, container in containers.items():
        for variable, value in container.get("environment", {}).items():
            if re.search(r"password|secret|token|_key", variable, re.IGNORECASE):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in container["secrets"]
    assert (
        containers["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"]
        == "/run/secrets/grafana-password"
    )
    assert document["secrets"] == {
        name: {"file": f"./secrets/{name}"} for name in ("gateway-admin-key", "grafana-password")
    }


def test_the_gateways_settings_exist(containers: Containers) -> None:
    environment = containers["gateway"]["environment"]
    given = {variable for variable in environment if not variable.startswith("OTEL_")}
    fields = {variable.removeprefix("GATEWAY_").lower() for variable in given}
    assert fields == {"admin_host", "admin_port", "admin_key_file"}
    assert fields <= set(GatewaySettings.model_fields)


def test_prometheus_asks_every_process_that_listens(containers: Containers, suite: Containers) -> None:
    asked = {
        (job["job_name"], target)
        for job in _read(FOLDER / "prometheus" / "prometheus.yaml")["scrape_configs"]
        for config in job["static_configs"]
        for target in config["targets"]
    }
    replicas = {name for name in suite if re.fullmatch(rf"({'|'.join(SERVICES)})-\d", name)}
    expected = {
        (name[:-2], f"{name}:{suite[name]['environment'][f'{name[:-2].upper()}_PORT']}") for name in replicas
    }
    admin_port = containers["gateway"]["environment"]["GATEWAY_ADMIN_PORT"]
    assert asked == expected | {("gateway", f"gateway:{admin_port}")}


def test_prometheus_has_the_key_that_it_sends(containers: Containers) -> None:
    (job,) = (
        job
        for job in _read(FOLDER / "prometheus" / "prometheus.yaml")["scrape_configs"]
        if "authorization" in job
    )
    secret = job["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert secret in containers["prometheus"]["secrets"]
    assert containers["gateway"]["environment"]["GATEWAY_ADMIN_KEY_FILE"] == f"/run/secrets/{secret}"


def test_what_is_mounted_exists(containers: Containers) -> None:
    for name in _ADDED:
        for volume in containers[name].get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).resolve().exists(), volume
                assert volume.endswith(":ro"), volume


def test_every_address_is_a_container_in_reach(merged: Containers) -> None:
    sources = _read(FOLDER / "grafana" / "provisioning" / "datasources" / "kontor.yaml")["datasources"]
    addresses = {("grafana", urlsplit(source["url"]).netloc) for source in sources}
    prometheus = _read(FOLDER / "prometheus" / "prometheus.yaml")
    (told,) = prometheus["alerting"]["alertmanagers"]
    addresses |= {("prometheus", target) for config in told["static_configs"] for target in config["targets"]}
    exporters = _read(FOLDER / "collector" / "collector.yaml")["exporters"]
    addresses |= {("collector", urlsplit(exporter["endpoint"]).netloc) for exporter in exporters.values()}
    ports = {"prometheus": {"9090"}, "alertmanager": {"9093"}, "jaeger": {"4318"}}
    for who, address in addresses:
        name, _, port = address.partition(":")
        assert port in ports[name], address
        assert set(merged[who]["networks"]) & set(merged[name]["networks"]), f"{who} cannot reach {name}"


def test_a_histograms_dots_lead_to_jaegers_page(containers: Containers, suite: Containers) -> None:
    sources = _read(FOLDER / "grafana" / "provisioning" / "datasources" / "kontor.yaml")["datasources"]
    (link,) = (one for source in sources for one in source["jsonData"].get("exemplarTraceIdDestinations", ()))
    # Grafana fills in its environment's variables, and makes one dollar of two.
    assert link["url"] == "http://127.0.0.1:$JAEGER_PORT/trace/$${__value.raw}"
    port = containers["grafana"]["environment"]["JAEGER_PORT"]
    assert suite["jaeger"]["ports"] == [f"127.0.0.1:{port}:16686"]


def test_grafana_finds_its_dashboards(containers: Containers) -> None:
    (provider,) = _read(FOLDER / "grafana" / "provisioning" / "dashboards" / "kontor.yaml")["providers"]
    mount = f"../observability/grafana/dashboards:{provider['options']['path']}:ro"
    assert mount in containers["grafana"]["volumes"]
