"""Speech probability by Silero VAD (github.com/snakers4/silero-vad), 512 samples at a time."""

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine

WINDOW = 512
_CONTEXT = 64


class SpeechDetector:
    """State of one stream; a new one forgets all that was heard."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._state = np.zeros((2, 1, 128), np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)

    def probability(self, window: NDArray[np.float32]) -> float:
        """Probability that (512,) samples at 16 kHz, which follow the last ones, hold speech."""
        feed = np.concatenate([self._context, window])[None]
        result = self._engine.run({"input": feed, "state": self._state, "sr": np.array(16_000, np.int64)})
        self._state = result["stateN"]
        self._context = window[-_CONTEXT:]
        return float(result["output"][0, 0])
