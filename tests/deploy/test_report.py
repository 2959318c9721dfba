"""What `make run` says when everything is up."""

import json
import subprocess
from pathlib import Path

from deploy.local.report import Facts, as_json, closing_words

FACTS = Facts(
    port=8001,
    api_key="kontor_secret",
    api_key_file=Path("/somewhere/api.key"),
    admin_port=9001,
    admin_key_file=Path("/some where/it's/admin.key"),
    logs=Path("/somewhere/logs"),
    seconds=3.21,
)


def test_what_commands_want_to_know_can_be_pasted_into_a_shell() -> None:
    exports = [line for line in closing_words(FACTS) if line.strip().startswith("export ")]
    script = "\n".join([*exports, "printenv KONTOR_API_KEY KONTOR_ADMIN_URL KONTOR_ADMIN_KEY_FILE"])
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        "kontor_secret",
        "http://127.0.0.1:9001/admin/",
        "/some where/it's/admin.key",
    ]


def test_machines_are_told_where_the_keys_are_and_not_what_they_are() -> None:
    told = as_json(FACTS)
    assert "kontor_secret" not in told
    assert json.loads(told)["admin_url"] == "http://127.0.0.1:9001/admin/"
