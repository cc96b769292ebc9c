"""Audio between two pauses and what a recogniser made of it. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.asr.alignment import Hypothesis
from services.asr.finals import utterance_id
from services.asr.trust import is_invented
from services.asr.vad import WINDOW
from services.runtime.percept import SAMPLE_RATE, Transcript, Word


@dataclass(frozen=True, slots=True)
class Utterance:
    """Audio between two pauses, (end_sample - start_sample,); `active` windows of it hold speech."""

    start_sample: int
    end_sample: int
    audio: NDArray[np.float32]
    active: NDArray[np.bool_]

    @property
    def speech_s(self) -> float:
        """How much of it is speech."""
        return int(self.active.sum()) * WINDOW / SAMPLE_RATE

    def transcript(self, hypothesis: Hypothesis, words: tuple[Word, ...], language: str) -> Transcript | None:
        """The final; None when nothing was said."""
        if not words or is_invented(" ".join(word.text for word in words), hypothesis, self.speech_s):
            return None
        return Transcript(
            utterance_id=utterance_id(self.start_sample),
            is_final=True,
            start_sample=self.start_sample,
            end_sample=self.end_sample,
            words=words,
            stable_words=len(words),
            language=language,
            confidence=float(np.exp(min(0.0, hypothesis.mean_log_prob))),
        )
