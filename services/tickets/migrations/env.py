"""Alembic's environment of the tickets service."""

from services.tickets.app import SERVICE
from shared.database.migrations import run_environment

run_environment(SERVICE.metadata)
