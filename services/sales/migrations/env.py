"""Alembic's environment of the sales service."""

from services.sales.app import SERVICE
from shared.database.migrations import run_environment

run_environment(SERVICE.metadata)
