"""Templates: made once, also when making one fails."""

import pytest

from shared.testing.databases import Templates


def _templates(executed: list[str], migrated: list[str], failures: dict[str, Exception]) -> Templates:
    def migrate(service: str, url: str) -> None:
        migrated.append(url)
        if service in failures:
            raise failures[service]

    return Templates(lambda database: f"postgresql://{database}", executed.append, migrate)


def test_a_schema_is_made_once_and_cloned_for_everyone() -> None:
    executed: list[str] = []
    migrated: list[str] = []
    templates = _templates(executed, migrated, {})
    assert [templates.clone("sales"), templates.clone("sales")] == [
        "postgresql://sales_1",
        "postgresql://sales_2",
    ]
    assert migrated == ["postgresql://template_sales"]
    assert executed == [
        "CREATE DATABASE template_sales",
        "CREATE DATABASE sales_1 TEMPLATE template_sales",
        "CREATE DATABASE sales_2 TEMPLATE template_sales",
    ]


def test_a_failed_migration_is_told_to_everyone_and_not_tried_again() -> None:
    executed: list[str] = []
    migrated: list[str] = []
    failure = ValueError("revision 0002 does not apply")
    templates = _templates(executed, migrated, {"sales": failure})
    for _ in range(3):
        with pytest.raises(ValueError, match="0002 does not apply") as told:
            templates.clone("sales")
        assert told.value is failure
    assert executed == ["CREATE DATABASE template_sales"]
    assert templates.clone("tickets") == "postgresql://tickets_1"
    assert migrated == ["postgresql://template_sales", "postgresql://template_tickets"]
