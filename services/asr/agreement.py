"""Partials that do not flicker: words on which several looks agree are kept (local agreement, arXiv 2307.14743)."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from services.runtime.percept import SAMPLE_RATE, Word

# So many looks in a row must agree on a word, it must end this long before the end of the audio, and be this sure:
# on read speech 1.6 % of stable words were not in the final, 6.2 % without the last condition.
AGREEING, WAIT, LASTING = 3, round(0.6 * SAMPLE_RATE), 0.8
# Words from the first doubtful one on are held back. Not doubtful is what has this confidence: at the first look, at
# any later one, and where the look before had the word too. The very first word is shown whatever it is, and stays
# until one is not doubtful.
FIRST, SURE, SEEN = 0.8, 0.9, 0.78


class StablePrefix:
    """The words of one open utterance that are never taken back by a later partial."""

    def __init__(self) -> None:
        self._stable: tuple[Word, ...] = ()
        self._looks: deque[list[str]] = deque(maxlen=AGREEING)
        self._first: Word | None = None
        self._has_forgotten = False

    def look(self, words: Sequence[Word], end_sample: int) -> tuple[tuple[Word, ...], int]:
        """What to show after another look at the utterance up to `end_sample`, and how much of it is stable."""
        texts = [_bare(word.text) for word in words]
        before = self._looks[-1] if self._looks else []
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
                if (confidence := rest[agreed].confidence) is not None and confidence < LASTING:
                    break
                agreed += 1
            self._stable += tuple(rest[:agreed])
        kept = len(self._stable)
        certain = kept
        while certain < len(words) and _is_certain(
            words[certain], texts[certain], before[certain : certain + 1], before
        ):
            certain += 1
        shown = (*self._stable, *rest[agreed : agreed + certain - kept])
        if words and not shown and not self._has_forgotten:
            shown = (self._first or words[0],)
        self._first = shown[0] if shown else None
        return shown, kept

    def forget(self, count: int) -> None:
        """The first `count` stable words are not read again."""
        self._has_forgotten = True
        self._stable = self._stable[count:]
        self._looks = deque((look[count:] for look in self._looks), maxlen=AGREEING)


def _is_certain(word: Word, text: str, at_its_place: list[str], before: list[str]) -> bool:
    if word.confidence is None:
        return True
    needed = SEEN if at_its_place == [text] else SURE if before else FIRST
    return word.confidence >= needed


def _bare(text: str) -> str:
    return re.sub(r"[^\w']", "", text).lower()
