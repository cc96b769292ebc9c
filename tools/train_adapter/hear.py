"""Made speech as the encoders of the product's recognisers hear it: parts of hidden states and what was said."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.asr.adapter import OF_MOONSHINE, OF_WHISPER, SAMPLES_PER_FRAME
from services.asr.mel import log_mel
from services.asr.stretch import MOST
from services.runtime.sentence import SentenceEncoder
from tools.train_adapter.material import sentences
from tools.train_adapter.voices import RATE, Samples, draw_voice, recorded, speak

# Texts that one voice says in a row, and voices of a part.
_TEXTS, _VOICES = 12, 40
States = NDArray[np.float32]
# Whose hidden states an adapter spells.
ENCODERS = {OF_MOONSHINE: "moonshine-tiny-en", OF_WHISPER: "whisper-base"}


def listener(model: str) -> Callable[[Sequence[Samples]], Iterator[States]]:
    """Sounds, each (n,) at 16 kHz -> (frames, width) of each: the encoder of "moonshine-tiny-en" or "whisper-base"."""
    encoder = open_engine(model, "encoder.onnx", threads=1)

    def moonshine(sounds: Sequence[Samples]) -> Iterator[States]:
        for samples in sounds:
            yield np.asarray(encoder.run({"audio": samples[None]}, ["hidden"])["hidden"][0])

    def whisper(sounds: Sequence[Samples]) -> Iterator[States]:
        for window in windows(sounds):
            hidden = np.asarray(encoder.run({"mel": log_mel(np.concatenate(window))[None]}, ["hidden"])["hidden"][0])
            ends = np.cumsum([len(samples) for samples in window]) // SAMPLES_PER_FRAME[OF_WHISPER]
            yield from np.split(hidden[: ends[-1]], ends[:-1])

    return moonshine if model.startswith("moonshine") else whisper


def windows(sounds: Sequence[Samples]) -> Iterator[list[Samples]]:
    """The sounds in their order, so many together as Whisper reads at a time: its encoder always runs 30 s."""
    window: list[Samples] = []
    for samples in sounds:
        if window and sum(map(len, window)) + len(samples) > MOST:
            yield window
            window = []
        window.append(samples)
    if window:
        yield window


def said(split: str, seed: int) -> Iterator[tuple[str, str, Samples]]:
    """What voices of a split say: text, voice, (n,) samples of 1 to 25 s. The same seed gives the same."""
    random, lines = np.random.default_rng([seed, split == "test"]), sentences(split, seed)
    for _ in range(_VOICES):
        voice, texts = draw_voice(split, random), list(islice(lines, _TEXTS))
        for text, sound in zip(texts, speak(voice, texts), strict=True):
            samples = recorded(sound, random)
            if RATE <= len(samples) <= 25 * RATE:
                yield text, voice.name, samples


def hear(model: str, split: str, hours: float, seed: int, out: Path) -> float:
    """Write parts until they hold so many hours; parts that are there already stay. Returns the hours heard."""
    out.mkdir(parents=True, exist_ok=True)
    listen, meaning = listener(model), SentenceEncoder()
    heard_s, part = 0.0, 0
    while heard_s < hours * 3600:
        file = out / f"{split}-{part:03d}.npz"
        if not file.exists():
            _write(file, listen, meaning, split, seed + part)
        with np.load(file) as kept:
            heard_s += float(kept["seconds"])
        part += 1
        # those of the speaking programs too
        print(f"{heard_s / 3600:.2f} h in {sum(os.times()[:4]):.0f} CPU seconds", flush=True)
    return heard_s / 3600


def _write(
    file: Path,
    listen: Callable[[Sequence[Samples]], Iterator[States]],
    meaning: SentenceEncoder,
    split: str,
    seed: int,
) -> None:
    texts, voices, sounds = zip(*said(split, seed), strict=True)
    states = [heard.astype(np.float16) for heard in listen(sounds)]
    half = file.with_suffix(".tmp")
    with half.open("wb") as sink:
        np.savez(
            sink,
            states=np.concatenate(states),
            ends=np.cumsum([len(each) for each in states]),
            texts=np.array(json.dumps(texts)),
            voices=np.array(json.dumps(voices)),
            meanings=meaning.encode(list(texts)).astype(np.float16),
            seconds=sum(map(len, sounds)) / RATE,
        )
    half.rename(file)
