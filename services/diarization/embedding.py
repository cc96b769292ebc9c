"""Voices as vectors: CAM++ (arXiv 2303.00332) over the frames in which one person speaks."""

from functools import cache

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine
from engines.manifest import manifest
from services.diarization.segmentation import FRAME_STEP, frame_at

MODEL = "campplus"
# Goes up with every change of what the network is given.
FEATURES = 1
DIMENSION = 192
HOP = 160
# Fewer rows than this (0.3 s) say nothing about a voice.
MIN_ROWS = 30
# More than this (6 s) cost time and add little.
MAX_ROWS = 600


@cache
def space_id() -> str:
    """Name of the space the embeddings lie in: model, version, weights and features."""
    source = manifest(MODEL)
    return f"{MODEL}-{source.version}-{source.package[0].file[0].sha256[:16]}-{FEATURES}"


def fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kaldi log-mel features: (t,) float32 in [-1, 1] at 16 kHz -> (rows of 10 ms, 80) float32."""
    options = knf.FbankOptions()
    options.frame_opts.samp_freq = 16_000
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    extractor = knf.OnlineFbank(options)
    # The network was trained on 16-bit values.
    extractor.accept_waveform(16_000, samples * 32_768.0)
    extractor.input_finished()
    count = extractor.num_frames_ready
    if count == 0:
        return np.zeros((0, 80), np.float32)
    return np.stack([extractor.get_frame(i) for i in range(count)])


def embed(engine: Engine, features: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Unit vector (192,) float32 of the voice in a window.

    `features` are the window's fbank rows, `mask` (frames,) tells where the voice is alone; None when
    less than 0.3 s is left.
    """
    centre = np.arange(len(features)) * HOP + 200
    frames = np.minimum([frame_at(int(sample)) for sample in centre], len(mask) - 1)
    rows = features[mask[frames]][:MAX_ROWS]
    if len(rows) < MIN_ROWS:
        return None
    rows = rows - rows.mean(axis=0)
    vector = engine.run({"fbank": rows[None]})["embedding"][0]
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def seconds(mask: NDArray[np.bool_]) -> float:
    """Time in which a (frames,) mask is true."""
    return float(mask.sum()) * FRAME_STEP / 16_000
