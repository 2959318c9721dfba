"""Write what follows from the objectives and from the dashboards' descriptions into this folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.observability.burn_rules import burn_rules
from deploy.observability.objectives import BURN_RATES, OBJECTIVES
from deploy.observability.panels import read, render

FOLDER = Path(__file__).parent
_WRITTEN = "# Written by `python -m deploy.observability` from objectives.py: change that instead.\n"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as it reads."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def rule_file(content: Mapping[str, Any]) -> str:
    """A rule file's text."""
    return _WRITTEN + yaml.dump(
        dict(content), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000
    )


def generated() -> dict[str, str]:
    """Every generated file, by its path in this folder."""
    files = {"prometheus/rules/objectives.yaml": rule_file(burn_rules(OBJECTIVES, BURN_RATES))}
    for path in sorted((FOLDER / "dashboards").glob("*.yaml")):
        content = json.dumps(render(read(path)), indent=1, ensure_ascii=False)
        files[f"grafana/dashboards/{path.stem}.json"] = content + "\n"
    return files


def main() -> None:
    """Write them."""
    for path, text in generated().items():
        (FOLDER / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
