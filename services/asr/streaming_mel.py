"""NeMo's log-mel features, frame by frame as the sound comes (FilterbankFeatures, without dither), in numpy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class MelSettings:
    """`window` (n,) and `filters` (mels, fft / 2 + 1) are the checkpoint's; the names are NeMo's or the field's."""

    window: NDArray[np.float32]
    filters: NDArray[np.float32]
    fft: int
    hop: int
    preemphasis: float | None
    power: float
    zero_guard: float
    zero_guard_type: str


class StreamingMel:
    """State of one utterance: sound that is not yet in a frame.

    Frame i is centred at sample i * hop; silence is added at both ends.
    """

    def __init__(self, settings: MelSettings) -> None:
        self._settings = settings
        # The window lies in the middle of the transform's length: what is outside it weighs nothing.
        self._rest = np.zeros(len(settings.window) // 2, np.float32)
        self._last = np.zeros(1, np.float32)
        self._samples = 0
        self._frames = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The next (n,) samples at 16 kHz -> the frames that are whole now, (mels, frames)."""
        self._samples += len(samples)
        before = np.concatenate([self._last, samples])
        self._last = before[-1:]
        weight = np.float32(self._settings.preemphasis or 0.0)
        return self._transform((samples - weight * before[:-1]).astype(np.float32))

    def flush(self) -> NDArray[np.float32]:
        """The frames that the end of the sound leaves, (mels, frames): NeMo makes one of every `hop` samples."""
        missing = self._samples // self._settings.hop - self._frames
        needed = (missing - 1) * self._settings.hop + len(self._settings.window) if missing > 0 else 0
        return self._transform(np.zeros(max(0, needed - len(self._rest)), np.float32))[:, : max(0, missing)]

    def _transform(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        s = self._settings
        self._rest = np.concatenate([self._rest, samples])
        count = max(0, (len(self._rest) - len(s.window)) // s.hop + 1)
        if count == 0:
            return np.zeros((len(s.filters), 0), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(self._rest, len(s.window))[:: s.hop][:count] * s.window
        magnitude = np.abs(np.fft.rfft(windows, s.fft, axis=1)).astype(np.float32)
        mel = s.filters @ (magnitude**s.power).T
        guarded = mel + s.zero_guard if s.zero_guard_type == "add" else np.maximum(mel, s.zero_guard)
        self._rest = self._rest[count * s.hop :]
        self._frames += count
        log: NDArray[np.float32] = np.log(guarded).astype(np.float32)
        return log
