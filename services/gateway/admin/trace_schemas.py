"""What the admin API tells of traces. All durations are nanoseconds, exact: the terms add up to `total_ns`."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.admin.schemas import Answer

Term = Literal["processing", "network", "system"]
TENANT = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
Reason = Literal["sampled", "asked", "error", "slow", "recent"]


class Terms(Answer):
    """The response-time formula: `total_ns` = `processing_ns` + `network_ns` + `system_ns`."""

    processing_ns: int
    network_ns: int
    system_ns: int
    total_ns: int
    dominant: Term


class Trace(Terms):
    """One request through the gateway. `kept`: why it is remembered."""

    worker: int
    trace_id: str
    request_id: str
    start_unix_ns: int
    method: str
    route: str | None
    upstream: str | None
    status: int | None = Field(description="Null when the caller left before an answer.")
    error: str | None
    kept: Reason
    attempts: int


class Hop(Terms):
    """The gateway, or the replica of one attempt as it told of its own time. `components` are what is not 0."""

    hop: str
    address: str | None
    attempt: int | None
    components: dict[str, int]


class Event(Answer):
    """Of a span: what was decided, and why."""

    name: str
    time_unix_ns: int
    attributes: dict[str, Any]


class Span(Answer):
    """A span of the gateway as it is exported. The services' own spans are with the collector."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    service: str
    kind: str
    name: str
    start_unix_ns: int
    end_unix_ns: int
    attributes: dict[str, Any]
    events: list[Event]
    error: str | None


class ExplainedRequest(Trace):
    """With every hop's terms, and the spans."""

    hops: list[Hop]
    spans: list[Span]


class ExplainedTrace(Answer):
    """The requests of one trace that are remembered, in their order."""

    trace_id: str
    requests: list[ExplainedRequest]


class RecordingOrder(BaseModel):
    """Which requests to keep, all of them: of a route by its prefix, of a tenant, or any."""

    model_config = ConfigDict(extra="forbid")

    route: str | None = Field(None, description="As `/admin/routes` gives it as `prefix`.")
    tenant: str | None = Field(None, pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
    for_s: float = Field(60, gt=0, le=3600)
    most: int = Field(100, ge=1, le=1000, description="Of each worker.")


class Recording(Answer):
    """An order in force. `left`: how many requests all `workers` together will still keep."""

    route: str | None
    tenant: str | None
    for_s: float
    left: int
    workers: list[int]
