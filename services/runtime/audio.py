"""PCM as it comes over the wire: checks, gaps, conversion."""

import numpy as np
from numpy.typing import NDArray

from services.runtime.percept import SAMPLE_RATE
from services.runtime.stage import MediaError

MAX_CHUNK_SAMPLES = 30 * SAMPLE_RATE
MAX_GAP_SAMPLES = 10 * SAMPLE_RATE


def check_chunk(pcm: bytes, start_sample: int, expected_sample: int) -> int:
    """Validate one chunk of s16le and return the gap before it in samples (0 to 10 s).

    Raises MediaError: odd or empty bytes, over 30 s, back in time, further ahead than 10 s.
    """
    if not pcm or len(pcm) % 2:
        raise MediaError(f"an audio chunk has {len(pcm)} bytes, must be an even number of at least 2 (s16le mono)")
    if len(pcm) // 2 > MAX_CHUNK_SAMPLES:
        raise MediaError(
            f"an audio chunk is {len(pcm) / 2 / SAMPLE_RATE:.1f} s long, at most "
            f"{MAX_CHUNK_SAMPLES // SAMPLE_RATE} s is allowed; send it in pieces"
        )
    gap = start_sample - expected_sample
    if gap < 0:
        raise MediaError(
            f"audio start_sample is {start_sample}, goes back in time: {expected_sample} is the next one expected"
        )
    if gap > MAX_GAP_SAMPLES:
        raise MediaError(
            f"audio start_sample is {start_sample}, jumps {gap / SAMPLE_RATE:.1f} s ahead of {expected_sample}; "
            f"at most {MAX_GAP_SAMPLES // SAMPLE_RATE} s is allowed; send silence instead"
        )
    return gap


def to_float(pcm: bytes) -> NDArray[np.float32]:
    """s16le bytes -> (n,) float32 in [-1, 1)."""
    return np.frombuffer(pcm, "<i2").astype(np.float32) * np.float32(1 / 32768)
