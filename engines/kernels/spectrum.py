"""Twin of spectrum.cu: log-mel features of 16-bit sound, in one go or as it comes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.engine import TensorError
from engines.kernels.launch import Array, Buffer, Kernel, Launch, Scalar, blocks

MAX_SIZE = 512  # as in spectrum.cu

LOG_MEL = Kernel(
    "log_mel_s16",
    "spectrum.cu",
    (128, 1, 1),
    (
        Buffer("sound", "int16", ("samples",)),
        Scalar("samples", "int32"),
        Scalar("first", "int32"),
        Scalar("hop", "int32"),
        Scalar("scale", "float32"),
        Scalar("removes_mean", "int32"),
        Scalar("preemphasis", "float32"),
        Buffer("window", "float32", ("window_size",)),
        Scalar("window_size", "int32"),
        Buffer("cosine", "float32", ("size",)),
        Buffer("sine", "float32", ("size",)),
        Scalar("size", "int32"),
        Buffer("mel_first", "int32", ("mels",)),
        Buffer("mel_count", "int32", ("mels",)),
        Buffer("mel_offset", "int32", ("mels",)),
        Buffer("mel_weights", "float32", ("weights",)),
        Scalar("least", "float32"),
        Buffer("features", "float32", ("frames", "mels"), is_written=True),
        Scalar("frames", "int32"),
        Scalar("mels", "int32"),
    ),
)
LARGEST = Kernel(
    "largest_f32",
    "spectrum.cu",
    (128, 1, 1),
    (
        Buffer("values", "float32", ("rows", "columns")),
        Buffer("largest", "float32", (1,), is_written=True),
        Scalar("rows", "int32"),
        Scalar("columns", "int32"),
    ),
)
WHISPER_SCALE = Kernel(
    "whisper_scale",
    "spectrum.cu",
    (128, 1, 1),
    (
        Buffer("log_mel", "float32", ("frames", "mels")),
        Buffer("largest", "float32", (1,)),
        Buffer("features", "float32", ("mels", "all_frames"), is_written=True),
        Scalar("frames", "int32"),
        Scalar("mels", "int32"),
        Scalar("all_frames", "int32"),
    ),
)
CHOSEN_LESS_MEAN = Kernel(
    "chosen_less_mean",
    "spectrum.cu",
    (128, 1, 1),
    (
        Buffer("features", "float32", ("frames", "mels")),
        Buffer("rows", "int32", ("chosen",)),
        Buffer("result", "float32", ("chosen", "mels"), is_written=True),
        Scalar("mels", "int32"),
        Scalar("chosen", "int32"),
    ),
)
KERNELS = (LOG_MEL, LARGEST, WHISPER_SCALE, CHOSEN_LESS_MEAN)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """What is computed for each frame of `window` (n,), n <= `size` <= 512, every `hop` samples.

    `filters` (mels, size / 2 + 1) must each be one run of bins; `least` is the floor below the logarithm.
    """

    size: int
    hop: int
    window: NDArray[np.float32]
    filters: NDArray[np.float32]
    scale: float = 1 / 32_768
    removes_mean: bool = False
    preemphasis: float = 0.0
    least: float = 1e-10

    def __post_init__(self) -> None:
        if not len(self.window) <= self.size <= MAX_SIZE:
            raise TensorError(
                f"window and transform have {len(self.window)} and {self.size} samples; "
                f"the window may not be longer than the transform, nor that than {MAX_SIZE}"
            )

    def tables(self) -> tuple[NDArray[np.float32] | NDArray[np.int32], ...]:
        """What the kernel looks up, to be put on the device once; order as in `launch`."""
        angle = 2 * np.pi * np.arange(self.size) / self.size
        bins = [np.flatnonzero(row) for row in self.filters]
        # a filter narrower than a bin has no weight: one bin of weight 0
        first = np.array([b[0] if len(b) else 0 for b in bins], np.int32)
        count = np.array([b[-1] - b[0] + 1 if len(b) else 1 for b in bins], np.int32)
        offset = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int32)
        weights = np.concatenate([row[a : a + n] for row, a, n in zip(self.filters, first, count, strict=True)])
        return (
            self.window.astype(np.float32),
            np.cos(angle).astype(np.float32),
            np.sin(angle).astype(np.float32),
            first,
            count,
            offset,
            weights.astype(np.float32),
        )

    def launch(self, sound: Array, first: int, tables: tuple[Array, ...], features: Array) -> Launch:
        """(n,) int16 -> `features` (frames, mels) float32, frame i beginning at `first` + i * hop.

        Samples outside of `sound` are silence. Raises TensorError.
        """
        window, cosine, sine, mel_first, mel_count, mel_offset, weights = tables
        frames, mels = features.shape
        return LOG_MEL.launch(
            (int(frames),),
            sound,
            int(sound.shape[0]),
            first,
            self.hop,
            self.scale,
            int(self.removes_mean),
            self.preemphasis,
            window,
            int(window.shape[0]),
            cosine,
            sine,
            self.size,
            mel_first,
            mel_count,
            mel_offset,
            weights,
            self.least,
            features,
            int(frames),
            int(mels),
        )

    def reference(self, sound: NDArray[np.int16], first: int, frames: int) -> NDArray[np.float64]:
        """As `launch`, in double precision."""
        length = len(self.window)
        at = first + np.arange(frames)[:, None] * self.hop + np.arange(length)
        inside = (at >= 0) & (at < len(sound))
        rows = np.where(inside, sound[np.clip(at, 0, len(sound) - 1)], 0) * float(self.scale)
        if self.removes_mean:
            rows = rows - rows.mean(axis=1, keepdims=True)
        before = np.concatenate([rows[:, :1], rows[:, :-1]], axis=1)
        shaped = (rows - self.preemphasis * before) * self.window
        power = np.abs(np.fft.rfft(shaped, self.size, axis=1)) ** 2
        mel: NDArray[np.float64] = np.log(np.maximum(power @ self.filters.T.astype(np.float64), self.least))
        return mel


def kaldi_fbank() -> Spectrum:
    """Kaldi's fbank at 16 kHz: 25 ms every 10, Povey's window, 80 mels from 20 Hz, of 16-bit values."""
    povey = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    low, high = 1127 * np.log(1 + np.array([20, 8_000]) / 700)
    edges = np.linspace(low, high, 82)
    bins = 1127 * np.log(1 + np.arange(257) * (16_000 / 512 / 700))
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    filters[:, 256] = 0  # Kaldi leaves the last bin out
    least = float(np.finfo(np.float32).eps)
    return Spectrum(512, 160, povey.astype(np.float32), filters, 1.0, True, 0.97, least)


def chosen_less_mean(features: Array, rows: Array, result: Array) -> Launch:
    """(frames, mels) float32 and (chosen,) int32 rows of it -> (chosen, mels), those rows less their mean.

    That each row is one of the frames is the caller's to see to. Raises TensorError.
    """
    chosen, mels = result.shape
    return CHOSEN_LESS_MEAN.launch((int(mels),), features, rows, result, int(mels), int(chosen))


def reference_chosen_less_mean(features: NDArray[np.floating], rows: NDArray[np.int32]) -> NDArray[np.float64]:
    """As `chosen_less_mean`."""
    wide = features.astype(np.float64)[rows]
    result: NDArray[np.float64] = wide - wide.mean(axis=0)
    return result


def largest(values: Array, result: Array) -> Launch:
    """(rows, columns) float32 -> (1,), the largest of all. Raises TensorError."""
    rows, columns = values.shape
    return LARGEST.launch((1,), values, result, int(rows), int(columns))


def whisper_scale(log_mel: Array, most: Array, features: Array) -> Launch:
    """(frames, mels) of `Spectrum.launch` and its `largest` -> (mels, all frames) as Whisper takes them.

    Raises TensorError.
    """
    (frames, mels), all_frames = log_mel.shape, int(features.shape[1])
    grid = (blocks(all_frames, WHISPER_SCALE.block[0]), int(mels))
    return WHISPER_SCALE.launch(grid, log_mel, most, features, int(frames), int(mels), all_frames)


def reference_whisper_scale(log_mel: NDArray[np.floating], most: float, all_frames: int) -> NDArray[np.float64]:
    """As `whisper_scale`."""
    decimal = np.full((all_frames, log_mel.shape[1]), -10.0)
    decimal[: len(log_mel)] = log_mel / np.log(10)
    features: NDArray[np.float64] = ((np.maximum(decimal, most / np.log(10) - 8) + 4) / 4).T
    return features
