"""Whether a pause is the end of what somebody wanted to say, as far as the words tell."""

import numpy as np

from services.asr.alignment import Hypothesis
from services.runtime.percept import Transcript

# Probability of the closing mark: chosen on one half of read and spontaneous clips (docs/asr.md). On the other it
# finds 81 % of the ends and takes 55 % of the pauses within for one; smart-turn v3.2, for 50 ms, 78 and 53 %.
CLOSING = 0.7
# Windows of silence after which it is the end whatever the words say: 0.38 s.
PATIENCE = 12


def is_complete(transcript: Transcript, hypothesis: Hypothesis) -> bool:
    """Whether the recogniser closed its sentence and was sure of it."""
    closes = transcript.words[-1].text.endswith((".", "?", "!"))
    return closes and float(np.exp(hypothesis.log_probs[-1])) >= CLOSING
