"""What the recogniser's encoder heard, spelled: its hidden states -> the space of spelling.

A recogniser writes the words that it knows. Its encoder also holds what others sounded like; a small network reads the
letters out of it (tools/train_adapter, docs/adapters.md), and the decoder finds words in them that nobody wrote. No
encoder runs again for it: Moonshine's has made the final, and where Whisper reads a stretch again, its rows follow
under the same names.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.runtime.percept import TokenSpan, Transcript
from services.runtime.spelling import BLANK, LETTERS, SPACE_ID

OF_MOONSHINE, OF_WHISPER = "moonshine-adapter", "whisper-adapter"
# One hidden frame of each.
SAMPLES_PER_FRAME = {OF_MOONSHINE: 384, OF_WHISPER: 320}
# Surer than this, a moment holds no letter: of such moments in a row one is told.
_NO_LETTER = float(np.log(0.98))


class AudioAdapter:
    """The weights of OF_MOONSHINE or OF_WHISPER. Safe to share between streams. Raises ModelMissingError."""

    def __init__(self, model: str, threads: int = 1) -> None:
        self._engine = open_engine(model, "adapter.onnx", threads=threads)
        self._samples_per_frame = SAMPLES_PER_FRAME[model]

    def spell(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, width) hidden states -> (at most n, 29) log-probabilities of LETTERS."""
        rows = np.asarray(self._engine.run({"states": states[None]}, ["letters"])["letters"][0])
        empty = rows[:, BLANK] > _NO_LETTER
        told: NDArray[np.float32] = rows[~(empty & np.concatenate([[False], empty[:-1]]))]
        return told

    def spans(self, states: NDArray[np.float32], start_sample: int, finals: Sequence[Transcript]) -> list[TokenSpan]:
        """One span for each English final in sound that begins at `start_sample` and has these hidden states."""
        spans = []
        for final in finals:
            if final.language != "en":
                continue
            first, end = (
                (sample - start_sample) // self._samples_per_frame for sample in (final.start_sample, final.end_sample)
            )
            if len(own := states[max(0, first) : end + 1]):
                rows = self.spell(own).astype("<f2")
                place = (final.start_sample, final.end_sample)
                spans.append(TokenSpan("speech", final.utterance_id, *place, SPACE_ID, len(LETTERS), rows.tobytes()))
        return spans
