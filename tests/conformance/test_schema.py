"""The tables as the models declare them are the tables that the migrations make."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from shared.service.definition import Service
from shared.testing.databases import Templates
from tests.conformance.catalogue import every_service


@every_service()
async def test_models_and_migrations_agree(service: Service, templates: Templates) -> None:
    migrated = make_url(templates.clone(service.name)).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(migrated)
    async with engine.connect() as connection:
        differences = await connection.run_sync(_differences, service)
    await engine.dispose()
    assert differences == []


@every_service()
async def test_indexes_are_those_of_the_models(service: Service, templates: Templates) -> None:
    """Alembic cannot compare expressions, so PostgreSQL is asked to write both down in its own words."""
    url = make_url(templates.clone(service.name)).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        migrated = await connection.run_sync(_indexes)
        await connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        await connection.exec_driver_sql("CREATE SCHEMA public")
        await connection.run_sync(service.metadata.create_all)
        declared = await connection.run_sync(_indexes)
    await engine.dispose()
    assert {name: migrated.get(name) for name in declared} == declared


def _differences(connection: Connection, service: Service) -> list[Any]:
    partitions = {
        row[0] for row in connection.exec_driver_sql("SELECT relname FROM pg_class WHERE relispartition")
    }

    def ours(_object: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
        return not (kind == "table" and name in partitions)

    options = {"compare_type": True, "compare_server_default": False, "include_object": ours}
    found = compare_metadata(MigrationContext.configure(connection, opts=options), service.metadata)
    return [one for one in found if one[0] not in ("add_index", "remove_index")]  # see the test below


def _indexes(connection: Connection) -> dict[str, str]:
    # Not the primary keys: `create_all` puts a generated column first, where a migration keeps our order.
    statement = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'pk%'"
    )
    return {row[0]: row[1] for row in connection.exec_driver_sql(statement)}
