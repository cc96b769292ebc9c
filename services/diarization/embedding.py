"""Voices as vectors: CAM++ (arXiv 2303.00332) over the frames in which one person speaks.

SENSORIUM_EMBEDDING_MODEL names an imported embedding (docs/checkpoints.md) to use in its place, read once a process:
the width of its vectors is that of all state.
"""

import json
import os
from dataclasses import dataclass
from functools import cache

import kaldi_native_fbank as knf
import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine, Raw, Workplace
from engines.kernels import spectrum
from engines.manifest import manifest
from engines.models import model_file
from services.diarization.segmentation import FRAME_STEP, frames_at

MODEL = os.environ.get("SENSORIUM_EMBEDDING_MODEL", "campplus")
# Goes up with every change of what the network is given.
FEATURES = 1
DIMENSION = int(manifest(MODEL).graph[0].output[0].shape[-1])
HOP = 160
WINDOW = 400
# Fewer rows than this (0.3 s) say nothing about a voice.
MIN_ROWS = 30
# More than this (6 s) cost time and add little.
MAX_ROWS = 600
_BINS = 80


@cache
def space_id() -> str:
    """Name of the space the embeddings lie in: model, version, weights and features."""
    source = manifest(MODEL)
    weights = source.checkpoint.sha256 if source.checkpoint else source.package[0].file[0].sha256
    return f"{MODEL}-{source.version}-{weights[:16]}-{FEATURES}"


@cache
def _window_type() -> str:
    """Shape of the features' window, as Kaldi names it: CAM++ has Kaldi's own, a checkpoint says."""
    if manifest(MODEL).checkpoint is None:
        return "povey"
    return str(json.loads(model_file(MODEL, "config.json").read_text())["window_type"])


class Features:
    """Kaldi log-mel features of sound that grows; every row is made once."""

    def __init__(self) -> None:
        options = knf.FbankOptions()
        options.frame_opts.samp_freq = 16_000
        options.frame_opts.dither = 0.0
        options.frame_opts.window_type = _window_type()
        options.mel_opts.num_bins = _BINS
        self._extractor = knf.OnlineFbank(options)
        self._fed = 0
        self._rows = np.zeros((0, _BINS), np.float32)

    def rows(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features of the sound so far, (t,) float32 in [-1, 1] at 16 kHz -> (rows of 10 ms, 80) float32.

        `samples` begins as it did in the last call; it may be shorter.
        """
        if len(samples) > self._fed:
            # The network was trained on 16-bit values.
            self._extractor.accept_waveform(16_000, samples[self._fed :] * 32_768.0)
            self._fed = len(samples)
            ready = range(len(self._rows), self._extractor.num_frames_ready)
            self._rows = np.vstack([self._rows, *(self._extractor.get_frame(i) for i in ready)])
        return self._rows[: _row_count(samples)]


def fbank(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of a whole sound: (t,) float32 in [-1, 1] at 16 kHz -> (rows of 10 ms, 80) float32."""
    return Features().rows(samples)


def _row_count(samples: NDArray[np.float32]) -> int:
    return 0 if len(samples) < WINDOW else 1 + (len(samples) - WINDOW) // HOP


@cache
def _spectrum() -> tuple[spectrum.Spectrum, tuple[NDArray[np.float32] | NDArray[np.int32], ...]]:
    """CAM++'s features for `spectrum.cu`, with its tables; an imported embedding has no plan and needs none."""
    kind = spectrum.kaldi_fbank()
    return kind, kind.tables()


@dataclass(frozen=True, slots=True, eq=False)
class Voiced(Raw):
    """`rows` (n,), ascending, of the features of `samples` (t,), less their mean: (1, n, 80)."""

    features: Features
    samples: NDArray[np.float32]
    rows: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, n, 80)."""
        return 1, len(self.rows), _BINS

    def on_host(self) -> NDArray[np.float32]:
        """By Kaldi's own code, each row of a sound once."""
        rows = self.features.rows(self.samples)[self.rows]
        centred: NDArray[np.float32] = rows - rows.mean(axis=0)
        return centred[None]

    def on_card(self, workplace: Workplace) -> None:
        """By the kernels, from the first row to the last; the sound crosses the bus in 16 bits, as it came."""
        first, last = int(self.rows[0]), int(self.rows[-1])
        stretch = np.rint(self.samples[first * HOP : last * HOP + WINDOW] * 32_768)
        sound = workplace.put("sound", np.clip(stretch, -32_768, 32_767).astype(np.int16))
        kind, values = _spectrum()
        tables = tuple(workplace.put(f"table {i}", value) for i, value in enumerate(values))
        fbank = workplace.empty("fbank", (last - first + 1, _BINS), "float32")
        rows = workplace.put("rows", (self.rows - first).astype(np.int32))
        workplace.run(kind.launch(sound, 0, tables, fbank))
        workplace.run(spectrum.chosen_less_mean(fbank, rows, workplace.tensor(self.shape[1:])))


def embed(
    engine: Engine, features: Features, samples: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    """Unit vector (DIMENSION,) float32 of the voice in a window.

    `samples` (t,) are the window's, as `features.rows` takes them; `mask` (frames,) tells where the voice is alone.
    None when less than 0.3 s is left.
    """
    centre = np.arange(_row_count(samples)) * HOP + WINDOW // 2
    frames = np.minimum(frames_at(centre), len(mask) - 1)
    rows = np.flatnonzero(mask[frames])[:MAX_ROWS]
    if len(rows) < MIN_ROWS:
        return None
    vector = engine.run({"fbank": Voiced(features, samples, rows)})["embedding"][0]
    unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


def seconds(mask: NDArray[np.bool_]) -> float:
    """Time in which a (frames,) mask is true."""
    return float(mask.sum()) * FRAME_STEP / 16_000
