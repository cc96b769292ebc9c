"""Training on one thread of a CPU: each picture is drawn to the words for it, away from all other words."""

import math
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from services.vision.icons import ICON_PX, ink_of
from tools.train_icon.draw import DRAWN_PX
from tools.train_icon.material import DEVELOPMENT, TRAINED, vocabulary
from tools.train_icon.measure import load, zero_shot
from tools.train_icon.network import IconNet
from tools.train_icon.texts import Words

_BATCH = 128
_RATE = 3e-3
# Part of the target that the tags share; the rest is the name's.
_TAGS = 0.25
_MOST_TAGS = 6
# Other texts that a batch is drawn away from, chosen anew for each.
_OTHERS = 4096
# Of the icons whose name no other set has, the part that a round shows.
_SINGLE = 0.5
# How much is made of names being rare: 1 takes all favour from those that many drawings have.
_EVENED = 1.0
# Names whose words come in another order, of all.
_TURNED = 0.3
# Weights are averaged over about so many steps.
_AVERAGED_STEPS, _AVERAGED_EVERY = 800, 4


class Icons:
    """All drawings to train on: `pictures` (n, 48, 48), texts of each, and drawings of one set and name together."""

    def __init__(self, drawn: Path, words: Words) -> None:
        sets = [load(drawn, icons) for icons in TRAINED]
        self.pictures = np.concatenate([pictures for pictures, _ in sets])
        called = [texts for _, part in sets for texts in part]
        known = vocabulary(called)
        self.texts = sorted(known)
        column = {text: index for index, text in enumerate(self.texts)}
        self.targets = [[column[text] for text in dict.fromkeys(texts) if text in known] for texts in called]
        rows = [words.row[text] for text in self.texts]
        self.bank, self.turned = torch.from_numpy(words.vectors[rows]), torch.from_numpy(words.turned[rows])
        same: dict[tuple[int, str], list[int]] = {}
        place = 0
        for number, (_, part) in enumerate(sets):
            for own, *_ in part:
                same.setdefault((number, own), []).append(place)
                place += 1
        self.groups = [np.array(places) for places in same.values()]
        often = Counter(own for _, own in same)
        self.chance = np.array([1.0 if often[own] > 1 else _SINGLE for _, own in same])
        counts = torch.tensor([often[text] for text in self.texts])
        self.favour = torch.log((counts + 1) / len(self.groups))

    def round(self, random: np.random.Generator) -> NDArray[np.int64]:
        """Drawings to show, in any order: of the styles that one set has of an icon one."""
        chosen = np.flatnonzero(random.random(len(self.groups)) < self.chance)
        return random.permutation([int(random.choice(self.groups[group])) for group in chosen])

    def target(self, indices: NDArray[np.int64], random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Columns of the texts that these drawings should come near, (n, 1 + tags), and the weight of each."""
        columns = torch.zeros(len(indices), 1 + _MOST_TAGS, dtype=torch.int64)
        weights = torch.zeros(columns.shape)
        for row, (own, *others) in enumerate(self.targets[index] for index in indices):
            tags = random.permutation(others).astype(int)[:_MOST_TAGS]
            columns[row, 0], weights[row, 0] = own, 1 - _TAGS * bool(len(tags))
            columns[row, 1 : 1 + len(tags)] = torch.from_numpy(tags)
            weights[row, 1 : 1 + len(tags)] = _TAGS / max(1, len(tags))
        return columns, weights


def train(drawn: Path, texts: Path, weights: Path, *, minutes: float, seed: int = 0) -> None:
    """Train for `minutes` of processor time; say now and then how well unseen icons are named."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    words = Words(texts)
    icons = Icons(drawn, words)
    development = [load(drawn, kept) for kept in DEVELOPMENT]
    model = IconNet().to(memory_format=torch.channels_last)
    average = AveragedModel(
        model, multi_avg_fn=get_ema_multi_avg_fn(1 - _AVERAGED_EVERY / _AVERAGED_STEPS), use_buffers=True
    )
    scale = torch.nn.Parameter(torch.tensor(math.log(25.0)))
    optimizer = torch.optim.AdamW([*model.parameters(), scale], lr=_RATE, weight_decay=0.02)
    print(f"{len(icons.pictures)} drawings, {len(icons.groups)} icons, {len(icons.texts)} texts", flush=True)
    began, step, losses = time.process_time(), 0, []
    reported = 0.0
    while True:
        order = icons.round(random)
        for first in range(0, len(order) - _BATCH + 1, _BATCH):
            done = (time.process_time() - began) / 60 / minutes
            rate = min(1.0, (step + 1) / 200) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))
            for group in optimizer.param_groups:
                group["lr"] = _RATE * rate
            loss = _loss(model, scale, icons, order[first : first + _BATCH], random)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            losses.append(loss.item())
            if step % _AVERAGED_EVERY == 0:
                average.update_parameters(model)
            if done >= reported + 0.1 or done >= 1:
                average.eval()
                scores = [zero_shot(_encoder(average), part, words, draw) for part in development for draw in range(3)]
                top1, top5 = np.mean(scores, axis=0)
                print(
                    f"cpu_minutes {(time.process_time() - began) / 60:.1f} "
                    f"pictures {step * _BATCH} "
                    f"loss {np.mean(losses):.3f} scale {scale.exp().item():.1f} "
                    f"development top1 {top1:.3f} top5 {top5:.3f}",
                    flush=True,
                )
                torch.save(average.module.state_dict(), weights)
                reported, losses = done, []
                if done >= 1:
                    return


def _loss(
    model: IconNet, scale: Tensor, icons: Icons, chosen: NDArray[np.int64], random: np.random.Generator
) -> Tensor:
    """Cross entropy of the texts of these drawings against these and some thousand others."""
    ink = torch.from_numpy(np.stack([varied(icons.pictures[index], random) for index in chosen]))[:, None]
    columns, weights = icons.target(chosen, random)
    others = torch.from_numpy(random.choice(len(icons.texts), min(_OTHERS, len(icons.texts)), replace=False))
    asked, place = torch.unique(torch.cat([columns.ravel(), others]), return_inverse=True)
    turned = torch.from_numpy(random.random((len(asked), 1)) < _TURNED)
    bank = torch.where(turned, icons.turned[asked], icons.bank[asked])
    # Half precision costs nothing here and is 1.6 times as fast.
    with torch.autocast("cpu", torch.bfloat16):
        near = model(ink.contiguous(memory_format=torch.channels_last)) @ bank.T
    logits = near.float() * scale.exp() + _EVENED * icons.favour[asked]
    own = logits.gather(1, place[: columns.numel()].reshape(columns.shape))
    return (torch.logsumexp(logits, dim=1) - (own * weights).sum(dim=1)).mean()


def _encoder(model: torch.nn.Module) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The network, called with ink (n, 32, 32)."""

    def encode(ink: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(model(torch.from_numpy(ink)[:, None]).numpy())

    return encode


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
    # Sets differ in proportions more than in what they draw.
    bent = random.normal(0, 0.05, (2, 2)) if random.random() < 0.5 else np.zeros((2, 2))
    turn = step * (np.eye(2) + bent)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.35 / step) if step < 0.8 else picture
    middle = DRAWN_PX / 2
    matrix = np.column_stack([turn, shift + step * middle - turn @ (middle, middle)])
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
