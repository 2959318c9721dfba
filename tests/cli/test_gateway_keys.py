"""`kontor gateway new-key`: what it writes, the gateway reads."""

import pytest
import yaml
from typer.testing import CliRunner, Result

from cli.main import app
from services.gateway.auth.document import KeysDocument

TENANT = "01900000-0000-7000-8000-000000000001"


def new_key(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["gateway", "new-key", *arguments])


def test_the_gateway_knows_the_key_by_the_entry() -> None:
    first = new_key("partner", "--tenant", TENANT, "--scope", "deals:read", "--scope", "accounts:read")
    second = new_key("front", "--tenant", TENANT, "--principal", "app:front")
    ring = KeysDocument.model_validate(yaml.safe_load(f"keys:\n{first.stdout}{second.stdout}")).ring()
    caller = ring.find(first.stderr.strip().encode())
    assert caller is not None
    assert (caller.key_id, str(caller.identity.tenant_id)) == ("partner", TENANT)
    assert (caller.identity.principal, caller.identity.scopes) == (
        "key:partner",
        frozenset({"deals:read", "accounts:read"}),
    )
    other = ring.find(second.stderr.strip().encode())
    assert other is not None
    assert (other.identity.principal, other.identity.scopes) == ("app:front", frozenset())


def test_the_key_itself_is_in_no_file() -> None:
    made = new_key("partner", "--tenant", TENANT)
    assert made.stderr.startswith("kontor_")
    assert made.stderr.strip() not in made.stdout
    assert new_key("partner", "--tenant", TENANT).stderr != made.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(("a b", "--tenant", TENANT), "id: "), (("a", "--tenant", TENANT, "--principal", ""), "principal: ")],
)
def test_an_entry_that_cannot_be(arguments: tuple[str, ...], complaint: str) -> None:
    refused = new_key(*arguments)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(complaint)
