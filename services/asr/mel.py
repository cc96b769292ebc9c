"""Whisper's log-mel spectrogram (arXiv 2212.04356, section 2.2; audio.py of openai/whisper), in numpy or by kernels."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from engines.engine import Raw, Workplace
from engines.kernels import spectrum

SAMPLE_RATE = 16_000
MAX_SAMPLES = 30 * SAMPLE_RATE
FRAMES = 3_000
_FFT, _HOP, _BINS = 400, 160, 80


@cache
def _filters() -> NDArray[np.float32]:
    """Slaney's mel filters of unit area, (201, 80)."""

    def to_mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(hertz < 1000, hertz * 3 / 200, 15 + 27 * np.log(np.maximum(hertz, 1e-9) / 1000) / np.log(6.4))

    def to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))

    top = float(to_mel(np.array(SAMPLE_RATE / 2)))
    edges = to_hertz(np.linspace(0, top, _BINS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return filters.astype(np.float32)


def log_mel(samples: NDArray[np.float32], all_frames: int = FRAMES) -> NDArray[np.float32]:
    """(n,) samples at 16 kHz, n <= 160 `all_frames`, silence added up to those -> (80, all_frames)."""
    # Frames beyond the audio are silence: their value is the floor, no need to transform them.
    frames = min(all_frames, len(samples) // _HOP + 3)
    padded = np.zeros((frames - 1) * _HOP + _FFT, np.float32)
    lead = _FFT // 2
    body = samples[: len(padded) - lead]
    padded[lead : lead + len(body)] = body
    head = samples[1 : lead + 1][::-1]  # the definition mirrors the audio at its start
    padded[lead - len(head) : lead] = head
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    hann = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(windows * hann, axis=1)).astype(np.float32) ** 2
    log = np.full((all_frames, _BINS), -10, np.float32)
    log[:frames] = np.log10(np.maximum(power @ _filters(), 1e-10))
    log = np.maximum(log, log.max() - 8)
    return np.ascontiguousarray(((log + 4) / 4).T)


@cache
def _spectrum() -> tuple[spectrum.Spectrum, tuple[NDArray[np.float32] | NDArray[np.int32], ...]]:
    """The same for `spectrum.cu`, with its tables."""
    hann = np.hanning(_FFT + 1)[:-1].astype(np.float32)
    kind = spectrum.Spectrum(_FFT, _HOP, hann, np.ascontiguousarray(_filters().T))
    return kind, kind.tables()


@dataclass(frozen=True, slots=True, eq=False)
class LogMel(Raw):
    """(n,) samples at 16 kHz as `log_mel` makes them, (1, 80, frames); a card takes them in 16 bits, as they came."""

    samples: NDArray[np.float32]
    frames: int = FRAMES

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, 80, frames)."""
        return 1, _BINS, self.frames

    def on_host(self) -> NDArray[np.float32]:
        """By numpy."""
        return log_mel(self.samples, self.frames)[None]

    def on_card(self, workplace: Workplace) -> None:
        """By the kernels; the sound crosses the bus."""
        lead = _FFT // 2
        head = self.samples[1 : lead + 1][::-1]
        whole = np.concatenate([np.zeros(lead - len(head), np.float32), head, self.samples])
        sound = workplace.put("sound", np.clip(np.rint(whole * 32_768), -32_768, 32_767).astype(np.int16))
        kind, values = _spectrum()
        tables = tuple(workplace.put(f"table {i}", value) for i, value in enumerate(values))
        frames = min(self.frames, len(self.samples) // _HOP + 3)
        log, most = workplace.empty("log", (frames, _BINS), "float32"), workplace.empty("most", (1,), "float32")
        workplace.run(kind.launch(sound, 0, tables, log))
        workplace.run(spectrum.largest(log, most))
        workplace.run(spectrum.whisper_scale(log, most, workplace.tensor(self.shape[1:])))
