"""What the network is trained for: centres as soft heat maps (CenterNet, Zhou et al. 2019), GIoU of boxes around them.

Cells near a centre learn boxes too, each element weighing the same (TTFNet, Liu et al. 2020): a fixed assignment, which
a short training gets further with than with one that the network's own guesses choose.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from services.vision.gui import CLASS_NAMES, STATE_NAMES
from tools.train_gui.crops import Truth
from tools.train_gui.network import STRIDES_PX

# Square roots of areas that each level learns; near the borders two levels do.
_SIZES_PX = ((0, 56), (40, 144), (104, 1e9))
_SIGMA_SHARE = 8
_LEAST_SIGMA = 0.5
_LEAST_HEAT = 0.3
_BOX_WEIGHT = 2.0
_STATE_WEIGHT = 0.25


def loss(levels: Sequence[tuple[Tensor, Tensor]], truths: Sequence[Truth]) -> tuple[Tensor, dict[str, float]]:
    """Loss of one batch (mean per element and level) and its parts."""
    count = len(CLASS_NAMES)
    parts = {name: levels[0][0].new_zeros(()) for name in ("class", "box", "state")}
    elements = 0
    for (logits, distances), stride, sizes in zip(levels, STRIDES_PX, _SIZES_PX, strict=True):
        made = [_targets(truth, logits.shape[2], logits.shape[3], stride, sizes) for truth in truths]
        heat, edges, weight, states = (torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True))
        elements += int((heat == 1).sum())
        entropy = functional.binary_cross_entropy_with_logits(logits[:, :count], (heat == 1).float(), reduction="none")
        likely = logits[:, :count].sigmoid()
        focus = torch.where(heat == 1, (1 - likely).pow(2), likely.pow(2) * (1 - heat).pow(4))
        parts["class"] = parts["class"] + (focus * entropy).sum()
        parts["box"] = parts["box"] + ((1 - _giou(distances, edges)) * weight).sum()
        wrong = functional.binary_cross_entropy_with_logits(logits[:, count:], states, reduction="none")
        parts["state"] = parts["state"] + (wrong.sum(1) * weight).sum()
    means = {name: part / max(1, elements) for name, part in parts.items()}
    total = means["class"] + _BOX_WEIGHT * means["box"] + _STATE_WEIGHT * means["state"]
    return total, {name: float(part.detach()) for name, part in means.items()}


def _targets(
    truth: Truth, rows: int, columns: int, stride: int, sizes: tuple[float, float]
) -> tuple[NDArray[np.float32], ...]:
    """Heat (classes, h, w), edges (4, h, w) in pixels, their weight (h, w) and states (states, h, w) of one level."""
    heat = np.zeros((len(CLASS_NAMES), rows, columns), np.float32)
    edges = np.ones((4, rows, columns), np.float32)
    weight = np.zeros((rows, columns), np.float32)
    states = np.zeros((len(STATE_NAMES), rows, columns), np.float32)
    sides = truth.boxes[:, 2:] - truth.boxes[:, :2]
    size = np.sqrt(sides.prod(axis=1))
    mine = np.flatnonzero((size >= sizes[0]) & (size < sizes[1]))
    # Small ones last: where two overlap, the cell learns the smaller.
    for index in mine[np.argsort(-size[mine])]:
        x0, y0, x1, y1 = truth.boxes[index]
        column = min(columns - 1, int((x0 + x1) / 2 / stride))
        row = min(rows - 1, int((y0 + y1) / 2 / stride))
        sigma_x, sigma_y = np.maximum(sides[index] / stride / _SIGMA_SHARE, _LEAST_SIGMA)
        left, right = max(0, column - int(3 * sigma_x)), min(columns, column + int(3 * sigma_x) + 1)
        top, bottom = max(0, row - int(3 * sigma_y)), min(rows, row + int(3 * sigma_y) + 1)
        x, y = np.arange(left, right), np.arange(top, bottom)
        bell = np.exp(-((y - row)[:, None] ** 2) / (2 * sigma_y**2) - (x - column)[None] ** 2 / (2 * sigma_x**2))
        bell = bell.astype(np.float32)
        here = (slice(top, bottom), slice(left, right))
        kind = heat[truth.classes[index]]
        kind[here] = np.maximum(kind[here], bell)
        near = bell >= _LEAST_HEAT
        middle_x, middle_y = np.meshgrid((x + 0.5) * stride, (y + 0.5) * stride)
        for side, value in enumerate((middle_x - x0, middle_y - y0, x1 - middle_x, y1 - middle_y)):
            edges[side][here][near] = value[near]
        weight[here][near] = bell[near] / bell[near].sum()
        states[(slice(None), *here)][:, near] = truth.states[index][:, None]
    return heat, edges, weight, states


def _giou(got: Tensor, want: Tensor) -> Tensor:
    """Distances (n, 4, h, w) from the same points, left top right bottom -> generalised IoU (n, h, w)."""
    low, high = torch.minimum(got, want), torch.maximum(got, want)
    both = (low[:, 0] + low[:, 2]).clamp(min=0) * (low[:, 1] + low[:, 3]).clamp(min=0)
    union = _area(got) + _area(want) - both
    hull = _area(high)
    return both / (union + 1e-6) - (hull - union) / (hull + 1e-6)


def _area(edges: Tensor) -> Tensor:
    return (edges[:, 0] + edges[:, 2]) * (edges[:, 1] + edges[:, 3])


def stack(pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Pictures (h, w, 3) uint8 -> (n, 3, h, w) float32, channels last."""
    joined = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return joined.contiguous(memory_format=torch.channels_last)
