"""Chooses which pictures of a shared screen are worth reading. Pure: no clock, no I/O."""

import numpy as np
from numpy.typing import NDArray

# Mean grey of one cell of the thumbnail; one typed word moves its cell by more, codec noise by less.
CHANGED_LEVELS = 10
# Video codecs sharpen a still picture over a second or two, so it is sent again when it has been
# still for so long: the last one is the one that reads best.
SETTLED_AFTER_S = (0.5, 2.0)


class FrameSampler:
    """Says for each picture of one track whether to send it; `thumbnail` is (h, w) uint8 grey."""

    def __init__(self) -> None:
        self._sent: NDArray[np.uint8] | None = None
        self._previous: NDArray[np.uint8] | None = None
        self._moved_at_s = 0.0
        self._resent = 0

    def wants(self, thumbnail: NDArray[np.uint8], at_s: float) -> bool:
        """True when the picture shown at `at_s` differs from the last one sent, or has come to rest."""
        if _differs(self._previous, thumbnail):
            self._moved_at_s = at_s
        self._previous = thumbnail
        if _differs(self._sent, thumbnail):
            self._sent = thumbnail
            self._resent = 0
            return True
        still_s = at_s - self._moved_at_s
        if self._resent < len(SETTLED_AFTER_S) and still_s >= SETTLED_AFTER_S[self._resent]:
            self._resent = sum(1 for after_s in SETTLED_AFTER_S if still_s >= after_s)
            return True
        return False


def _differs(a: NDArray[np.uint8] | None, b: NDArray[np.uint8]) -> bool:
    if a is None or a.shape != b.shape:
        return True
    return int(np.abs(a.astype(np.int16) - b).max()) > CHANGED_LEVELS
