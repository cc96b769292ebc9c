"""What is said: lines of invented meetings with other words in them, and rows of words; the same seed gives the same.

Words come from the vocabulary of the sentence encoder (Apache-2.0), so that names and rare words are among them. One
word in 20 is held out: it is said in the test part only, by voices that are held out too.
"""

import json
import random
import re
import zlib
from collections.abc import Iterator
from functools import cache

from engines.models import model_file
from services.runtime.spelling import spelled
from tools.train_decoder.meetings import make

SPLITS = ("train", "test")
_JOINTS = "the the the a of of to to and and in in is for on that with it was we you this are be at by".split()
_LONGEST = 14


@cache
def vocabulary(split: str) -> tuple[str, ...]:
    """Whole words of three letters and more that a split may use beyond those of its meetings."""
    tokens = json.loads(model_file("minilm", "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(word for word in tokens if re.fullmatch("[a-z]{3,}", word))
    return tuple(word for word in words if is_held_out(word) == (split == "test"))


def is_held_out(word: str) -> bool:
    """Whether a word is never said in training, unless a meeting's template has it."""
    return zlib.crc32(word.encode()) % 20 == 0


def sentences(split: str, seed: int) -> Iterator[str]:
    """Spelled sentences without end."""
    rng = random.Random(f"{split} {seed}")
    lines = _lines(split, seed)
    words = vocabulary(split)
    while True:
        if rng.random() < 0.5:
            line = spelled(next(lines)).split()[:_LONGEST]
            said = [rng.choice(words) if len(word) > 4 and rng.random() < 0.3 else word for word in line]
        else:
            said = []
            for _ in range(rng.randint(2, 7)):
                said += [rng.choice(_JOINTS)] * (rng.random() < 0.5) + [rng.choice(words)]
        if len(said) >= 2:
            yield " ".join(said)


def _lines(split: str, seed: int) -> Iterator[str]:
    """What is said in invented meetings."""
    meeting = 10_000 * (seed + 1)
    while True:
        for line in make(split, meeting).lines:
            if line.who != "screen":
                yield line.text
        meeting += 1
