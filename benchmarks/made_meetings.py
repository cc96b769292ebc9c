"""Meetings put together from single voices, with overlap and short turns, the same ones from the same seed.

The truth is where each voice sounds in its own clip: pauses of `MIN_PAUSE_S` and more are no speech. Voices are
parted into two halves that share nobody, one to choose numbers on and one to report.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.asr import read

SAMPLE_RATE = 16_000
PARTS = ("a", "b", "all")
ALL_VOICES = 2
MIN_PAUSE_S = 0.25
MIN_VOICE_S = 3.5
LENGTH_S = 90.0
MAX_TURN_S = 12.0
# In a noisier clip pauses cannot be told by loudness.
MIN_RANGE_DB = 25.0
# What a voice's level is set to, how much it differs from one to the next, and the noise below all.
SPEECH_DBFS, SPREAD_DB, NOISE_DBFS = -23.0, 4.0, -60.0
_FRAME = SAMPLE_RATE // 100

Samples = NDArray[np.float32]
Span = tuple[float, float, str]


@dataclass(frozen=True, slots=True)
class Meeting:
    """`samples`, (t,) float32 at 16 kHz; `spans` (start s, end s, speaker); `texts` of each speaker, or nothing."""

    name: str
    samples: Samples
    spans: tuple[Span, ...]
    texts: dict[str, str]

    @property
    def speakers(self) -> int:
        """How many people speak."""
        return len({speaker for *_, speaker in self.spans})


@dataclass(frozen=True, slots=True)
class _Clip:
    samples: Samples
    speech: tuple[tuple[int, int], ...]
    text: str


def meetings(media: Path, part: int, counts: Sequence[int] = range(2, 9)) -> Iterator[Meeting]:
    """Two meetings for each number of speakers: `calm` of whole clips, `lively` of phrases.

    Of half 0 or 1 of the voices, as far as it has so many, or of ALL_VOICES.
    """
    voices = _voices(media / "audio")
    names = sorted(voices) if part == ALL_VOICES else sorted(voices)[part::2]
    for count in (count for count in counts if count <= len(names)):
        for style in ("calm", "lively"):
            generator = np.random.default_rng([part, count, style == "lively"])
            chosen = [names[i] for i in generator.permutation(len(names))[:count]]
            yield _meeting(
                f"{style}_{count}_{PARTS[part]}", {n: voices[n] for n in chosen}, generator, style == "lively"
            )


def _voices(base: Path) -> dict[str, list[_Clip]]:
    voices: dict[str, list[_Clip]] = {}
    for row in [json.loads(line) for line in (base / "manifest.jsonl").open()]:
        if row["kind"].startswith("diar"):
            continue
        samples = read(base / row["audio"])
        speech = speech_of(samples)
        if not speech:
            continue
        level = np.sqrt(np.mean(np.concatenate([samples[a:b] for a, b in speech]) ** 2))
        scaled = (samples * (10 ** (SPEECH_DBFS / 20) / level)).astype(np.float32)
        voices.setdefault(row["id"].split("-")[0], []).append(_Clip(scaled, speech, row["text"]))
    return {
        name: clips
        for name, clips in voices.items()
        if sum(b - a for clip in clips for a, b in clip.speech) >= MIN_VOICE_S * SAMPLE_RATE
    }


def speech_of(samples: Samples) -> tuple[tuple[int, int], ...]:
    """Half-open spans in which a clip of one voice sounds, by loudness; nothing when it is too noisy to tell."""
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    db = 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-10)
    floor, loud = np.percentile(db, (5, 95))
    if loud - floor < MIN_RANGE_DB:
        return ()
    is_speech = db > max(floor + 0.35 * (loud - floor), loud - 32)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_speech, [False]]))).reshape(-1, 2)
    joined: list[list[int]] = []
    for start, end in edges.tolist():
        if joined and start - joined[-1][1] < MIN_PAUSE_S * 100:
            joined[-1][1] = end
        elif end - start >= 3:
            joined.append([start, end])
    return tuple((start * _FRAME, end * _FRAME) for start, end in joined if end - start >= 10)


def _meeting(name: str, voices: dict[str, list[_Clip]], generator: np.random.Generator, is_lively: bool) -> Meeting:
    # Of a short meeting eight people do not all get a turn.
    end = int(LENGTH_S * SAMPLE_RATE) * (2 if len(voices) > 7 else 1)
    gains = {voice: 10 ** (generator.uniform(-SPREAD_DB, SPREAD_DB) / 20) for voice in voices}
    stock = {voice: _stock(clips, generator, is_lively) for voice, clips in voices.items()}
    used = dict.fromkeys(voices, 0)
    sound = np.zeros(end + 30 * SAMPLE_RATE, np.float32)
    spans: list[Span] = []
    texts: dict[str, list[str]] = {voice: [] for voice in voices}

    def say(voice: str, clip: _Clip, at: int) -> int:
        first, last = clip.speech[0][0], clip.speech[-1][1]
        sound[at : at + last - first] += gains[voice] * clip.samples[first:last]
        spans.extend(((at + a - first) / SAMPLE_RATE, (at + b - first) / SAMPLE_RATE, voice) for a, b in clip.speech)
        texts[voice].append(clip.text)
        return at + last - first

    at, before = SAMPLE_RATE // 2, ""
    while at < end:
        others = [voice for voice in voices if voice != before and used[voice] < len(stock[voice])]
        if not others:
            break
        # Who has said least comes up more often, so that everybody is heard.
        weights = np.array([1.0 / (1 + used[voice]) for voice in others])
        before = others[int(generator.choice(len(others), p=weights / weights.sum()))]
        started, clip = at, stock[before][used[before]]
        used[before] += 1
        at = say(before, clip, at)
        listeners = [v for v in voices if v != before and used[v] < len(stock[v])]
        if is_lively and listeners and at - started > 3 * SAMPLE_RATE and generator.random() < 0.25:
            # Somebody puts in a word.
            voice = listeners[int(generator.integers(len(listeners)))]
            word = _short(stock[voice], generator)
            if word is not None:
                say(voice, word, started + int(generator.uniform(0.3, 0.6) * (at - started)))
        gap_s = generator.uniform(-1.0, -0.2) if generator.random() < 0.15 * is_lively else generator.uniform(0.2, 1.2)
        at = max(started + SAMPLE_RATE // 2, at + int(gap_s * SAMPLE_RATE))
    total = int(max(b for _, b, _ in spans) * SAMPLE_RATE) + SAMPLE_RATE
    noise = generator.standard_normal(total).astype(np.float32) * np.float32(10 ** (NOISE_DBFS / 20))
    has_texts = all(all(parts) for parts in texts.values())
    said = {voice: " ".join(parts) for voice, parts in texts.items() if parts and has_texts}
    return Meeting(name, np.clip(sound[:total] + noise, -1, 1).astype(np.float32), tuple(sorted(spans)), said)


def _stock(clips: list[_Clip], generator: np.random.Generator, is_lively: bool) -> list[_Clip]:
    """What a voice has to say, in an order of its own, over again when it is little."""
    pieces = [piece for clip in clips for piece in _pieces(clip, generator, is_lively)]
    return [pieces[i] for _ in range(3) for i in generator.permutation(len(pieces))]


def _pieces(clip: _Clip, generator: np.random.Generator, is_lively: bool) -> list[_Clip]:
    """The whole clip, or stretches between its pauses: lively ones have 1 to 3 phrases. These have no text."""
    first, last = clip.speech[0][0], clip.speech[-1][1]
    if not is_lively and last - first <= MAX_TURN_S * SAMPLE_RATE:
        return [clip]
    pieces: list[list[tuple[int, int]]] = []
    left = 0
    for start, end in clip.speech:
        for a in range(start, end, int(MAX_TURN_S * SAMPLE_RATE)):
            b = min(end, a + int(MAX_TURN_S * SAMPLE_RATE))
            if left == 0 or b - pieces[-1][0][0] > MAX_TURN_S * SAMPLE_RATE:
                pieces.append([])
                left = int(generator.integers(1, 4)) if is_lively else len(clip.speech)
            pieces[-1].append((a, b))
            left -= 1
    return [_Clip(clip.samples, tuple(piece), "") for piece in pieces]


def _short(stock: list[_Clip], generator: np.random.Generator) -> _Clip | None:
    words = [c for c in stock if c.speech[-1][1] - c.speech[0][0] < 1.5 * SAMPLE_RATE]
    return words[int(generator.integers(len(words)))] if words else None
