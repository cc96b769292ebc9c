"""Voices of three engines, and what rooms and lines do to them.

espeak-ng (formants, GPL-3.0 program), flite (clustergen and diphone, BSD-like) and festival (HTS and diphone, BSD-like)
are Debian packages and run as programs: their sound is used, nothing of them is in the weights.
"""

import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE = 16_000
_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-029", "en-gb-x-gbcwmd")
_TIMBRES = (
    *(f"f{i}" for i in range(1, 5)),
    *(f"m{i}" for i in range(1, 8)),
    *"Alicia Andy Annie Denis Gene Hugo Jacky Lee Marco Mario Michael Mike adam anika antonio belinda benjamin".split(),
    *"boris caleb david edward iven john linda max pablo paul pedro quincy rob robert shelby steph travis zac".split(),
)
_FLITE = ("awb", "slt", "kal16")
_FESTIVAL = ("ked_diphone", "cmu_us_slt_arctic_hts")
# Engine and name of the voices of the test part.
HELD_OUT = (("flite", "rms"), ("espeak", "en-gb-scotland+f5"), ("espeak", "en-us+m8"), ("espeak", "en-gb+sandro"))


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice of an engine; `rate` is how fast it speaks (1: as it was made), `pitch` 0 to 99 where it can be set."""

    engine: str
    name: str
    rate: float
    pitch: int


def draw_voice(split: str, random: np.random.Generator) -> Voice:
    """A voice of a split."""
    rate, pitch = float(random.uniform(0.8, 1.25)), int(random.integers(25, 75))
    if split == "test":
        engine, name = HELD_OUT[0] if random.random() < 0.5 else HELD_OUT[int(random.integers(1, len(HELD_OUT)))]
        return Voice(engine, name, rate, pitch)
    kind = random.random()
    if kind < 0.35:
        return Voice("espeak", f"{random.choice(_ACCENTS)}+{random.choice(_TIMBRES)}", rate, pitch)
    if kind < 0.75:
        return Voice("flite", str(random.choice(_FLITE)), rate, pitch)
    return Voice("festival", str(random.choice(_FESTIVAL)), rate, pitch)


def speak(voice: Voice, texts: Sequence[str]) -> list[Samples]:
    """Each text as (n,) float32 at 16 kHz. Raises OSError where the engine is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{index}.wav" for index in range(len(texts))]
        if voice.engine == "festival":
            _festival(voice, texts, files)
        for text, file in zip(texts, files, strict=True):
            if voice.engine == "espeak":
                speed = ["-s", str(int(165 * voice.rate)), "-p", str(voice.pitch)]
                _run(["espeak-ng", "-v", voice.name, *speed, "-w", str(file), text])
            elif voice.engine == "flite":
                stretch = f"duration_stretch={1 / voice.rate:.2f}"
                _run(["flite", "-voice", voice.name, "--setf", stretch, "-t", text, "-o", str(file)])
        return [_read(file) for file in files]


def _festival(voice: Voice, texts: Sequence[str], files: Sequence[Path]) -> None:
    script = files[0].parent / "say.scm"
    lines = [f"(voice_{voice.name})", f"(Parameter.set 'Duration_Stretch {1 / voice.rate:.2f})"]
    for text, file in zip(texts, files, strict=True):
        lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{file}" \'riff)')
    script.write_text("\n".join(lines))
    _run(["festival", "-b", str(script)])


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _read(file: Path) -> Samples:
    with wave.open(str(file)) as sound:
        rate = sound.getframerate()
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32_768
    return np.asarray(soxr.resample(samples, rate, RATE), np.float32)


def recorded(samples: Samples, random: np.random.Generator) -> Samples:
    """As another throat, room, microphone and line might bring it: tempo and pitch, echo, band, noise, level."""
    out = samples
    if random.random() < 0.6:
        factor = random.uniform(0.85, 1.18)
        out = np.asarray(soxr.resample(out, RATE, RATE * factor), np.float32)
    if random.random() < 0.35:
        length = int(RATE * random.uniform(0.05, 0.35))
        echo = random.standard_normal(length) * np.exp(-np.linspace(0, 6.9, length)) * random.uniform(0.02, 0.12)
        echo[0] = 1.0
        size = 1 << (len(out) + length).bit_length()
        out = np.fft.irfft(np.fft.rfft(out, size) * np.fft.rfft(echo, size), size)[: len(out)].astype(np.float32)
    if random.random() < 0.15:
        out = np.asarray(soxr.resample(soxr.resample(out, RATE, 8_000), 8_000, RATE), np.float32)
    pad = [np.zeros(int(RATE * random.uniform(0.1, 0.5)), np.float32) for _ in range(2)]
    out = np.concatenate([pad[0], out, pad[1]])
    if random.random() < 0.75:
        spectrum = np.fft.rfft(random.standard_normal(len(out)))
        # from white to brown
        spectrum /= np.maximum(np.arange(len(spectrum)), 30.0) ** random.uniform(0, 1)
        noise = np.fft.irfft(spectrum, len(out)).astype(np.float32)
        level = float(np.sqrt(np.mean(out**2))) * 10 ** (-random.uniform(3, 35) / 20)
        out = out + noise * np.float32(level / max(1e-9, float(np.sqrt(np.mean(noise**2)))))
    peak = float(np.abs(out).max())
    return np.asarray(out * np.float32(random.uniform(0.1, 0.9) / max(peak, 1e-6)), np.float32)
