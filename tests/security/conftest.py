from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.functions import Functions, running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def functions(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Functions]:
    """A Manager for the tests of one module, each with functions of its own."""
    async with running(tmp_path_factory.mktemp("execution")) as made:
        yield made
