"""Training on one or two threads of a CPU: it can be stopped at any time and goes on from its last checkpoint."""

import math
import random
import time
from copy import deepcopy
from pathlib import Path

import torch

from tools.train_gui.crops import Pool
from tools.train_gui.loss import loss, stack
from tools.train_gui.network import GuiDetector

# Width and height of the crops of a batch. Wide ones show whole fields and sliders, which may span a window.
_SHAPES_PX = ((352, 320), (352, 320), (704, 160))
_BATCH = 8
_RATE = 2e-3
_WARM_STEPS = 60
_EMA = 0.995
_SAVE_S = 120.0
# A step that takes longer stood still: that time does not count.
_LONGEST_STEP_S = 20.0


def train(pages: Path, checkpoint: Path, *, minutes: float, threads: int = 2, seed: int = 0) -> None:
    """Train for `minutes` in all, those before the checkpoint counted. Raises FileNotFoundError without pages."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    model = GuiDetector().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(_groups(model), lr=_RATE)
    average, step, spent_s = deepcopy(model).eval(), 0, 0.0
    if checkpoint.is_file():
        held = torch.load(checkpoint)
        model.load_state_dict(held["model"])
        average.load_state_dict(held["average"])
        optimizer.load_state_dict(held["optimizer"])
        step, spent_s = held["step"], held["spent_s"]
    pool = Pool(pages, random.Random(f"{seed}-{step}"))
    before, saved, sums = time.monotonic(), time.monotonic(), dict[str, float]()
    while spent_s < minutes * 60:
        share = spent_s / (minutes * 60)
        rate = _RATE * min(1.0, (step + 1) / _WARM_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        crops = pool.batch(_BATCH, *_SHAPES_PX[step % len(_SHAPES_PX)])
        total, parts = loss(model(stack([crop.pixels for crop in crops])), [crop.truth for crop in crops])
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        _follow(average, model, min(_EMA, (1 + step) / (10 + step)))
        for name, value in parts.items():
            sums[name] = sums.get(name, 0.0) + value
        if step % 25 == 0:
            means = " ".join(f"{name} {value / 25:.3f}" for name, value in sums.items())
            print(f"step {step} images {step * _BATCH} minutes {spent_s / 60:.1f} rate {rate:.1e} {means}", flush=True)
            sums.clear()
        now = time.monotonic()
        spent_s += min(now - before, _LONGEST_STEP_S)
        before = now
        if now - saved > _SAVE_S:
            _save(checkpoint, model, average, optimizer, step, spent_s)
            saved = now
    _save(checkpoint, model, average, optimizer, step, spent_s)


def _groups(model: torch.nn.Module) -> list[dict[str, object]]:
    heavy = [p for p in model.parameters() if p.ndim > 1]
    light = [p for p in model.parameters() if p.ndim <= 1]
    return [{"params": heavy, "weight_decay": 0.02}, {"params": light, "weight_decay": 0.0}]


def _follow(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for mine, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(new, 1 - keep)
            else:
                mine.copy_(new)


def _save(
    checkpoint: Path,
    model: torch.nn.Module,
    average: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    spent_s: float,
) -> None:
    scratch = checkpoint.with_suffix(".new")
    state = {"model": model.state_dict(), "average": average.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(state | {"step": step, "spent_s": spent_s}, scratch)
    scratch.rename(checkpoint)
