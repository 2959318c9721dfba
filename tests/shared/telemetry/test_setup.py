import subprocess
import sys

import pytest

from shared.telemetry.setup import configure, sampled_share, traces_endpoint
from shared.testing.otlp import OtlpReceiver


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/otlp/"}, "http://c:4318/otlp/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://c/t"}, "https://c/t"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b/t"},
            "http://b/t",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_the_endpoint_comes_from_the_standard_variables(
    environ: dict[str, str], endpoint: str | None
) -> None:
    assert traces_endpoint(environ) == endpoint


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match="collector:4317"):
        configure(
            "t", version="1", instance_id="t-1", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}
        )


@pytest.mark.parametrize("text", ["x", "-0.1", "1.01", "nan"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="OTEL_TRACES_SAMPLER_ARG"):
        sampled_share({"OTEL_TRACES_SAMPLER_ARG": text})


def test_silence_without_an_endpoint() -> None:
    telemetry = configure("t", version="1", instance_id="t-1", environ={})
    assert telemetry.outbox is None
    telemetry.shutdown()


def test_importing_the_package_loads_no_sdk_and_no_database_driver() -> None:
    code = (
        "import sys, shared.telemetry.setup, shared.telemetry.server, shared.telemetry.client,"
        "shared.telemetry.database, shared.logs.setup, shared.logs.access\n"
        "print([n for n in ('opentelemetry.sdk', 'google.protobuf', 'sqlalchemy') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_shutdown_may_be_called_twice() -> None:
    with OtlpReceiver() as receiver:
        telemetry = configure(
            "t",
            version="1",
            instance_id="t-1",
            environ={"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint},
        )
        telemetry.shutdown()
        telemetry.shutdown()
