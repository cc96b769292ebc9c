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
# (a stretch shorter than, the longest pause that it may hold): the longer it is, the sooner it may end
PAUSES = ((_windows(12.0), _windows(25.0)), (_windows(18.0), _windows(0.3)), (_windows(25.0), _windows(0.16)))
MAX_LENGTH = PAUSES[-1][0]
# Where an utterance without a pause is cut: the quietest point of this last stretch.
CUT_STRETCH = _windows(6.0)
# A stream that stays silent begins anew this often, keeping the last windows.
SILENCE, SILENCE_KEPT = _windows(5.0), LEAD


@dataclass(frozen=True, slots=True)
class Endpointing:
    """When speech begins and ends, named as in Riva's EndpointingConfig; histories in seconds, thresholds shares.

    Speech begins when `start_threshold` of the windows of the last `start_history_s` hold speech, and ends when
    `stop_threshold` of those of the last `stop_history_s` hold none. `stop_history_eou_s` and `stop_threshold_eou`
    say the same of a shorter pause: what was said before it is given at once, as a final that may come again when
    the speaker goes on. 0: there is no such final.
    """

    start_history_s: float = 0.032
    start_threshold: float = 1.0
    stop_history_s: float = 0.6
    stop_threshold: float = 1.0
    stop_history_eou_s: float = 0.192
    stop_threshold_eou: float = 1.0


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

    def __init__(self, settings: Endpointing = Endpointing()) -> None:  # noqa: B008 (frozen)
        self._settings = settings
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

    @property
    def is_pause(self) -> bool:
        """Whether speech may have ended, by the shorter history."""
        history_s = self._settings.stop_history_eou_s
        return history_s > 0 and self._is_quiet(history_s, self._settings.stop_threshold_eou)

    @property
    def end(self) -> int:
        """Where the open utterance would end if it were closed now."""
        return min(len(self._probabilities), self._last_speech + TAIL)

    def step(self, probability: float, level: float) -> Span | Silence | None:
        """Take the next window's speech probability and its root mean square."""
        self._probabilities.append(probability)
        self._levels.append(level)
        now = len(self._probabilities)
        if self._start is None:
            if probability >= ONSET and self._begins():
                self._start = max(0, now - max(1, _windows(self._settings.start_history_s)) - LEAD)
                self._last_speech = now
            elif now >= SILENCE:
                return Silence(now - SILENCE_KEPT)
            return None
        if probability >= OFFSET:
            self._last_speech = now
        length = now - self._start
        most = next((pause for limit, pause in PAUSES if length < limit), 0)
        if self._is_quiet(self._settings.stop_history_s, self._settings.stop_threshold) or self.silent >= max(most, 1):
            return self._close(self.end)
        if length >= MAX_LENGTH:
            return self._cut()
        return None

    def _begins(self) -> bool:
        history = self._probabilities[-max(1, _windows(self._settings.start_history_s)) :]
        needed = self._settings.start_threshold * max(1, _windows(self._settings.start_history_s))
        return sum(probability >= ONSET for probability in history) >= needed

    def _is_quiet(self, history_s: float, threshold: float) -> bool:
        """Whether the last window holds no speech and so many of those of the open utterance before it."""
        windows = max(1, _windows(history_s))
        history = self._probabilities[self._start :][-windows:]
        silent = sum(probability < OFFSET for probability in history)
        return self.silent > 0 and len(history) == windows and silent >= threshold * windows

    def flush(self) -> Span | None:
        """End of media: the open utterance as it is."""
        if self._start is None:
            return None
        return self._close(self.end)

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
