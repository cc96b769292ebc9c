"""Remembered voices, in a file of their own that only its owner can read.

A voice is kept as an embedding, never as sound, together with who said yes and when. Deleted bytes are
overwritten. Nothing of it goes to a client or another service: matching is done in this process.
"""

import asyncio
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import aiosqlite
import numpy as np
from numpy.typing import NDArray

from services.gateway.store import kept, opened
from services.runtime.errors import ConflictError, NotFoundError
from services.runtime.percept import SpeakerVoice
from services.runtime.stage import MediaError, OverloadedError

MAX_NAME_CHARS = 80
MAX_CONSENT_CHARS = 200
# The false-accept rate is stated for so many (docs/voices.md).
MAX_VOICES = 50
_SCHEMA = """
CREATE TABLE IF NOT EXISTS voices (
    key TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    embedding BLOB NOT NULL,
    space_id TEXT NOT NULL,
    speech_s REAL NOT NULL,
    consent_by TEXT NOT NULL,
    consent_unix_ms INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """One remembered voice; `embedding` is (dimension,) float32 of length 1 in the space of `space_id`."""

    name: str
    embedding: NDArray[np.float32]
    space_id: str
    speech_s: float
    consent_by: str
    consent_unix_ms: int


def clean_name(name: str) -> str:
    """A person's name without needless spaces. Raises MediaError when nothing or too much is left."""
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME_CHARS:
        raise MediaError(f"a speaker's name has {len(name)} characters, must have 1 to {MAX_NAME_CHARS}")
    return name


def _embedding(row: int, kept: object) -> NDArray[np.float32]:
    """A kept embedding. Raises sqlite3.DatabaseError where it is none: then the file is damaged."""
    unit = np.empty(0, np.float32)
    if isinstance(kept, bytes) and len(kept) % 4 == 0:
        unit = np.frombuffer(kept, "<f4")
    # A cut or overwritten one has no length of 1 any more.
    if not abs(float(np.linalg.norm(unit)) - 1) < 1e-3:
        error = sqlite3.DatabaseError(f"row {row} of the table voices is malformed")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    return unit


class Voices:
    """All voices that one gateway remembers. Every change is on disk when its method returns."""

    def __init__(self, database: aiosqlite.Connection, known: dict[str, KnownVoice]) -> None:
        self._database = database
        self._known = known
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> "Voices":
        """Open or create the file. Raises OSError as `opened`."""
        return await opened("the voices", path, cls._prepared)

    @classmethod
    async def _prepared(cls, database: aiosqlite.Connection) -> "Voices":
        await database.execute("PRAGMA secure_delete=ON")
        await database.executescript(_SCHEMA)
        await database.commit()
        async with database.execute(
            "SELECT key, rowid, embedding, name, space_id, speech_s, consent_by, consent_unix_ms FROM voices"
        ) as rows:
            known = {row[0]: KnownVoice(row[3], _embedding(*row[1:3]), *row[4:]) async for row in rows}
        return cls(database, known)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    @property
    def known(self) -> Collection[KnownVoice]:
        """All of them, by name."""
        return [self._known[key] for key in sorted(self._known)]

    def check(self, name: str, consent_by: str, *, replace: bool) -> str:
        """The cleaned name when a voice may be added under it.

        Raises MediaError (name or consent), ConflictError (taken), OverloadedError (too many).
        """
        name = clean_name(name)
        if not 0 < len(consent_by.strip()) <= MAX_CONSENT_CHARS:
            raise MediaError(
                f"consent_by has {len(consent_by.strip())} characters, must have 1 to {MAX_CONSENT_CHARS}: "
                "say who agreed that this voice is remembered"
            )
        is_taken = name.casefold() in self._known
        if is_taken and not replace:
            raise ConflictError(
                f"a voice is remembered as {name!r} already; replace it (--replace) or choose another name"
            )
        if not is_taken and len(self._known) >= MAX_VOICES:
            raise OverloadedError(f"{MAX_VOICES} voices are remembered, which is the most; delete one first")
        return name

    async def add(self, name: str, voice: SpeakerVoice, consent_by: str, *, replace: bool = False) -> KnownVoice:
        """Remember a voice. Raises what `check` raises, OverloadedError: not kept."""
        async with self._writing:
            name = self.check(name, consent_by, replace=replace)
            vector = np.asarray(voice.embedding, "<f4")
            unit = (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype("<f4")
            now = int(time.time() * 1000)
            known = KnownVoice(name, unit, voice.space_id, voice.speech_s, " ".join(consent_by.split()), now)
            row = (name.casefold(), name, unit.tobytes(), known.space_id, known.speech_s, known.consent_by, now)
            await self._write("INSERT OR REPLACE INTO voices VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            self._known[name.casefold()] = known
            return known

    async def delete(self, name: str) -> None:
        """Forget a voice; its bytes are overwritten. Raises NotFoundError, OverloadedError: not kept."""
        key = " ".join(name.split()).casefold()
        async with self._writing:
            if key not in self._known:
                raise NotFoundError(f"no voice is remembered as {name!r}; `sensorium voices list` shows those that are")
            await self._write("DELETE FROM voices WHERE key = ?", (key,))
            del self._known[key]

    async def _write(self, statement: str, parameters: tuple[object, ...]) -> None:
        async with kept(self._database):
            await self._database.execute(statement, parameters)
