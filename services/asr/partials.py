"""What is shown while somebody speaks: looks at an open utterance whose cost does not grow with it."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engines.lanes import Urgency
from services.asr.agreement import StablePrefix
from services.asr.alignment import Hypothesis
from services.asr.moonshine import Moonshine
from services.asr.vad import WINDOW
from services.runtime.percept import SAMPLE_RATE, Word

# A look begins anew at a dip of the voice of at least DIP windows, once KEPT samples have followed it.
DIP, LEAD_IN, KEPT = 3, 2, round(0.7 * SAMPLE_RATE)


class PartialReader:
    """The looks at one open utterance that begins at `start_sample`."""

    def __init__(self, moonshine: Moonshine, start_sample: int) -> None:
        self._moonshine = moonshine
        self._start_sample = start_sample
        self._from = start_sample
        self._aside: tuple[Word, ...] = ()
        self._draft: tuple[int, ...] = ()
        self._prefix = StablePrefix()

    @property
    def tokens(self) -> tuple[int, ...]:
        """Tokens of the last look, when that was at the whole utterance."""
        return () if self._aside else self._draft

    def look(self, audio: NDArray[np.float32], active: NDArray[np.bool_]) -> tuple[Hypothesis, tuple[Word, ...], int]:
        """What to show of the utterance so far, and how many words of it are stable.

        `audio` (n,) is all of it, `active` which of its windows hold speech. The hypothesis is of the part
        that was read.
        """
        end_sample = self._start_sample + len(audio)
        begin = self._from - self._start_sample
        part = audio[begin:]
        hypothesis = self._moonshine.transcribe(part, draft=self._draft, align=True, urgency=Urgency.PARTIAL)
        self._draft = hypothesis.tokens
        words = self._moonshine.words(hypothesis, self._from, end_sample, active[begin // WINDOW :])
        shown, stable = self._prefix.look(self._written(words), end_sample)
        result = (*self._aside, *shown), len(self._aside) + stable
        self._put_aside(active, shown, stable)
        return hypothesis, *result

    def _written(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """A look that begins in the middle of a sentence writes its first word as if it began one."""
        if not words or not self._aside or self._aside[-1].text[-1] in ".?!":
            return words
        first = words[0].text
        if first[1:2].islower():
            words = (replace(words[0], text=first[0].lower() + first[1:]), *words[1:])
        return words

    def _put_aside(self, active: NDArray[np.bool_], shown: tuple[Word, ...], stable: int) -> None:
        """Read no more what lies before the last dip whose words are all stable."""
        last = len(active) - KEPT // WINDOW
        first = (self._from - self._start_sample) // WINDOW
        speech = np.flatnonzero(active[first:last]) + first
        gaps = np.flatnonzero(np.diff(speech) > DIP)
        for gap in gaps[::-1]:
            border = self._start_sample + (int(speech[gap + 1]) - LEAD_IN) * WINDOW
            count = sum(word.start_sample + word.end_sample < 2 * border for word in shown)
            if 0 < count <= stable:
                self._from = border
                self._aside = (*self._aside, *shown[:count])
                self._prefix.forget(count)
                self._draft = ()
                return
