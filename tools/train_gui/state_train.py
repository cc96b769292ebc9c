"""Trains the network that compares controls, chooses its thresholds, measures and exports it."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from services.vision.control_states import GIVEN, VIEW
from tools.onnx_export import write
from tools.train_gui.state_network import OnePage, StateNetwork
from tools.train_gui.state_sets import NOBODY, UNKNOWN, ControlSet, load

_RATE, _DECAY, _WARM_UP = 2e-3, 0.02, 50
_PAGES_A_STEP = 2
# The weights begin to be averaged after this part of the time.
_AVERAGED_FROM = 0.5
_DISABLED_WEIGHT = 3.0


def train(
    folders: Sequence[Path],
    checkpoint: Path,
    *,
    minutes: float,
    start: Path | None = None,
    threads: int = 1,
    seed: int = 0,
) -> None:
    """Train for so many minutes of processor time, from `start` on if given, and write the averaged weights."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pages: dict[str, list[ControlSet]] = {}
    for folder in folders:
        for each in load(folder):
            pages.setdefault(f"{folder}/{each.page.split('-')[0]}", []).append(each)
    network = StateNetwork()
    if start is not None:
        network.load_state_dict(torch.load(start))
    average = torch.optim.swa_utils.AveragedModel(
        network, use_buffers=True, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    print(
        f"{sum(p.numel() for p in network.parameters())} parameters, {sum(map(len, pages.values()))} sets", flush=True
    )
    began, step, sums, told = time.process_time(), 0, np.zeros(2), 0.0
    order: list[list[ControlSet]] = []
    while (spent := time.process_time() - began) < minutes * 60:
        share = spent / (minutes * 60)
        rate = _RATE * min(1, (step + 1) / _WARM_UP) * (0.02 + 0.49 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        if len(order) < _PAGES_A_STEP:
            order = list(pages.values())
            rng.shuffle(order)
        views, given, hidden, disabled, focused = _batch(
            [one for _ in range(_PAGES_A_STEP) for one in order.pop()], rng
        )
        of_disabled, of_focused = _losses(network(views, given, hidden), hidden, disabled, focused)
        (of_disabled * _DISABLED_WEIGHT + of_focused).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        if share >= _AVERAGED_FROM:
            average.update_parameters(network)
        sums += of_disabled.item(), of_focused.item()
        if spent - told > 60:
            print(
                f"step {step}, {spent:.0f} s: disabled {sums[0] / step:.4f}, focused {sums[1] / step:.4f} since the begin",
                flush=True,
            )
            told = spent
    torch.save(average.module.state_dict(), checkpoint)


def _batch(chosen: Sequence[ControlSet], rng: np.random.Generator) -> tuple[Tensor, ...]:
    """Controls of some drawings, with other colours and fewer of them by chance."""
    most = max(len(each.disabled) for each in chosen)
    images = []
    given = np.zeros((len(chosen), most, GIVEN), np.float32)
    hidden = np.ones((len(chosen), most), bool)
    disabled = np.full((len(chosen), most), -1, np.int64)
    focused = np.full(len(chosen), NOBODY)
    for row, each in enumerate(chosen):
        kept = np.arange(len(each.disabled))
        if rng.random() < 0.5:
            some = kept[rng.random(len(kept)) < rng.uniform(0.3, 1)]
            kept = some if len(some) else kept
        count = len(kept)
        images.append(_spoil(each.views[kept], rng))
        given[row, :count], hidden[row, :count], disabled[row, :count] = each.given[kept], False, each.disabled[kept]
        given[row, :count, -5:-3] += rng.normal(0, 0.05, (count, 2))
        at = np.flatnonzero(kept == each.focused)
        focused[row] = UNKNOWN if each.focused == UNKNOWN else at[0] if len(at) else NOBODY
    views = np.concatenate(images).transpose(0, 3, 1, 2).astype(np.float32)
    arrays = (np.ascontiguousarray(views), given, hidden, disabled, focused)
    return tuple(torch.from_numpy(array) for array in arrays)


def _spoil(views: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    spoilt = views
    if rng.random() < 0.5:
        spoilt = spoilt[..., rng.permutation(3)]
    if rng.random() < 0.3:
        spoilt = 255 - spoilt
    if rng.random() < 0.25:
        spoilt = (spoilt.astype(np.float32) * rng.uniform(0.75, 1) + rng.uniform(0, 50)).clip(0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        noise = rng.normal(0, rng.uniform(1, 5), spoilt.shape)
        spoilt = (spoilt + noise).clip(0, 255).astype(np.uint8)
    return spoilt


def _losses(logits: Tensor, hidden: Tensor, disabled: Tensor, focused: Tensor) -> tuple[Tensor, Tensor]:
    told = disabled >= 0
    of_disabled = functional.binary_cross_entropy_with_logits(logits[..., 0][told], disabled[told].float())
    nobody_first = torch.cat([logits.new_zeros(len(logits), 1), logits[..., 1].masked_fill(hidden, -30.0)], 1)
    known = focused != UNKNOWN
    if not known.any():
        return of_disabled, logits.sum() * 0
    return of_disabled, functional.cross_entropy(nobody_first[known], focused[known] + 1)


def export(checkpoint: Path, graph: Path, golden: Path) -> int:
    """Write the graph and a recorded run of it; returns its number of parameters."""
    network = StateNetwork()
    network.load_state_dict(torch.load(checkpoint))
    rng = np.random.default_rng(0)
    views = torch.from_numpy(rng.integers(0, 256, (5, 3, *VIEW)).astype(np.float32))
    given = torch.from_numpy(rng.normal(size=(5, GIVEN)).astype(np.float32))
    free = {name: {0: "n"} for name in ("views", "given", "disabled", "focused")}
    write(OnePage(network), {"views": views, "given": given}, ["disabled", "focused"], free, graph, golden)
    return sum(parameter.numel() for parameter in network.parameters())
