"""One observed session: timeline at once, index and live context behind it."""

import asyncio
import itertools
import logging
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

from engines.residency import give_back
from protos.decoder.v1 import decoder_pb2 as pb
from services.decoder.cache import Float
from services.decoder.context import LiveContext, Scribe
from services.decoder.lineindex import MAX_LINES
from services.decoder.lines import Line, shown_line, spoken_lines
from services.decoder.naming import FoundName, Naming
from services.decoder.pictures import MAX_PICTURES
from services.decoder.retrieval import Hit, Index
from services.decoder.terms import ContextTerm, ContextTerms
from services.decoder.timeline import ScreenLine, Timeline
from services.runtime.percept import ScreenState, SpeakerTurn, Transcript

log = logging.getLogger(__name__)

T = TypeVar("T")
# Entries that the live context has not noted yet, as it does before each step of the work behind; where there is no
# context the oldest fall out. All of them stay in the timeline and in the index.
MAX_WAITING_ENTRIES = 512
# Where the work behind has failed a question alone takes these, so the oldest fall out: lines and pictures as many as
# the index keeps, and spellings, of which one has up to 230 kB.
MAX_WAITING_LINES, MAX_WAITING_SPELLINGS, MAX_WAITING_PICTURES = MAX_LINES, 512, MAX_PICTURES
# A question that no line answers waits so long for those that are not embedded yet.
INDEX_WAIT_S = 10.0
# An answer out of the live context waits so long for what was said last to be written there.
WRITE_WAIT_S = 10.0
# Sources that one executor job takes in, some .1 ms each, and lines that one embeds, some 5 ms each: sessions take
# turns.
_SOURCES_A_JOB, _LINES_A_JOB = 256, 8


class Session:
    """Everything about one session. Its methods are called on the event loop.

    `index` belongs to the one thread of `searching`, the live context to that of `writing`: a question's search never
    waits for the context. `new_context` is called in the latter and may give None: no room for another one now.
    """

    def __init__(
        self,
        session_id: str,
        searching: ThreadPoolExecutor,
        writing: ThreadPoolExecutor,
        index: Index,
        new_context: Callable[[], LiveContext | None],
        rank: Callable[[str], int | None],
    ) -> None:
        self.id = session_id
        self.timeline = Timeline()
        self.context: LiveContext | None = None
        self.observers = 0
        # Codes of the languages that were heard.
        self.languages: set[str] = set()
        self.escalation: pb.Escalation = pb.ESCALATION_UNSPECIFIED
        # Held by whoever uses the live context: an append, or a question until its last token.
        self.context_lock = asyncio.Lock()
        self._index = index
        self._new_context = new_context
        self._searching = searching
        self._writing = writing
        self._scribe = Scribe()
        self._terms = ContextTerms(rank)
        self._naming = Naming()
        self._found_names: list[FoundName] = []
        self._waiting_lines: dict[str, list[Line]] = {}
        self._waiting_spellings: dict[str, Float] = {}
        self._waiting_pictures: dict[str, tuple[Line, Float]] = {}
        self._waiting_entries: deque[str | Float] = deque(maxlen=MAX_WAITING_ENTRIES)
        self._changed = asyncio.Event()
        self._caught_up = asyncio.Condition()
        self._is_busy = self._has_failed = False
        self._worker = asyncio.create_task(self._work(), name=f"decoder-{session_id}")

    def close(self) -> None:
        """Stop the work behind; what is running in the executor ends by itself."""
        self._worker.cancel()

    def compute(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Run a job in the thread of the search, after those that were asked for before."""
        return asyncio.get_running_loop().run_in_executor(self._searching, job)

    async def write(self, job: Callable[[], T]) -> T:
        """Run a job in the thread of the live contexts."""
        return await asyncio.get_running_loop().run_in_executor(self._writing, job)

    def add_transcript(self, said: Transcript) -> list[Transcript]:
        """Take a final; returns the fused utterances that are new or changed."""
        self.languages.add(said.language[:2])
        fused = self.timeline.add_transcript(said)
        return self._take([fused] if fused is not None else [])

    def add_turn(self, turn: SpeakerTurn) -> list[Transcript]:
        """Take a turn; returns the utterances that got other speakers."""
        return self._take(self.timeline.add_turn(turn))

    def found_names(self) -> list[FoundName]:
        """Names that words gave to speakers since the last call."""
        found, self._found_names = self._found_names, []
        return found

    def terms(self) -> tuple[ContextTerm, ...] | None:
        """The screen's rare words by now and those shown lately; None when they are those of the last call."""
        return self._terms.at(self.timeline.last_sample)

    def add_screen(self, state: ScreenState) -> None:
        """Take a screen."""
        changed = self.timeline.add_screen(state)
        for line in changed:
            _put(self._waiting_lines, f"screen:{line.line_id}", [shown_line(line)], MAX_WAITING_LINES)
        self._waiting_entries.extend(self._scribe.screen(changed))
        self._naming.see(state)
        self._take([])
        self._terms.show(state)

    def add_name(self, speaker: str, name: str) -> None:
        """A speaker got a name; lines that are written already keep the old one."""
        self.timeline.add_name(speaker, name)

    def add_embeddings(self, rows: Float) -> None:
        """Take rows of the embedding space for the live context."""
        self._waiting_entries.append(rows)
        self._changed.set()

    def add_spelling(self, utterance_id: str, rows: Float) -> None:
        """Take how an utterance was spelled by ear: (n, 29) log-probabilities of letters."""
        _put(self._waiting_spellings, utterance_id, rows, MAX_WAITING_SPELLINGS)
        self._changed.set()

    def add_picture(self, line: Line, vector: Float) -> None:
        """Take what a control without words looks like: (384,) in the space of sentences."""
        _put(self._waiting_pictures, line.source_id, (line, vector), MAX_WAITING_PICTURES)
        self._changed.set()

    def flush(self) -> None:
        """No more media: write what was held back for a speaker."""
        self._waiting_entries.extend(self._scribe.flush(dict(self.timeline.names)))
        self._found_names += self._naming.at(sys.maxsize)
        self._changed.set()

    def _take(self, fused: list[Transcript]) -> list[Transcript]:
        self._found_names += [*self._naming.hear(fused), *self._naming.at(self.timeline.last_sample)]
        for said in fused:
            _put(self._waiting_lines, f"speech:{said.utterance_id}", spoken_lines(said), MAX_WAITING_LINES)
            self._scribe.utterance(said)
        self._waiting_entries.extend(self._scribe.due(self.timeline.last_sample, dict(self.timeline.names)))
        self._changed.set()
        return fused

    async def read_waiting(self) -> int:
        """Put the words of what waits into the index, and embed some of its lines; how many are left to embed.

        While a meeting runs hardly any are; all of a kept one are when it is opened.
        """
        # what is taken from those that wait is indexed also when the question is cancelled: it waits nowhere else
        while self._waiting_lines:
            await asyncio.shield(self.compute(partial(self._index_lines, self._next_lines())))
        await asyncio.shield(self.compute(self._index_spans()))
        return await self.compute(partial(self._index.embed, _LINES_A_JOB))

    async def read_all(self) -> int:
        """Embed all lines, for INDEX_WAIT_S at most; how many are left."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + INDEX_WAIT_S
        while (left := await self.read_waiting()) and loop.time() < deadline:
            pass
        return left

    async def search(self, question: str, count: int) -> list[Hit]:
        """The best lines of the index for a question."""
        names = dict(self.timeline.names)
        return await self.compute(partial(self._index.search, question, names, count))

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Hold the live context once everything so far is written in it, or after WRITE_WAIT_S."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_WAIT_S):
                await self.caught_up()
        async with self.context_lock:
            yield

    async def caught_up(self) -> None:
        """Return when nothing waits for the index or the live context, or nobody works on it any more."""
        async with self._caught_up:
            await self._caught_up.wait_for(lambda: self._has_failed or not (self._has_work() or self._is_busy))

    def _has_work(self) -> bool:
        return self._changed.is_set() or bool(self._waiting_lines)

    def shown(self, line: Line) -> ScreenLine | None:
        """The latest sighting of a screen line that was found."""
        return self.timeline.screen_line(line.source_id)

    def _next_lines(self) -> list[tuple[str, list[Line]]]:
        sources = list(itertools.islice(self._waiting_lines, _SOURCES_A_JOB))
        return [(source, self._waiting_lines.pop(source)) for source in sources]

    def _index_lines(self, changes: Sequence[tuple[str, list[Line]]]) -> None:
        for source, lines in changes:
            self._index.replace(source, lines, embed=False)

    def _index_spans(self) -> Callable[[], None]:
        """The job that puts what adapters brought since the last time into the index."""
        spellings, self._waiting_spellings = self._waiting_spellings, {}
        pictures, self._waiting_pictures = self._waiting_pictures, {}

        def job() -> None:
            for utterance_id, rows in spellings.items():
                self._index.listener.hear(utterance_id, rows)
            for line, vector in pictures.values():
                self._index.pictures.show(line, vector)

        return job

    def _has_context(self) -> bool:
        if self.context is None:
            self.context = self._new_context()
        return self.context is not None

    def _note(self, entries: Sequence[str | Float]) -> None:
        if self.context is not None:
            self.context.note(entries)

    def _write(self) -> bool:
        return self.context is not None and self.context.write()

    async def _work(self) -> None:
        try:
            await self._changed.wait()
            await self.compute(self._index.open)
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._is_busy = True
                await self._catch_up()
                # what reading and writing took for a moment would add up to tens of MB
                await self.write(give_back)
                self._is_busy = False
                async with self._caught_up:
                    self._caught_up.notify_all()
        except Exception:  # the top of a task: the session goes on without index and context
            log.exception("work behind a session failed", extra={"fields": {"session": self.id}})
            self._has_failed = True
            async with self._caught_up:
                self._caught_up.notify_all()

    async def _catch_up(self) -> None:
        while True:
            if self._waiting_entries:
                await self._note_entries()
            if changes := self._next_lines():
                await self.compute(partial(self._index_lines, changes))
                continue
            await self.compute(self._index_spans())
            if await self.compute(partial(self._index.embed, _LINES_A_JOB)):
                continue
            async with self.context_lock:
                if not await self.write(self._write):
                    return

    async def _note_entries(self) -> None:
        if not await self.write(self._has_context):
            return
        entries = list(self._waiting_entries)
        self._waiting_entries.clear()
        await self.write(partial(self._note, entries))


def _put(waiting: dict[str, T], name: str, value: T, most: int) -> None:
    """Let something wait under a name; the oldest falls out where there are too many."""
    waiting[name] = value
    if len(waiting) > most:
        del waiting[next(iter(waiting))]
