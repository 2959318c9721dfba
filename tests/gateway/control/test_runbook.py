"""What the runbook shows is what works."""

from pathlib import Path
from textwrap import dedent

from services.gateway.config import parse

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbooks" / "gateway.md"


def test_the_document_of_a_gateway_alone() -> None:
    text = RUNBOOK.read_text().partition("    # gateway.yaml\n")[2].partition("\n\n")[0]
    snapshot = parse(dedent(text))
    assert (snapshot.auth, set(snapshot.upstreams)) == ("none", {"api", "web"})
    route = snapshot.routes.match(b"/api/x")
    assert route is not None
    assert route.target(b"/api/x", b"") == b"/x"
