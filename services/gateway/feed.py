"""The numbered, kept and broadcast events of one session."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator

from protos.session.v1 import session_pb2 as pb
from services.gateway.store import Store

# Events waiting for one watcher; a slower one is served from the store again.
MAX_WATCHER_EVENTS = 512


class Watcher:
    """One reader of a session's events, in order; durable ones exactly once."""

    def __init__(self, last_seq: int) -> None:
        self.last_seq = last_seq
        self.must_catch_up = True
        self._events: deque[pb.Event] = deque()
        self._changed = asyncio.Event()

    def offer(self, event: pb.Event) -> None:
        """Queue an event; on overflow forget the queue and catch up from the store."""
        if len(self._events) >= MAX_WATCHER_EVENTS:
            self._events.clear()
            self.must_catch_up = True
        self._events.append(event)
        self._changed.set()

    def wake(self) -> None:
        """Let the reader look again."""
        self._changed.set()

    def take(self) -> pb.Event | None:
        """The next queued event that was not delivered yet; one that was kept beside this feed is caught up with."""
        while self._events:
            if self._events[0].seq > self.last_seq + 1:
                self.must_catch_up = True
                return None
            event = self._events.popleft()
            if event.seq == 0:
                return event
            if event.seq > self.last_seq:
                self.last_seq = event.seq
                return event
        return None

    async def wait(self) -> None:
        """Return when there may be something new."""
        await self._changed.wait()
        self._changed.clear()


class Feed:
    """Appends events to the store and tells watchers; nobody hears of a durable event before it is kept."""

    def __init__(self, session_id: str, store: Store) -> None:
        self.session_id = session_id
        self.is_closed = False
        self._store = store
        self._watchers: set[Watcher] = set()
        # What each expert that is away said last: who begins to watch after it was told hears of it too.
        self._away: dict[str, pb.Event] = {}
        self._writing = asyncio.Lock()

    def history(self, after_seq: int = 0) -> AsyncIterator[pb.Event]:
        """Kept events after a number. Raises NotFoundError."""
        return self._store.events(self.session_id, after_seq)

    async def append(self, event: pb.Event, subject: str = "") -> None:
        """Number an event, keep it, then tell everybody; `subject` is the id that a later event may replace."""
        async with self._writing:
            event.unix_ms = int(time.time() * 1000)
            await self._store.append(self.session_id, event, subject)
            self._tell(event)

    def publish(self, event: pb.Event) -> None:
        """Tell everybody of an event that is not kept."""
        event.unix_ms = int(time.time() * 1000)
        if event.HasField("expert_status"):
            self._away.pop(event.expert_status.expert, None)
            if not event.expert_status.is_available:
                self._away[event.expert_status.expert] = event
        self._tell(event)

    def _tell(self, event: pb.Event) -> None:
        for watcher in self._watchers:
            watcher.offer(event)

    def close(self) -> None:
        """Let every watcher end once it has all."""
        self.is_closed = True
        for watcher in self._watchers:
            watcher.wake()

    async def watch(self, last_seq: int) -> AsyncIterator[pb.Event]:
        """Kept events after a number and who is away now, then everything as it happens, until the feed is closed.

        Raises NotFoundError.
        """
        watcher = Watcher(last_seq)
        for event in self._away.values():
            watcher.offer(event)
        self._watchers.add(watcher)
        try:
            while True:
                if watcher.must_catch_up:
                    watcher.must_catch_up = False
                    async for event in self.history(watcher.last_seq):
                        watcher.last_seq = event.seq
                        yield event
                if (next_event := watcher.take()) is not None:
                    yield next_event
                elif watcher.must_catch_up:
                    continue
                elif self.is_closed:
                    return
                else:
                    await watcher.wait()
        finally:
            self._watchers.discard(watcher)
