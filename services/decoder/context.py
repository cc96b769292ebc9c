"""The live context: what the small decoder has read of a session, as a KV cache that grows.

`Scribe` (pure) decides what is written and when; `LiveContext` keeps the cache.

What is written, a line each:
- "[mm:ss] NAME: words" for an utterance, once it has a speaker, or HOLD_SAMPLES of media later
  without one: diarization comes after the words, and a written line is not rewritten;
- "[mm:ss] screen: line | line" for what a screen shows that was not written lately;
- "[mm:ss] NAME, corrected: words" when a written utterance gets other words. A change of speaker
  alone is not written again: the timeline has it, and answers quote the timeline.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from services.decoder.cache import Cache, Float
from services.decoder.model import SmallDecoder
from services.decoder.text import clock, one_line
from services.decoder.timeline import ScreenLine
from services.runtime.percept import SAMPLE_RATE, Transcript

HOLD_SAMPLES = 5 * SAMPLE_RATE
# Utterances whose written words are remembered, and screen texts that are not written again.
_REMEMBERED = 2_000
MAX_ENTRY_TOKENS = 256
# An eviction turns all remaining keys, so it frees this much at least.
EVICTED_AT_ONCE = 256
# Room behind the context for one question and its answer.
BRANCH_TOKENS = 768
HEADER = (
    "<|im_start|>system\nYou follow a meeting. You are shown what is said and what is on the screen. "
    "You answer from it in one short sentence.<|im_end|>\n<|im_start|>user\nThe meeting:\n"
)


class Scribe:
    """Turns changes of the timeline into lines for the context. Pure; see the module's sentence."""

    def __init__(self) -> None:
        self._held: dict[str, Transcript] = {}
        self._written: OrderedDict[str, str] = OrderedDict()
        self._shown: OrderedDict[str, str] = OrderedDict()

    def utterance(self, said: Transcript) -> None:
        """Take a new or changed utterance."""
        self._held[said.utterance_id] = said

    def screen(self, lines: Iterable[ScreenLine]) -> list[str]:
        """Take lines that are new on the screen; returns what to write now."""
        new, first_sample = [], 0
        for line in lines:
            text = one_line(line.text)
            if text in self._shown:
                continue
            first_sample = line.last_sample
            new.append(text)
            _remember(self._shown, text, text)
        return [f"[{clock(first_sample)}] screen: {' | '.join(new)}\n"] if new else []

    def due(self, now_sample: int, names: dict[str, str]) -> list[str]:
        """What is ready to be written at this media time, in order of time."""
        return self._take(
            [said for said in self._held.values() if said.speaker or now_sample - said.end_sample >= HOLD_SAMPLES],
            names,
        )

    def flush(self, names: dict[str, str]) -> list[str]:
        """Everything held back: no more will come."""
        return self._take(list(self._held.values()), names)

    def _take(self, ready: list[Transcript], names: dict[str, str]) -> list[str]:
        lines = []
        for said in sorted(ready, key=lambda said: (said.start_sample, said.utterance_id)):
            del self._held[said.utterance_id]
            text = one_line(said.text)
            before = self._written.get(said.utterance_id)
            if not text or text == before:
                continue
            _remember(self._written, said.utterance_id, text)
            who = one_line(names.get(said.speaker, said.speaker)) or "somebody"
            correction = ", corrected" if before is not None else ""
            lines.append(f"[{clock(said.start_sample)}] {who}{correction}: {text}\n")
        return lines


def _remember(memory: OrderedDict[str, str], key: str, value: str) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


class LiveContext:
    """The cache of one session: a header that stays (the attention sink), then entries, oldest first.

    An entry is noted, then written. Beyond `limit` tokens the oldest entries go as soon as others are noted, at
    least EVICTED_AT_ONCE tokens at a time: which entries are in the context depends on the entries alone, and one
    that goes before its turn is never computed. So a session of any length is rebuilt for the price of its end.
    Writing is one entry per run, so the same writes give the same bits. Not thread-safe.
    """

    def __init__(self, decoder: SmallDecoder, limit: int) -> None:
        self._decoder = decoder
        self._limit = limit
        self._cache = decoder.new_cache(limit + BRANCH_TOKENS)
        self._written: deque[int] = deque()
        self._unwritten: deque[list[int] | Float] = deque()
        # tokens of entries that went and still lie in the cache, behind the header
        self._gone = 0
        header = decoder.template(HEADER)
        least = len(header) + EVICTED_AT_ONCE + MAX_ENTRY_TOKENS
        if limit < least:
            raise ValueError(f"a context of {limit} tokens is too small, must be {least} or more")
        decoder.extend(self._cache, decoder.embed(header))
        self._header_tokens = self._noted_tokens = self._cache.length

    @property
    def tokens(self) -> int:
        """Tokens in the cache, header included."""
        return self._cache.length

    @property
    def cache(self) -> Cache:
        """The cache itself, for tests and benchmarks."""
        return self._cache

    def note(self, entries: Iterable[str | Float]) -> None:
        """Take entries to be written: a line, of a very long one its first MAX_ENTRY_TOKENS, or rows (n, D) of the
        embedding space, 1 <= n <= MAX_ENTRY_TOKENS.
        """
        for entry in entries:
            tokens = self._decoder.words(entry)[:MAX_ENTRY_TOKENS] if isinstance(entry, str) else entry
            count = len(tokens)
            if not count:
                continue
            if self._noted_tokens + count > self._limit:
                self._evict(max(EVICTED_AT_ONCE, self._noted_tokens + count - self._limit))
            self._unwritten.append(tokens)
            self._noted_tokens += count

    def write(self) -> bool:
        """Write the oldest noted entry; False when there is none."""
        if self._gone:
            self._cache.drop(self._header_tokens, self._gone)
            self._gone = 0
        if not self._unwritten:
            return False
        entry = self._unwritten.popleft()
        self._decoder.extend(self._cache, self._decoder.embed(entry) if isinstance(entry, list) else entry)
        self._written.append(len(entry))
        return True

    def append(self, entry: str | Float) -> None:
        """Note an entry and write all there is."""
        self.note([entry])
        while self.write():
            pass

    def _evict(self, wanted: int) -> None:
        dropped = 0
        while dropped < wanted and (self._written or self._unwritten):
            if self._written:
                count = self._written.popleft()
                self._gone += count
            else:
                count = len(self._unwritten.popleft())
            dropped += count
        self._noted_tokens -= dropped

    @contextmanager
    def branch(self) -> Iterator[Cache]:
        """Read on from here for a question; afterwards the context is as it was.

        A question writes behind the context's end and the end is set back: nothing is copied.
        """
        length = self._cache.length
        try:
            yield self._cache
        finally:
            self._cache.length = length
