"""How often an icon of a set never trained on is told by its name among those of 300."""

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import open_engine
from services.vision.icons import MODEL, ink_of
from tools.train_icon.material import HELD_OUT, TRAINED, IconSet, listed
from tools.train_icon.texts import Words

NAMES = 300
_DRAWS = 5
_SHOWN_PX = (16, 20, 24, 32)


def load(drawn: Path, icons: IconSet) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """A set's pictures (n, 48, 48) and the texts of each."""
    return np.load(drawn / f"{icons.source.folder}.npz")["pictures"], listed(drawn, icons)


def zero_shot(
    encode: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    icons: tuple[NDArray[np.uint8], list[list[str]]],
    words: Words,
    seed: int = 0,
) -> tuple[float, float]:
    """Top-1 and top-5 of one drawing for each of 300 names (all, where a set has fewer) among these names.

    Names and drawings are chosen by `seed`; each is shown at 16, 20, 24 or 32 px, dark on light or light on dark.
    A name counts only as it is written, words in any order; variants that differ by a number are one name.
    """
    random = np.random.default_rng(seed)
    pictures, listed = icons
    by_name: dict[str, list[int]] = {}
    for index, (name, *_) in enumerate(listed):
        by_name.setdefault(" ".join(sorted(name.split())), []).append(index)
    names = sorted(by_name)
    chosen = [names[index] for index in random.permutation(len(names))[:NAMES]]
    drawings = [int(random.choice(by_name[name])) for name in chosen]
    shown = [_shown(pictures[index], int(random.choice(_SHOWN_PX)), random.random() < 0.3) for index in drawings]
    texts = words.vectors[[words.row[listed[index][0]] for index in drawings]]
    found = encode(np.stack(shown)) @ texts.T
    own = np.diagonal(found)
    better = (found > own[:, None]).sum(axis=1)
    return float((better == 0).mean()), float((better < 5).mean())


def _shown(picture: NDArray[np.uint8], size_px: int, is_dark: bool) -> NDArray[np.float32]:
    small = cv2.resize(picture, (size_px, size_px), interpolation=cv2.INTER_AREA)
    ink = ink_of(255 - small if is_dark else small)
    assert ink is not None
    return ink


def measure(drawn: Path, texts: Path) -> None:
    """Print top-1 and top-5 of the installed weights on the held-out set, five draws of 300 names, and the cost."""
    cv2.setNumThreads(1)
    words = Words(texts)
    engine = open_engine(MODEL, "icon-encoder.onnx", threads=1)
    spent_s, encoded = 0.0, 0

    def encode(ink: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal spent_s, encoded
        began = time.process_time()
        vectors = np.concatenate([engine.run({"ink": one[None, None]})["embedding"] for one in ink])
        spent_s, encoded = spent_s + time.process_time() - began, encoded + len(ink)
        return vectors

    trained = {" ".join(sorted(name.split())) for icons in TRAINED for name, *_ in listed(drawn, icons)}
    for icons in HELD_OUT:
        pictures, called = load(drawn, icons)
        known = [row for row, (name, *_) in enumerate(called) if " ".join(sorted(name.split())) in trained]
        for what, kept in (
            ("all names", list(range(len(called)))),
            ("names that a trained set has too", known),
            ("names that none has", sorted(set(range(len(called))) - set(known))),
        ):
            part = pictures[kept], [called[row] for row in kept]
            top1, top5 = np.mean([zero_shot(encode, part, words, seed) for seed in range(_DRAWS)], axis=0)
            print(f"{icons.source.name}, {what}: mean of {_DRAWS} draws: top1 {top1:.3f} top5 {top5:.3f}")
    print(f"{spent_s / encoded * 1000:.2f} CPU-ms an icon")
