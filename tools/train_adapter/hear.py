"""Made speech as the encoders of the product's recognisers hear it: parts of hidden states and what was said."""

import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.asr.mel import log_mel
from services.runtime.sentence import SentenceEncoder
from tools.train_adapter.material import sentences
from tools.train_adapter.voices import RATE, Samples, draw_voice, recorded, speak

# Texts that one voice says in a row, and voices of a part.
_TEXTS, _VOICES = 12, 40
States = NDArray[np.float32]


def listener(model: str) -> Callable[[Samples], States]:
    """(n,) samples at 16 kHz -> (frames, width): the encoder of "moonshine-tiny-en" or "whisper-base"."""
    encoder = open_engine(model, "encoder.onnx", threads=1)

    def moonshine(samples: Samples) -> States:
        return np.asarray(encoder.run({"audio": samples[None]}, ["hidden"])["hidden"][0])

    def whisper(samples: Samples) -> States:
        hidden = encoder.run({"mel": log_mel(samples)[None]}, ["hidden"])["hidden"][0]
        return np.asarray(hidden[: -(-len(samples) // 320)])

    return moonshine if model.startswith("moonshine") else whisper


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
        print(f"{heard_s / 3600:.2f} h in {time.process_time():.0f} CPU seconds", flush=True)
    return heard_s / 3600


def _write(file: Path, listen: Callable[[Samples], States], meaning: SentenceEncoder, split: str, seed: int) -> None:
    random, lines = np.random.default_rng([seed, split == "test"]), sentences(split, seed)
    states, texts, voices, seconds = [], [], [], 0.0
    for _ in range(_VOICES):
        voice, said = draw_voice(split, random), list(islice(lines, _TEXTS))
        for text, sound in zip(said, speak(voice, said), strict=True):
            samples = recorded(sound, random)
            if not RATE <= len(samples) <= 25 * RATE:
                continue
            states.append(listen(samples).astype(np.float16))
            texts.append(text)
            voices.append(voice.name)
            seconds += len(samples) / RATE
    half = file.with_suffix(".tmp")
    with half.open("wb") as sink:
        np.savez(
            sink,
            states=np.concatenate(states),
            ends=np.cumsum([len(each) for each in states]),
            texts=np.array(json.dumps(texts)),
            voices=np.array(json.dumps(voices)),
            meanings=meaning.encode(texts).astype(np.float16),
            seconds=seconds,
        )
    half.rename(file)
