"""Where utterances begin and end: speech probabilities of 32 ms windows -> spans, cut at pauses only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.vad import WINDOW

SAMPLE_RATE = 16_000


def _windows(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / WINDOW)


# Silero's own hysteresis.
ONSET, OFFSET = 0.5, 0.35
# A shorter burst of speech windows in an utterance is a click or a cough.
MIN_SPEECH = _windows(0.1)
# Audio before the first and after the last speech window: weak consonants lie below the threshold.
LEAD, TAIL = _windows(0.3), _windows(0.2)
# (utterance shorter than, pause that ends it): the longer it is, the sooner it may end
PAUSES = ((_windows(12.0), _windows(0.6)), (_windows(18.0), _windows(0.3)), (_windows(25.0), _windows(0.16)))
MAX_LENGTH = PAUSES[-1][0]
# Where an utterance without a pause is cut: the quietest point of this last stretch.
CUT_STRETCH = _windows(6.0)
# A stream that stays silent begins anew this often, keeping the last windows.
SILENCE, SILENCE_KEPT = _windows(5.0), LEAD


@dataclass(frozen=True, slots=True)
class Span:
    """A closed utterance in windows; `active` says which of them hold speech. The next search begins at `end`."""

    start: int
    end: int
    active: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing was said in windows before `end`."""

    end: int


class Endpointer:
    """Walks over windows counted from 0; after a Span or a Silence a new one begins at its end."""

    def __init__(self) -> None:
        self._probabilities: list[float] = []
        self._levels: list[float] = []
        self._start: int | None = None
        self._last_speech = 0

    @property
    def start(self) -> int | None:
        """First window of the open utterance."""
        return self._start

    @property
    def active(self) -> NDArray[np.bool_]:
        """Which windows of the open utterance hold speech."""
        return np.array(self._probabilities[self._start :]) >= OFFSET

    @property
    def silent(self) -> int:
        """Windows since the last speech of the open utterance."""
        return len(self._probabilities) - self._last_speech

    def step(self, probability: float, level: float) -> Span | Silence | None:
        """Take the next window's speech probability and its root mean square."""
        self._probabilities.append(probability)
        self._levels.append(level)
        now = len(self._probabilities)
        if self._start is None:
            if probability >= ONSET:
                self._start = max(0, now - 1 - LEAD)
                self._last_speech = now
            elif now >= SILENCE:
                return Silence(now - SILENCE_KEPT)
            return None
        if probability >= OFFSET:
            self._last_speech = now
        length = now - self._start
        pause = next((pause for limit, pause in PAUSES if length < limit), 0)
        if now - self._last_speech >= max(pause, 1):
            return self._close(min(now, self._last_speech + TAIL))
        if length >= MAX_LENGTH:
            return self._cut()
        return None

    def flush(self) -> Span | None:
        """End of media: the open utterance as it is."""
        if self._start is None:
            return None
        now = len(self._probabilities)
        return self._close(min(now, self._last_speech + TAIL))

    def _close(self, end: int) -> Span:
        assert self._start is not None
        active = np.array(self._probabilities[self._start : end]) >= OFFSET
        return Span(self._start, end, active)

    def _cut(self) -> Span:
        # The least speech-like, then the quietest of 0.16 s stretches.
        first = len(self._probabilities) - CUT_STRETCH
        kernel = np.ones(5) / 5
        probability = np.convolve(self._probabilities[first:], kernel, "same")
        level = np.convolve(self._levels[first:], kernel, "same")
        cost = probability + level / max(float(level.max()), 1e-9)
        cut = first + 2 + int(np.argmin(cost[2:-2]))
        return self._close(cut)
