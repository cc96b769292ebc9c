"""What is taken for speech, and what is a recogniser's invention."""

import zlib

from services.asr.alignment import Hypothesis

# Text that repeats itself shrinks more than this (threshold of openai/whisper's transcribe.py). People
# repeat themselves too, but they come to an end.
MAX_COMPRESSION = 2.4
# Below this mean log-probability of a token the text has nothing to do with the sound.
MIN_LOG_PROB = -1.5


def is_invented(text: str, hypothesis: Hypothesis) -> bool:
    """Whether a transcript is a loop or a guess."""
    loops = hypothesis.is_cut and compression(text) > MAX_COMPRESSION
    return loops or hypothesis.mean_log_prob < MIN_LOG_PROB


def compression(text: str) -> float:
    """How many times shorter zlib makes the text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))
