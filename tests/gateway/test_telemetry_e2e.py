"""Spans of the real gateway, decoded from what it really exports."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.testing.otlp import OtlpReceiver
from tests.gateway.processes import GatewayProcess, Replica

pytestmark = pytest.mark.process

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


async def test_one_server_span_and_a_client_span_per_attempt(tmp_path: Path) -> None:
    """The first replica dies of the request, so that there are two attempts."""
    with ExitStack() as stack:
        receiver = stack.enter_context(OtlpReceiver())
        replicas = [Replica("a"), Replica("b")]
        for replica in replicas:
            stack.callback(replica.stop)
            await replica.until("requests", 0)
        gateway = GatewayProcess(tmp_path, replicas, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
        stack.callback(lambda: print(gateway.stop()))
        await gateway.until_ready()
        async with gateway.client() as client:
            # Until both are known to be healthy, and then until it is the first one's turn.
            while (await client.get("/x")).json()["replica"] != "a":
                continue
            while (await client.get("/x")).json()["replica"] != "b":
                continue
            answer = await client.get(
                "/die?only=a",
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "traced-1"},
            )
        assert await gateway.drain() == 0
        spans = [span for span in receiver.spans if span.trace_id == TRACE]

    (server,) = (span for span in spans if span.parent_span_id == PARENT)
    attempts = sorted((span for span in spans if span is not server), key=lambda span: span.start_ns)
    assert server.name == "GET /"
    assert server.attributes["http.route"] == "/"
    assert server.attributes["http.response.status_code"] == 200
    assert server.attributes["crm.request.id"] == "traced-1"
    assert [span.parent_span_id for span in attempts] == [server.span_id] * 2
    failed, answered = attempts
    assert failed.attributes["error.type"] == "broken"
    assert answered.attributes["http.request.resend_count"] == 1
    assert all(event.name == "balance" for span in attempts for event in span.events)
    assert [event.name for event in server.events] == ["retry"]
    assert answered.attributes["http.response.status_code"] == 200
    sent = dict(answer.json()["headers"])["traceparent"]
    assert sent == f"00-{TRACE}-{answered.span_id}-01"
