"""The store on a disk without room: SQLite's own limit of pages stands for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest

from protos.session.v1 import session_pb2 as pb
from services.gateway.store import Store
from services.runtime.stage import OverloadedError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    path = tmp_path / "sessions.db"
    await (await Store.open(path)).close()
    async with aiosqlite.connect(path) as opened:
        yield opened


async def test_without_room_one_is_told_what_to_do_and_nothing_is_kept_in_part(database: aiosqlite.Connection) -> None:
    store, long_title = Store(database), "x" * 100_000
    await database.execute("PRAGMA max_page_count=1")  # no more than there are
    with pytest.raises(OverloadedError, match="database or disk is full.*make room on the disk of SENSORIUM_DATA"):
        await store.create("s", pb.LiveConfig(title=long_title), is_passing=True)
    await database.execute("PRAGMA max_page_count=1000")
    await store.create("s", pb.LiveConfig(title=long_title), is_passing=True)
    assert (await store.get("s")).title == long_title
