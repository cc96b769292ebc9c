"""Kept sessions: SQLite in WAL mode. A durable event is on disk before anybody is told of it."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import aiosqlite

from protos.media.v1 import media_pb2
from protos.session.v1 import session_pb2 as pb
from services.runtime.errors import NotFoundError
from services.runtime.percept import Checkpoint
from services.runtime.stage import OverloadedError

T = TypeVar("T")

log = logging.getLogger(__name__)

# Whoever has room to make, or another program to close, needs some time.
RETRY_NOT_KEPT_S = 30.0
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another program holds the file of SENSORIUM_DATA: close it",
    sqlite3.SQLITE_LOCKED: "another program holds the file of SENSORIUM_DATA: close it",
    sqlite3.SQLITE_READONLY: "allow this user to write into SENSORIUM_DATA",
    sqlite3.SQLITE_FULL: "make room on the disk of SENSORIUM_DATA",
    sqlite3.SQLITE_NOTADB: "put it aside, or a whole one of before in its place",
    sqlite3.SQLITE_CORRUPT: "put it aside, or a whole one of before in its place",
}
_ANY_REMEDY = "look at the disk of SENSORIUM_DATA"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    config BLOB NOT NULL,
    started_unix_ms INTEGER NOT NULL,
    received_sample INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS events (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (session_id, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS checkpoints (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    expert TEXT NOT NULL,
    resume_sample INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (session_id, expert)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS token_spans (
    session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
    source_id TEXT NOT NULL,
    space_id TEXT NOT NULL,
    span BLOB NOT NULL,
    PRIMARY KEY (session_id, source_id, space_id)
);
CREATE TABLE IF NOT EXISTS passing (
    session_id TEXT PRIMARY KEY REFERENCES sessions(id) ON DELETE CASCADE
) WITHOUT ROWID;
"""
_PAGE = 500


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One row of the session table; `received_sample` is as of the last checkpoint."""

    id: str
    title: str
    config: pb.LiveConfig
    started_unix_ms: int
    received_sample: int
    has_ended: bool


def make_private(path: Path) -> None:
    """Create a file that is not there, and let its owner alone read it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite gives what it lays beside a file the permissions of the file.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _remedy(error: sqlite3.Error) -> str:
    # The low byte tells the kind of error, the rest its variety; what SQLite itself did not raise has no code.
    return _REMEDIES.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, _ANY_REMEDY)


def not_kept(error: sqlite3.OperationalError) -> OverloadedError:
    """What a failed write means to a user: why, and what to do before the next try."""
    return OverloadedError(f"this cannot be kept ({error}): {_remedy(error)}, then try again", RETRY_NOT_KEPT_S)


async def opened(what: str, path: Path, prepare: Callable[[aiosqlite.Connection], Awaitable[T]]) -> T:
    """Open or create a database file for its owner alone, and what `prepare` makes of it.

    Raises OSError with what is in it, the file, and what to do: not writable, locked, damaged, or no room.
    """
    try:
        make_private(path)
        database = await aiosqlite.connect(path)
        try:
            return await prepare(database)
        except BaseException:
            await database.close()
            raise
    except sqlite3.Error as error:
        raise OSError(f"{what} cannot be opened in {path}: {error}; {_remedy(error)}") from error
    except OSError as error:
        why = error.strerror or error
        raise OSError(
            f"{what} cannot be opened in {path}: {why}; let this user write there (SENSORIUM_DATA)"
        ) from error


@asynccontextmanager
async def kept(database: aiosqlite.Connection) -> AsyncIterator[None]:
    """All that is written in the block is kept when it ends, or nothing of it. Raises OverloadedError: not kept."""
    try:
        yield
        await database.commit()
    except BaseException as error:
        await database.rollback()
        if isinstance(error, sqlite3.OperationalError):
            raise not_kept(error) from error
        raise


class Store:
    """All sessions of one gateway. Every write is committed when its method returns; reads see nothing else.

    `database` writes, `reader` is a second connection to its file.
    """

    def __init__(self, database: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._database = database
        self._reader = reader
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> "Store":
        """Open or create the database file. Raises OSError as `opened`."""
        return await opened("the sessions", path, partial(cls._prepared, path=path))

    @classmethod
    async def _prepared(cls, database: aiosqlite.Connection, path: Path) -> "Store":
        await database.execute("PRAGMA journal_mode=WAL")
        # In WAL mode NORMAL survives the death of the process; FULL would also survive the machine's.
        await database.execute("PRAGMA synchronous=NORMAL")
        await database.execute("PRAGMA foreign_keys=ON")
        await database.execute("PRAGMA secure_delete=ON")
        await database.executescript(_SCHEMA)
        # A process that was killed could not forget them itself.
        await database.execute("DELETE FROM sessions WHERE id IN (SELECT session_id FROM passing)")
        await database.commit()
        # What is being written is not seen before its commit by others than the connection that writes.
        reader = await aiosqlite.connect(path)
        await reader.execute("PRAGMA query_only=ON")
        return cls(database, reader)

    async def close(self) -> None:
        """Close the file."""
        await self._reader.close()
        await self._database.close()

    async def create(self, session_id: str, config: pb.LiveConfig, *, is_passing: bool = False) -> StoredSession:
        """Begin a session; a passing one is not listed, and forgotten at the latest when the file is opened again."""
        now = int(time.time() * 1000)
        async with self._transaction() as database:
            await database.execute(
                "INSERT INTO sessions(id, title, config, started_unix_ms) VALUES (?, ?, ?, ?)",
                (session_id, config.title, config.SerializeToString(), now),
            )
            if is_passing:
                await database.execute("INSERT INTO passing(session_id) VALUES (?)", (session_id,))
        return StoredSession(session_id, config.title, config, now, 0, False)

    async def create_ended(
        self, session_id: str, config: pb.LiveConfig, events: Sequence[tuple[pb.Event, str]]
    ) -> StoredSession:
        """Keep a whole session at once or not at all: its events in order, each with its subject."""
        now = int(time.time() * 1000)
        rows = []
        for seq, (event, subject) in enumerate(events, 1):
            event.seq, event.unix_ms = seq, now
            rows.append((session_id, seq, event.WhichOneof("event"), subject, event.SerializeToString()))
        async with self._transaction() as database:
            await database.execute(
                "INSERT INTO sessions(id, title, config, started_unix_ms, ended) VALUES (?, ?, ?, ?, 1)",
                (session_id, config.title, config.SerializeToString(), now),
            )
            await database.executemany(
                "INSERT INTO events(session_id, seq, kind, subject, event) VALUES (?, ?, ?, ?, ?)", rows
            )
        return StoredSession(session_id, config.title, config, now, 0, True)

    async def save_config(self, session_id: str, config: pb.LiveConfig) -> None:
        """Keep a session's changed settings."""
        await self._write("UPDATE sessions SET config = ? WHERE id = ?", (config.SerializeToString(), session_id))

    async def get(self, session_id: str) -> StoredSession:
        """One session. Raises NotFoundError."""
        rows = await self._rows(
            "SELECT id, title, config, started_unix_ms, received_sample, ended FROM sessions WHERE id = ?",
            (session_id,),
        )
        if not rows:
            raise NotFoundError(f"no session {session_id!r}; `sensorium sessions` lists those that are kept")
        (row,) = rows
        return StoredSession(row[0], row[1], pb.LiveConfig.FromString(row[2]), row[3], row[4], bool(row[5]))

    async def append(self, session_id: str, event: pb.Event, subject: str = "") -> None:
        """Give an event the session's next number and keep it; `subject` is the id that a later event may replace."""
        kind = event.WhichOneof("event")
        async with self._transaction() as database:
            event.seq = await self.last_seq(session_id) + 1
            await database.execute(
                "INSERT INTO events(session_id, seq, kind, subject, event) VALUES (?, ?, ?, ?, ?)",
                (session_id, event.seq, kind, subject, event.SerializeToString()),
            )
            if kind == "ended":
                await database.execute("UPDATE sessions SET ended = 1 WHERE id = ?", (session_id,))
                # Nobody resumes it any more, and diarization's state tells how everybody sounds.
                await database.execute("DELETE FROM checkpoints WHERE session_id = ?", (session_id,))

    async def last_seq(self, session_id: str) -> int:
        """Newest number kept, 0 for none."""
        ((seq,),) = await self._rows("SELECT COALESCE(MAX(seq), 0) FROM events WHERE session_id = ?", (session_id,))
        return int(seq)

    async def events(self, session_id: str, after_seq: int = 0) -> AsyncIterator[pb.Event]:
        """Kept events after a number, in order, read page by page. Raises NotFoundError."""
        await self.get(session_id)
        while True:
            page = await self._rows(
                "SELECT seq, event FROM events WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
                (session_id, after_seq, _PAGE),
            )
            for seq, blob in page:
                after_seq = seq
                yield pb.Event.FromString(blob)
            if len(page) < _PAGE:
                return

    async def save_checkpoint(self, session_id: str, expert: str, checkpoint: Checkpoint, received_sample: int) -> None:
        """Keep an expert's newest restart position."""
        async with self._transaction() as database:
            await database.execute(
                "INSERT INTO checkpoints VALUES (?, ?, ?, ?) ON CONFLICT(session_id, expert) DO UPDATE "
                "SET resume_sample = excluded.resume_sample, state = excluded.state",
                (session_id, expert, checkpoint.resume_sample, checkpoint.state),
            )
            await database.execute(
                "UPDATE sessions SET received_sample = ? WHERE id = ?", (received_sample, session_id)
            )

    async def save_span(self, session_id: str, span: media_pb2.TokenSpan) -> None:
        """Keep what an adapter made of an utterance or a place of the screen, in the place of what it made before."""
        await self._write(
            "INSERT OR REPLACE INTO token_spans(session_id, source_id, space_id, span) VALUES (?, ?, ?, ?)",
            (session_id, span.replaces, span.embeddings.space_id, span.SerializeToString()),
        )

    async def spans(self, session_id: str) -> AsyncIterator[media_pb2.TokenSpan]:
        """All that adapters made of a session, in order of time of their keeping, read page by page."""
        after_row = 0
        while True:
            page = await self._rows(
                "SELECT rowid, span FROM token_spans WHERE session_id = ? AND rowid > ? ORDER BY rowid LIMIT ?",
                (session_id, after_row, _PAGE),
            )
            for row, blob in page:
                after_row = row
                yield media_pb2.TokenSpan.FromString(blob)
            if len(page) < _PAGE:
                return

    async def checkpoints(self, session_id: str) -> dict[str, Checkpoint]:
        """Newest restart position by expert."""
        rows = await self._rows(
            "SELECT expert, resume_sample, state FROM checkpoints WHERE session_id = ?", (session_id,)
        )
        return {expert: Checkpoint(resume_sample, state) for expert, resume_sample, state in rows}

    async def list(self, limit: int, after: tuple[int, str] | None = None) -> list[StoredSession]:
        """Sessions, newest first, those of one millisecond by their ids; those that come after a (unix_ms, id)."""
        unix_ms, session_id = after if after is not None else (2**62, "")
        rows = await self._rows(
            "SELECT id FROM sessions WHERE (started_unix_ms < ? OR started_unix_ms = ? AND id > ?) "
            "AND id NOT IN (SELECT session_id FROM passing) ORDER BY started_unix_ms DESC, id LIMIT ?",
            (unix_ms, unix_ms, session_id, limit),
        )
        return [await self.get(session_id) for (session_id,) in rows]

    async def summary(self, session_id: str) -> pb.SessionSummary:
        """What a list shows of one session. Raises NotFoundError."""
        session = await self.get(session_id)
        newest: dict[str, pb.Event] = {}
        for subject, blob in await self._rows(
            "SELECT subject, event FROM events WHERE session_id = ? AND kind IN ('utterance', 'ended') ORDER BY seq",
            (session_id,),
        ):
            newest[subject] = pb.Event.FromString(blob)
        languages: dict[str, int] = {}
        end_sample = session.received_sample
        for event in newest.values():
            end_sample = max(end_sample, event.utterance.end_sample, event.ended.end_sample)
            language = event.utterance.language
            languages[language] = languages.get(language, 0) + len(event.utterance.words)
        languages.pop("", None)
        return pb.SessionSummary(
            session_id=session.id,
            title=session.title,
            started_unix_ms=session.started_unix_ms,
            end_sample=end_sample,
            language=max(languages, key=lambda tag: languages[tag], default=""),
            utterances=sum(event.HasField("utterance") for event in newest.values()),
            last_seq=await self.last_seq(session_id),
            missing=newest["ended"].ended.missing if "ended" in newest else (),
        )

    async def delete(self, session_id: str) -> None:
        """Forget a session; its bytes are overwritten. Raises NotFoundError."""
        await self.get(session_id)
        await self._write("DELETE FROM sessions WHERE id = ?", (session_id,))
        async with self._writing:
            ((is_busy, *_),) = await self._database.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")
        if is_busy:
            # Another program reads just now; the next checkpoint takes the deleted bytes out of the log.
            log.info("checkpoint put off")

    async def _rows(self, query: str, parameters: tuple[object, ...]) -> Sequence[sqlite3.Row]:
        """All rows that a query gives, of what is committed.

        Read in one go: rows that somebody who was cancelled left unread would keep every later read at that moment.
        """
        return tuple(await self._reader.execute_fetchall(query, parameters))

    async def _write(self, statement: str, parameters: tuple[object, ...]) -> None:
        async with self._transaction() as database:
            await database.execute(statement, parameters)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """As `kept`, one after the other."""
        async with self._writing, kept(self._database):
            yield self._database
