"""Pages are answered in slices: others are let in while a large one is made."""

import asyncio

import orjson
import pytest

from haar.services.dynamodb.images import Image
from haar.services.dynamodb.limits import READ_CHUNK_MOST
from haar.services.dynamodb.queries import shown
from haar.services.dynamodb.reads import Page

ITEMS = [{"id": {"N": str(number)}, "text": {"S": "x"}} for number in range(4 * READ_CHUNK_MOST + 1)]


@pytest.mark.parametrize("count", [0, 1, READ_CHUNK_MOST, READ_CHUNK_MOST + 1, len(ITEMS)])
@pytest.mark.parametrize("project", [None, lambda item: {"id": item["id"]}])
def test_a_page_is_made_in_slices(count, project):
    page = Page(rows=[Image.of(item).data for item in ITEMS[:count]])
    turns = 0

    async def others():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def run():
        task = asyncio.get_running_loop().create_task(others())
        await asyncio.sleep(0)
        before = turns
        made = await shown(page, project)
        task.cancel()
        return made, turns - before

    made, let_in = asyncio.run(run())
    assert orjson.loads(orjson.dumps(made)) == [item if project is None else project(item) for item in ITEMS[:count]]
    assert let_in == max(0, -(-count // READ_CHUNK_MOST) - 1)
