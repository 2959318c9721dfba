"""One small workspace that the tests only read."""

import pytest

from shared.testing.databases import Templates
from tests.deploy.demo.workspaces import Databases


@pytest.fixture(scope="session")
async def demo(templates: Templates) -> Databases:
    """Filled once."""
    databases = Databases.make(templates)
    await databases.fill()
    return databases
