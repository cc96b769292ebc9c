"""Partials that do not flicker: words on which several looks agree are kept (local agreement, arXiv 2307.14743)."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from services.runtime.percept import SAMPLE_RATE, Word

# So many looks in a row must agree on a word, and it must end this long before the end of the audio:
# measured on read speech, two looks without the wait were wrong twice as often.
AGREEING, WAIT = 3, round(0.6 * SAMPLE_RATE)


class StablePrefix:
    """The words of one open utterance that are never taken back by a later partial."""

    def __init__(self) -> None:
        self._stable: tuple[Word, ...] = ()
        self._looks: deque[list[str]] = deque(maxlen=AGREEING)

    def look(self, words: Sequence[Word], end_sample: int) -> tuple[tuple[Word, ...], int]:
        """What to show after another look at the utterance up to `end_sample`, and how much of it is stable."""
        texts = [_bare(word.text) for word in words]
        self._looks.append(texts)
        kept = len(self._stable)
        # The times of stable words stay too; what follows begins after them.
        border = self._stable[-1].end_sample if self._stable else 0
        rest: list[Word] = []
        for word in words[kept:]:
            start = max(word.start_sample, border)
            border = max(word.end_sample, start + 1)
            rest.append(replace(word, start_sample=start, end_sample=border))
        agreed = 0
        if texts[:kept] == [_bare(word.text) for word in self._stable] and len(self._looks) == AGREEING:
            # the last word may be half heard
            while agreed < len(rest) - 1 and rest[agreed].end_sample <= end_sample - WAIT:
                at = kept + agreed
                if any(look[at : at + 1] != [texts[at]] for look in self._looks):
                    break
                agreed += 1
            self._stable += tuple(rest[:agreed])
        return (*self._stable, *rest[agreed:]), len(self._stable)


def _bare(text: str) -> str:
    return re.sub(r"[^\w']", "", text).lower()
