"""Training on one thread of a CPU: CTC on the drawn lines, held near to what the package's recogniser says."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engines.engine import Engine
from services.vision.text_recognition import as_input, padded_width
from tools.train_ocr.lines import Line, read_lines
from tools.train_ocr.network import Recogniser

_RATE = 5e-5
_WARM_STEPS = 50
_WIDEST_PX = 1280
# Lines of a batch are as wide as each other and together no wider than this.
_BATCH_PX = 5120
_PX_PER_STEP = 8
_SAID_STEPS = 100
# Weight of what the package says beside what is true: it alone knows ideographs that are in no line.
_KEPT = 1.0
Classes = dict[str, int]


@dataclass(frozen=True)
class Batch:
    """`images` (b, 3, 48, w); what the lines say, one behind the other, and how long each is."""

    images: Tensor
    said: Tensor
    lengths: Tensor


def train(
    model: Recogniser,
    teacher: Engine,
    lines: Path,
    classes: Classes,
    checkpoint: Path,
    *,
    minutes: float,
    seed: int = 1,
) -> None:
    """Train for so many minutes of processor time; goes on from `checkpoint`, which is written as it goes."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(seed)
    free = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(free, lr=_RATE)
    step, used = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        step, used = state["step"], state["minutes"]
    began = time.process_time() / 60 - used
    sums, seen = [0.0, 0.0], 0
    for batch in _batches(lines, classes, np.random.default_rng(seed + step)):
        used = time.process_time() / 60 - began
        if used > minutes:
            break
        rate = (
            _RATE * min(1.0, (step + 1) / _WARM_STEPS) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * used / minutes)))
        )
        for group in optimizer.param_groups:
            group["lr"] = rate
        told = model(batch.images)
        steps = torch.full_like(batch.lengths, told.shape[1])
        ctc = functional.ctc_loss(told.transpose(0, 1), batch.said, steps, batch.lengths)
        (probabilities,) = teacher.run({teacher.inputs[0].name: batch.images.numpy()}).values()
        away = functional.kl_div(told, torch.from_numpy(probabilities), reduction="sum") / steps.sum()
        optimizer.zero_grad()
        (ctc + _KEPT * away).backward()
        torch.nn.utils.clip_grad_norm_(free, 1.0)
        optimizer.step()
        step, seen = step + 1, seen + len(batch.lengths)
        sums = [sums[0] + ctc.item(), sums[1] + away.item()]
        if step % _SAID_STEPS == 0:
            ctc_mean, away_mean = (value / _SAID_STEPS for value in sums)
            print(
                f"cpu_minutes {used:.1f} step {step} lines {seen} CTC {ctc_mean:.4f} from_package {away_mean:.4f}",
                flush=True,
            )
            sums = [0.0, 0.0]
            _save(checkpoint, model, optimizer, step, used)
    _save(checkpoint, model, optimizer, step, used)


def _save(checkpoint: Path, model: Recogniser, optimizer: torch.optim.Optimizer, step: int, minutes: float) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "minutes": minutes}
    torch.save(state, checkpoint)


def _batches(lines: Path, classes: Classes, random: np.random.Generator) -> Iterator[Batch]:
    """Lines of about the same width, for ever; files and lines in random order."""
    while True:
        files = sorted(lines.glob("*.npz"))
        for number in random.permutation(len(files)):
            by_width: dict[int, list[Line]] = {}
            for line in read_lines(files[number]):
                width = padded_width(line.pixels)
                if width <= _WIDEST_PX and _fits(line.text, width, classes):
                    by_width.setdefault(width, []).append(line)
            made = []
            for width, members in by_width.items():
                each = max(1, _BATCH_PX // width)
                order = random.permutation(len(members))
                made += [[members[at] for at in order[first : first + each]] for first in range(0, len(order), each)]
            for at in random.permutation(len(made)):
                yield _batch(made[at], classes)


def _fits(text: str, width: int, classes: Classes) -> bool:
    """Whether the classes have its characters and the line its steps: two of the same need a blank between them."""
    repeats = sum(first == second for first, second in zip(text, text[1:], strict=False))
    return 0 < len(text) + repeats <= width // _PX_PER_STEP and all(char in classes for char in text)


def _batch(lines: list[Line], classes: Classes) -> Batch:
    said = [classes[char] for line in lines for char in line.text]
    return Batch(
        torch.from_numpy(as_input([line.pixels for line in lines])),
        torch.tensor(said),
        torch.tensor([len(line.text) for line in lines]),
    )
