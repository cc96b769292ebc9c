"""Closed utterances that Whisper reads as one: it hears each within what was said around it. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from services.asr.finals import Finals
from services.asr.utterance import Utterance
from services.asr.vad import WINDOW
from services.runtime.percept import SAMPLE_RATE, Transcript, Word

# A stretch of so many samples is read, and none grows longer than the second (Whisper hears 30 s): docs/asr.md.
ENOUGH, MOST = 12 * SAMPLE_RATE, 28 * SAMPLE_RATE
# A shorter one is read when so much follows its last utterance before somebody speaks again, counted from the close.
WAIT = round(1.5 * SAMPLE_RATE)


@dataclass(frozen=True, slots=True)
class Closed:
    """One English utterance, the final that was said of it, and where that is corrected.

    `log_probs` (tokens + 1,) are those of the final's reading, the end token last; `is_checked`: Whisper has read it by
    itself already.
    """

    utterance: Utterance
    transcript: Transcript
    log_probs: NDArray[np.float32]
    finals: Finals
    is_checked: bool


class Stretch:
    """Utterances since the last reading, and the sound from the start of the first to the end of the last."""

    def __init__(self) -> None:
        self.closed: list[Closed] = []
        self._sound: list[NDArray[np.float32]] = []

    def hear(self, sound: NDArray[np.float32]) -> None:
        """Take (n,) samples that follow and are no English utterance. Those before the first one are not kept."""
        if self.closed:
            self._sound.append(sound)

    def add(self, closed: Closed, sound: NDArray[np.float32]) -> None:
        """Take an utterance; `sound` (n,) are the samples that follow, up to its end."""
        self._sound.append(sound if self.closed else closed.utterance.audio)
        self.closed.append(closed)

    @property
    def length(self) -> int:
        """Samples from its start to its end."""
        return sum(map(len, self._sound))

    @property
    def is_read(self) -> bool:
        """Whether Whisper has heard all of it already."""
        return all(closed.is_checked for closed in self.closed)

    @property
    def mean_log_prob(self) -> float:
        """Mean log-probability of a token in what was read so far, end tokens included."""
        return float(np.concatenate([closed.log_probs for closed in self.closed]).mean())

    @property
    def words(self) -> tuple[Word, ...]:
        """All that was said so far."""
        return tuple(word for closed in self.closed for word in closed.transcript.words)

    def as_one(self) -> Utterance:
        """All of it as a single utterance."""
        audio = np.concatenate(self._sound)
        start_sample = self.closed[0].utterance.start_sample
        active = np.zeros(-(-len(audio) // WINDOW), np.bool_)
        for closed in self.closed:
            first = (closed.utterance.start_sample - start_sample) // WINDOW
            active[first : first + len(closed.utterance.active)] = closed.utterance.active
        return Utterance(start_sample, start_sample + len(audio), audio, active)

    def parts(self, words: Sequence[Word]) -> list[tuple[Word, ...]]:
        """Each utterance's share of the words of all: those whose middle is nearest to it, put inside its span."""
        spans = [closed.utterance for closed in self.closed]
        borders = [(one.end_sample + next.start_sample) // 2 for one, next in zip(spans, spans[1:], strict=False)]
        parts: list[list[Word]] = [[] for _ in spans]
        for word in words:
            parts[bisect_right(borders, (word.start_sample + word.end_sample) // 2)].append(word)
        return [_inside(part, span.start_sample, span.end_sample) for part, span in zip(parts, spans, strict=True)]


def _inside(words: Sequence[Word], start_sample: int, end_sample: int) -> tuple[Word, ...]:
    """The words within a span, in order; a word that lay outside keeps one sample at least."""
    inside: list[Word] = []
    at = start_sample
    for i, word in enumerate(words):
        last = end_sample - (len(words) - i)
        start = min(max(word.start_sample, at), last)
        at = min(max(word.end_sample, start + 1), last + 1)
        inside.append(replace(word, start_sample=start, end_sample=at))
    return tuple(inside)
