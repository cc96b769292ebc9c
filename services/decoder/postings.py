"""Which lines hold a word, and how often: four bytes for a line's word instead of a hundred."""

import bisect
from array import array
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

# A number holds the row and, in its lowest bits, how often the word is there; of more, BM25 makes hardly a difference.
_BITS = 8
_MOST = (1 << _BITS) - 1
Int = NDArray[np.int64]


class Postings:
    """Rows by words. A row is below 2^24."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}

    def add(self, row: int, counts: Mapping[str, int]) -> None:
        """Note a row's words, which are not noted of it yet, and how often each is there."""
        for word, times in counts.items():
            bisect.insort(self._rows.setdefault(word, array("I")), row << _BITS | min(times, _MOST))

    def remove(self, row: int, words: Iterable[str]) -> None:
        """Forget a row's words; all of them are noted of it."""
        for word in words:
            there = self._rows[word]
            del there[bisect.bisect_left(there, row << _BITS)]
            if not there:
                del self._rows[word]

    def of(self, word: str) -> tuple[Int, Int]:
        """The rows that hold a word, in order, and how often each does."""
        there = np.array(self._rows.get(word, ()), np.int64)
        return there >> _BITS, there & _MOST
