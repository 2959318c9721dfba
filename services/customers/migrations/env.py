"""Alembic's environment of the customers service."""

from services.customers.app import SERVICE
from shared.database.migrations import run_environment

run_environment(SERVICE.metadata)
