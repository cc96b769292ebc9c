"""The store when it cannot write (SQLite's own limit of pages stands for a full disk), and while it writes."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path

import aiosqlite
import numpy as np
import pytest

from protos.session.v1 import session_pb2 as pb
from services.gateway.store import Store, opened
from services.gateway.voices import Voices
from services.runtime.errors import NotFoundError
from services.runtime.stage import OverloadedError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """The connection that the store writes with."""
    path = tmp_path / "sessions.db"
    await (await Store.open(path)).close()
    async with aiosqlite.connect(path, timeout=0.1) as opened:
        yield opened


@pytest.fixture
async def store(database: aiosqlite.Connection, tmp_path: Path) -> AsyncIterator[Store]:
    async with aiosqlite.connect(tmp_path / "sessions.db") as reader:
        yield Store(database, reader)


async def test_without_room_one_is_told_what_to_do_and_nothing_is_kept_in_part(
    database: aiosqlite.Connection, store: Store
) -> None:
    long_title = "x" * 100_000
    await database.execute("PRAGMA max_page_count=1")  # no more than there are
    with pytest.raises(OverloadedError, match="database or disk is full.*make room on the disk of SENSORIUM_DATA"):
        await store.create("s", pb.LiveConfig(title=long_title), is_passing=True)
    await database.execute("PRAGMA max_page_count=1000")
    await store.create("s", pb.LiveConfig(title=long_title), is_passing=True)
    assert (await store.get("s")).title == long_title


async def test_what_keeps_a_write_from_being_kept_is_called_what_it_is(
    database: aiosqlite.Connection, store: Store, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "sessions.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OverloadedError, match="locked.*another program holds the file of SENSORIUM_DATA: close it"):
            await store.create("s", pb.LiveConfig())
    await database.execute("PRAGMA query_only=ON")  # as a disk that became read-only
    with pytest.raises(OverloadedError, match="readonly.*allow this user to write into SENSORIUM_DATA"):
        await store.create("s", pb.LiveConfig())
    await database.execute("PRAGMA query_only=OFF")
    await store.create("s", pb.LiveConfig())


async def test_a_read_does_not_see_what_is_only_being_written(store: Store) -> None:
    await store.create("s", pb.LiveConfig())
    with pytest.raises(RuntimeError, match="stopped"):
        async with store._transaction() as database:
            await database.execute("DELETE FROM sessions WHERE id = 's'")
            assert (await store.get("s")).id == "s"
            raise RuntimeError("stopped")
    await store.delete("s")
    with pytest.raises(NotFoundError):
        await store.get("s")


# An embedding as it is kept: of length 1.
unit = np.full(192, 192**-0.5, "<f4")
OPENERS = pytest.mark.parametrize(("open_", "what"), [(Store.open, "sessions"), (Voices.open, "voices")])


@OPENERS
async def test_a_file_that_is_no_database_is_told_with_its_name_and_left_alone(
    tmp_path: Path, open_: Callable[[Path], Awaitable[object]], what: str
) -> None:
    path = tmp_path / "kept.db"
    path.write_bytes(b"not a database " * 500)
    with pytest.raises(OSError, match=f"the {what} cannot be opened in .*kept.db: file is not a database; put it"):
        await open_(path)
    assert path.read_bytes() == b"not a database " * 500


@OPENERS
async def test_a_damaged_database_is_told_with_its_name(
    tmp_path: Path, open_: Callable[[Path], Awaitable[Store | Voices]], what: str
) -> None:
    path = tmp_path / "kept.db"
    await (await open_(path)).close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(OSError, match=f"the {what} cannot be opened in .*kept.db: .*malformed.*; put it aside"):
        await open_(path)


@pytest.mark.parametrize("embedding", [b"1234567", unit.tobytes()[:-4], b"", "text", b"\xff" * 768])
async def test_a_damaged_voice_is_told_with_its_row(tmp_path: Path, embedding: object) -> None:
    path = tmp_path / "kept.db"
    await (await Voices.open(path)).close()
    with closing(sqlite3.connect(path)) as database:
        for name, kept in (("ada", unit.tobytes()), ("eve", embedding)):
            database.execute("INSERT INTO voices VALUES (?, ?, ?, 'campplus-1', 9.0, 'her', 0)", (name, name, kept))
        database.commit()
    with pytest.raises(OSError, match="the voices cannot be opened in .*kept.db: row 2 .*malformed; put it aside"):
        await Voices.open(path)


@OPENERS
async def test_a_file_that_another_program_holds_is_told_with_its_name(
    tmp_path: Path, open_: Callable[[Path], Awaitable[object]], what: str
) -> None:
    path = tmp_path / "kept.db"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match=f"the {what} cannot be opened in .*kept.db: database is locked; another"):
            await open_(path)


@OPENERS
async def test_a_folder_that_cannot_be_made_is_told_with_the_file(
    tmp_path: Path, open_: Callable[[Path], Awaitable[object]], what: str
) -> None:
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(OSError, match=f"the {what} cannot be opened in .*kept.db: .*; let this user write there"):
        await open_(tmp_path / "data" / "kept.db")


@pytest.mark.parametrize(
    ("pragma", "sentence"),
    [("max_page_count=1", "disk is full; make room"), ("query_only=ON", "readonly database; allow this user to write")],
)
async def test_no_room_and_a_disk_that_is_read_only_are_told_when_a_file_is_opened(
    tmp_path: Path, pragma: str, sentence: str
) -> None:
    async def prepare(database: aiosqlite.Connection) -> None:
        await database.execute(f"PRAGMA {pragma}")
        await database.execute("CREATE TABLE kept (id)")

    with pytest.raises(OSError, match=f"the voices cannot be opened in .*kept.db: .*{sentence}"):
        await opened("the voices", tmp_path / "kept.db", prepare)


async def test_a_read_that_is_given_up_hides_nothing_that_is_written_later(store: Store) -> None:
    await store.create("s0", pb.LiveConfig())
    await store.append("s0", pb.Event(ended=pb.Ended()), "ended")

    async def read() -> None:
        await store.get("s0")
        async for _ in store.events("s0", 0):
            pass
        await store.summary("s0")
        await store.list(10)

    for steps in range(60):
        reading = asyncio.create_task(read())
        for _ in range(steps):
            await asyncio.sleep(0.0001)
        reading.cancel()
        await asyncio.wait([reading])
        await store.create(f"s{steps + 1}", pb.LiveConfig())
        assert (await store.get(f"s{steps + 1}")).id == f"s{steps + 1}"
