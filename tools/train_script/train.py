"""Training on one thread of a CPU, a fixed number of rounds over the drawn lines."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from services.vision.scripts import SCRIPTS, WINDOW_WIDTH_PX
from tools.train_script.network import ScriptNet

_BATCH = 64
_RATE = 3e-3
_LARGEST_SHIFT_PX = 24


def train(lines: Path, held: Path, weights: Path, *, rounds: int, seed: int = 0) -> None:
    """Train `rounds` times on `lines` and say after each how much of `held` is right (processor time alone counts)."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    data, held_data = np.load(lines), np.load(held)
    windows, labels = data["windows"], data["labels"]
    model = ScriptNet().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.02)
    steps = rounds * (len(labels) // _BATCH)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))),
    )
    judge = nn.CrossEntropyLoss(label_smoothing=0.05)
    for number in range(1, rounds + 1):
        model.train()
        order = random.permutation(len(labels))
        total = 0.0
        for first in range(0, len(order) - _BATCH + 1, _BATCH):
            chosen = np.sort(order[first : first + _BATCH])
            loss = judge(model(_varied(windows[chosen], random)), torch.from_numpy(labels[chosen]))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            total += loss.item() * _BATCH
        right = accuracy(model, held_data["windows"], held_data["labels"])
        print(
            f"round {number} lines {len(order)} cpu_minutes {time.process_time() / 60:.1f} "
            f"loss {total / len(order):.4f} held_out {right.mean():.4f} "
            f"worst {SCRIPTS[int(right.argmin())]} {right.min():.3f}",
            flush=True,
        )
        torch.save(model.state_dict(), weights)


def accuracy(model: nn.Module, windows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Part of each script's lines that are said to be in it, in the order of SCRIPTS."""
    model.eval()
    with torch.no_grad():
        said = torch.cat(
            [model(_tensor(windows[at : at + 256])).argmax(1) for at in range(0, len(labels), 256)]
        ).numpy()
    return np.array([(said[labels == label] == label).mean() for label in range(len(SCRIPTS))])


def _tensor(windows: np.ndarray) -> Tensor:
    return torch.from_numpy(windows.astype(np.float32) / 255)[:, None]


def _varied(windows: np.ndarray, random: np.random.Generator) -> Tensor:
    """Other places in the window, other contrast, a part of the line cut off: new lines out of the drawn ones."""
    out = np.zeros_like(windows)
    for row, window in zip(out, windows, strict=True):
        shift = int(random.integers(-_LARGEST_SHIFT_PX, _LARGEST_SHIFT_PX + 1)) if random.random() < 0.3 else 0
        end = WINDOW_WIDTH_PX if random.random() < 0.7 else int(random.integers(WINDOW_WIDTH_PX // 3, WINDOW_WIDTH_PX))
        part = window[:, max(0, -shift) : end - max(0, shift)]
        row[:, max(0, shift) : max(0, shift) + part.shape[1]] = part
    ink = _tensor(out)
    strength = torch.from_numpy(random.uniform(0.5, 1.6, (len(out), 1, 1, 1)).astype(np.float32))
    return ink.pow(strength).contiguous(memory_format=torch.channels_last)
