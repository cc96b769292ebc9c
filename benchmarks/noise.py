"""Sounds that hold no words, made from a seed: what the recogniser writes there it has invented.

`python -m benchmarks.noise [--media DIR] [--more FILE ...]` sends minutes of each through the asr stage with its
default settings and prints one JSON object with the words it wrote. DIR holds audio/manifest.jsonl (id, audio,
language), whose voices make the babble; FILEs are recordings without words, such as music.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import finals, read
from services.asr.service import new_expert
from services.runtime.percept import SAMPLE_RATE

Samples = NDArray[np.float32]
# So many voices at the same time are a hum in which nobody is understood.
VOICES = 12


def silence(seconds: float, seed: int) -> Samples:
    """Digital silence, (n,); the seed changes nothing."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def white(seconds: float, seed: int) -> Samples:
    """White noise whose level changes every ten seconds between -60 and -10 dB."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    levels_db = np.repeat(rng.uniform(-60, -10, n // (10 * SAMPLE_RATE) + 1), 10 * SAMPLE_RATE)[:n]
    return _clipped(rng.standard_normal(n) * 10 ** (levels_db / 20))


def keyboard(seconds: float, seed: int) -> Samples:
    """Typing: bursts of strokes, each a press and a release of a resonating key, over faint room noise."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    sound = rng.standard_normal(n) * 10 ** (-65 / 20)
    at = 0.0
    while at < seconds - 1:
        for _ in range(int(rng.integers(3, 40))):
            loudness = rng.uniform(0.05, 0.5)
            for offset, share in ((0.0, 1.0), (rng.uniform(0.06, 0.11), 0.5)):
                start = round((at + offset) * SAMPLE_RATE)
                stroke = _stroke(rng)[: max(0, n - start)]
                sound[start : start + len(stroke)] += loudness * share * stroke
            at += rng.uniform(0.07, 0.3)
        at += rng.exponential(1.5)
    return _clipped(sound)


def _stroke(rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = np.arange(round(0.05 * SAMPLE_RATE)) / SAMPLE_RATE
    click = rng.standard_normal(len(seconds)) * np.exp(-seconds / 0.003)
    body = np.sin(2 * np.pi * rng.uniform(180, 2500) * seconds + rng.uniform(0, 6)) * np.exp(-seconds / 0.012)
    return np.asarray(0.7 * click + 0.3 * body)


def music(seconds: float, seed: int) -> Samples:
    """A band without a singer: chords, bass, a plucked or blown melody, drums; new key and pace each 20 s."""
    rng = np.random.default_rng(seed)
    parts = [_piece(rng, 20.0) for _ in range(int(np.ceil(seconds / 20)))]
    return _clipped(np.concatenate(parts)[: round(seconds * SAMPLE_RATE)])


def _piece(rng: np.random.Generator, seconds: float) -> NDArray[np.float64]:
    sound = np.zeros(round(seconds * SAMPLE_RATE))
    beat = 60 / rng.uniform(70, 150)
    scale = np.array([0, 2, 4, 5, 7, 9, 11]) if rng.random() < 0.5 else np.array([0, 2, 3, 5, 7, 8, 10])
    root = rng.uniform(45, 57)
    blown = rng.random() < 0.5
    degree = 7
    for i in range(int(seconds / beat)):
        start = i * beat
        if i % 4 == 0:
            chord = int(rng.choice([0, 3, 4, 5]))
            for step in (0, 2, 4):
                _add(sound, start, _note(root + _pitch(scale, chord + step), 4 * beat, 0.05, decay_s=2.0))
        _add(sound, start, _note(root - 12 + _pitch(scale, chord), beat, 0.12, decay_s=0.3))
        for half in range(2):
            degree = int(np.clip(degree + rng.integers(-2, 3), 3, 16))
            pitch = root + 12 + _pitch(scale, degree)
            _add(
                sound,
                start + half * beat / 2,
                _note(pitch, beat / 2, 0.12, decay_s=5.0 if blown else 0.25, vibrato=blown),
            )
            hat = rng.standard_normal(800) * np.exp(-np.arange(800) / 150) * 0.04
            _add(sound, start + half * beat / 2, hat)
        drum = np.sin(2 * np.pi * np.cumsum(np.linspace(120, 45, 3000)) / SAMPLE_RATE) * np.exp(-np.arange(3000) / 900)
        snare = rng.standard_normal(2500) * np.exp(-np.arange(2500) / 500)
        _add(sound, start, 0.3 * drum if i % 2 == 0 else 0.12 * snare)
    return np.asarray(sound * rng.uniform(0.2, 1.0))


def _pitch(scale: NDArray[np.int64], degree: int) -> float:
    return float(12 * (degree // 7) + scale[degree % 7])


def _note(
    pitch: float, seconds: float, loudness: float, *, decay_s: float, vibrato: bool = False
) -> NDArray[np.float64]:
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    phase = 2 * np.pi * frequency * times + (0.25 * np.sin(2 * np.pi * 5.5 * times) * frequency / 60 if vibrato else 0)
    tone = sum(np.sin(k * phase) / k**1.3 for k in range(1, 9) if k * frequency < SAMPLE_RATE / 2)
    shape = np.minimum(1, times / 0.01) * np.minimum(1, (seconds - times) / 0.02) * np.exp(-times / decay_s)
    return np.asarray(loudness * shape * tone)


def _add(sound: NDArray[np.float64], start_s: float, part: NDArray[np.float64]) -> None:
    start = round(start_s * SAMPLE_RATE)
    part = part[: max(0, len(sound) - start)]
    sound[start : start + len(part)] += part


def babble(seconds: float, seed: int, *, clips: Sequence[Samples]) -> Samples:
    """VOICES equally loud voices at once, each from its own clips; -45 to -15 dB, new each ten seconds."""
    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLE_RATE)
    total = np.zeros(n)
    for _ in range(VOICES):
        voice: list[Samples] = []
        length = 0
        while length < n + SAMPLE_RATE:
            clip = clips[int(rng.integers(len(clips)))]
            voice.append(clip / max(float(np.sqrt(np.mean(clip**2))), 1e-6))
            length += len(clip)
        start = int(rng.integers(SAMPLE_RATE))
        total += np.concatenate(voice)[start : start + n]
    levels_db = np.repeat(rng.uniform(-45, -15, n // (10 * SAMPLE_RATE) + 1), 10 * SAMPLE_RATE)[:n]
    return _clipped(total / np.sqrt(VOICES) * 10 ** (levels_db / 20))


def _clipped(sound: NDArray[np.float64]) -> Samples:
    result: Samples = np.clip(sound, -1, 1).astype(np.float32)
    return result


def main() -> None:
    """Make, recognise, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--more", type=Path, nargs="*", default=[])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--language", default="")
    parser.add_argument("--option", action="append", default=[])
    flags = parser.parse_args()
    options = dict(option.split("=", 1) for option in flags.option)
    made: dict[str, Callable[[float, int], Samples]]
    made = {"silence": silence, "white noise": white, "keyboard": keyboard, "music": music}
    if flags.media is not None:
        rows = [json.loads(line) for line in (flags.media / "audio" / "manifest.jsonl").open()]
        clips = [read(flags.media / "audio" / row["audio"]) for row in rows if not row["kind"].startswith("diar")]
        made["babble"] = partial(babble, clips=clips)
    expert = new_expert()
    results = {}
    sounds = {name: partial(make, 60 * flags.minutes, flags.seed) for name, make in made.items()}
    for name, get in (sounds | {path.name: partial(read, path) for path in flags.more}).items():
        samples = get()
        start = time.process_time()
        words = [w.text for final in finals(expert, samples, flags.language, options) for w in final.words]
        cpu_s = time.process_time() - start
        results[name] = {
            "minutes": round(len(samples) / SAMPLE_RATE / 60, 1),
            "words": len(words),
            "wrote": " ".join(words),
            "cpu_s": round(cpu_s, 1),
        }
        print(json.dumps({name: results[name]}), flush=True)


if __name__ == "__main__":
    main()
