"""Training on one thread of a CPU: each picture is drawn to the words for it, away from all other words."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from services.vision.icons import ICON_PX, ink_of
from tools.train_icon.draw import DRAWN_PX
from tools.train_icon.material import DEVELOPMENT, TRAINED, IconSet, listed, vocabulary
from tools.train_icon.measure import Words, zero_shot
from tools.train_icon.network import IconNet

_BATCH = 128
_RATE = 3e-3
# Part of the target that the tags share; the rest is the name's.
_TAGS = 0.25
_MOST_TAGS = 6


def load(drawn: Path, icons: IconSet) -> tuple[NDArray[np.uint8], list[list[str]]]:
    """A set's pictures (n, 48, 48) and the texts of each."""
    return np.load(drawn / f"{icons.source.folder}.npz")["pictures"], listed(drawn, icons)


def train(drawn: Path, texts: Path, weights: Path, *, minutes: float, seed: int = 0) -> None:
    """Train for `minutes` of processor time; say now and then how well unseen icons are named."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    words = Words(texts)
    sets = [load(drawn, icons) for icons in TRAINED]
    known = vocabulary([called for _, part in sets for called in part])
    kept = [(picture, called) for part in sets for picture, called in zip(*part, strict=True) if called[0] in known]
    pictures = [picture for picture, _ in kept]
    texts_known = sorted(known)
    bank = torch.from_numpy(words.vectors[[words.row[text] for text in texts_known]])
    column = {text: index for index, text in enumerate(texts_known)}
    targets = [[column[text] for text in called if text in known] for _, called in kept]
    development = load(drawn, DEVELOPMENT)
    model = IconNet().to(memory_format=torch.channels_last)
    scale = torch.nn.Parameter(torch.tensor(math.log(25.0)))
    optimizer = torch.optim.AdamW([*model.parameters(), scale], lr=_RATE, weight_decay=0.02)
    began, reported, step, last = time.process_time(), 0.0, 0, 0
    total = 0.0
    print(f"{len(pictures)} icons, {len(known)} texts", flush=True)
    while True:
        order = random.permutation(len(pictures))
        for first in range(0, len(order) - _BATCH + 1, _BATCH):
            done = (time.process_time() - began) / 60 / minutes
            for group in optimizer.param_groups:
                group["lr"] = (
                    _RATE * min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
                )
            chosen = order[first : first + _BATCH]
            ink = torch.from_numpy(np.stack([varied(pictures[index], random) for index in chosen]))[:, None]
            # Half precision costs nothing here and is 1.6 times as fast.
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(ink.contiguous(memory_format=torch.channels_last)) @ bank.T * scale.exp()
            loss = functional.cross_entropy(
                logits.float(), _target([targets[index] for index in chosen], len(known), random)
            )
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step, total = step + 1, total + loss.item()
            if done >= reported + 0.1 or done >= 1:
                model.eval()
                top1, top5 = zero_shot(_encoder(model), development, words)
                model.train()
                print(
                    f"cpu_minutes {(time.process_time() - began) / 60:.1f} rounds {step * _BATCH / len(pictures):.1f} "
                    f"loss {total / (step - last):.3f} scale {scale.exp().item():.1f} "
                    f"development top1 {top1:.3f} top5 {top5:.3f}",
                    flush=True,
                )
                torch.save(model.state_dict(), weights)
                reported, last, total = done, step, 0.0
                if done >= 1:
                    return


def _encoder(model: IconNet) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The network, called with ink (n, 32, 32)."""

    def encode(ink: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(ink)[:, None]).numpy())

    return encode


def _target(texts: list[list[int]], width: int, random: np.random.Generator) -> Tensor:
    target = torch.zeros(len(texts), width)
    for row, (own, *others) in enumerate(texts):
        tags: list[int] = random.permutation(others).astype(int)[:_MOST_TAGS].tolist()
        target[row, own] += 1 - _TAGS * bool(tags)
        for tag in tags:
            target[row, tag] += _TAGS / len(tags)
    return target


def varied(picture: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.float32]:
    """The icon as a screen may show it: 12 to 40 px, other strokes and colours, off the grid, blurred, compressed."""
    if (kind := random.random()) < 0.3:
        # Dark ink on white: a minimum thickens strokes.
        kernel = np.ones((2, 2) if random.random() < 0.7 else (3, 3), np.uint8)
        picture = np.asarray((cv2.erode if kind < 0.22 else cv2.dilate)(picture, kernel), np.uint8)
    size = int(random.choice((12, 14, 16, 16, 18, 20, 20, 24, 24, 28, 32, 40)))
    side = size + 6
    step = size / DRAWN_PX
    shift = 3 + random.uniform(-1, 1, 2)
    stretch = random.uniform(0.93, 1.07, 2) if random.random() < 0.3 else np.ones(2)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.35 / step) if step < 0.8 else picture
    matrix = np.array([[step * stretch[0], 0, shift[0]], [0, step * stretch[1], shift[1]]])
    small = cv2.warpAffine(smooth, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=255).astype(np.float32)
    paper, ink = random.uniform(0, 255, 2)
    if abs(paper - ink) < 70:
        paper, ink = (245.0, 30.0) if random.random() < 0.5 else (25.0, 235.0)
    small = ink + (paper - ink) * small / 255
    if random.random() < 0.25:
        small = cv2.GaussianBlur(small, (0, 0), random.uniform(0.3, 0.7))
    if random.random() < 0.3:
        small = small + random.normal(0, random.uniform(1, 6), small.shape)
    levels = np.clip(small, 0, 255).astype(np.uint8)
    if random.random() < 0.3:
        coded = cv2.imencode(".jpg", levels, (cv2.IMWRITE_JPEG_QUALITY, int(random.integers(40, 95))))[1]
        levels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.uint8)
    drawn = ink_of(levels)
    return np.zeros((ICON_PX, ICON_PX), np.float32) if drawn is None else drawn
