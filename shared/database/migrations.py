"""Bringing a service's database to its newest schema.

Each service has a `migrations` folder of Alembic revisions named by number (`0001_…`). Alembic keeps its context in
process-wide state, so one process migrates one service; an advisory lock lets only one of them at a time do so.
"""

import asyncio
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

_LOCK = 0x6B6F6E746F72  # "kontor"; one number for all services, since each has a database of its own


def migrate(database_url: str, migrations: Path) -> None:
    """Upgrades to the newest revision. Safe to run by several processes at once; all but one wait."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")


def run_environment(metadata: MetaData) -> None:
    """What each `migrations/env.py` calls."""
    url = make_url(context.config.attributes["database_url"]).set(drivername="postgresql+asyncpg")
    asyncio.run(_run(url.render_as_string(hide_password=False), metadata))


async def _run(url: str, metadata: MetaData) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_upgrade, metadata)
        await connection.commit()
    await engine.dispose()


def _upgrade(connection: Connection, metadata: MetaData) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()
