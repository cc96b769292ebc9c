"""Sound in the encodings and containers that clients send, made from samples with FFmpeg."""

import io

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000


def encoded(
    samples: NDArray[np.int16], codec: str, container: str, rate_hz: int = RATE_HZ, layout: str = "mono"
) -> bytes:
    """A file of (n,) 16 kHz mono samples; containers "s16le", "mulaw" and "alaw" have no header."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = RATE_HZ
        resampler = av.AudioResampler(stream.format, layout, rate_hz, frame_size=stream.frame_size or None)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()
