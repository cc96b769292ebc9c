"""Admission and draining of streams: a process takes at most so many and says so."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.runtime.errors import DrainingError
from services.runtime.load import Load
from services.runtime.stage import OverloadedError


class Streams:
    """Counts open streams. Beyond `limit`, or while those of `load` are late, a new one is refused."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.load = Load()
        self.active = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for the block. Raises OverloadedError, DrainingError."""
        if self._draining:
            raise DrainingError("the service is stopping; connect again")
        if self.active >= self.limit:
            raise OverloadedError(f"all {self.limit} streams are taken; try again later", retry_after_s=5.0)
        self.load.check_room()
        self.active += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.active -= 1
            if not self.active:
                self._idle.set()

    async def drain(self, grace_s: float) -> None:
        """Refuse new streams and wait until the open ones have ended, at most `grace_s` seconds."""
        self._draining = True
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            pass
