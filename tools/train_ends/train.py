"""The network, its training on one thread of a CPU, and its export as plain ONNX (opset 17)."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from services.vision.line_ends import LEAST_SURE, VIEW
from tools.onnx_export import write

_BATCH, _RATE, _WIDTHS = 128, 3e-3, (16, 32, 48, 48)


class EndNetwork(nn.Module):
    """(n, 3, 32, 96) in 0..255 -> (n,) logits of an icon in the middle: four convolutions, all cells."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, out in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(inside, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2))
        self.head = nn.Linear(_WIDTHS[-1] * VIEW[0] * VIEW[1] // 256, 1)

    def forward(self, views: Tensor) -> Tensor:
        """BGR."""
        return torch.as_tensor(self.head(self.body(views / 128 - 1))[:, 0])


def train(ends: Sequence[Path], held: Path, weights: Path, *, rounds: int, seed: int = 0) -> None:
    """Train `rounds` times on `ends`, say after each how `held` is told."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    parts, held_data = [np.load(each) for each in ends], np.load(held)
    views, icons = (np.concatenate([part[name] for part in parts]) for name in ("views", "icons"))
    network = EndNetwork().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.02)
    steps = rounds * (len(icons) // _BATCH)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / 100) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))),
    )
    judge = nn.BCEWithLogitsLoss()
    for number in range(1, rounds + 1):
        network.train()
        order, total = random.permutation(len(icons)), 0.0
        for first in range(0, len(order) - _BATCH + 1, _BATCH):
            chosen = order[first : first + _BATCH]
            varied = np.stack([_varied(view, random) for view in views[chosen]])
            loss = judge(network(_tensor(varied)), torch.from_numpy(icons[chosen].astype(np.float32)))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            rate.step()
            total += loss.item() * _BATCH
        right, found = told(network, held_data["views"], held_data["icons"])
        print(
            f"round {number} ends {len(order)} cpu_minutes {time.process_time() / 60:.1f} "
            f"loss {total / len(order):.4f} held_out right {right:.4f} found {found:.4f}",
            flush=True,
        )
        torch.save(network.state_dict(), weights)


def told(network: nn.Module, views: NDArray[np.uint8], icons: NDArray[np.bool_]) -> tuple[float, float]:
    """Part of what is called an icon that is one, and part of the icons that is called so."""
    network.eval()
    with torch.no_grad():
        logits = torch.cat([network(_tensor(views[at : at + 256])) for at in range(0, len(views), 256)])
    said = logits.sigmoid().numpy() >= LEAST_SURE
    both = float((said & icons).sum())
    return both / max(1.0, float(said.sum())), both / max(1.0, float(icons.sum()))


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the network as `graph` and a run of it as `golden`; returns the number of parameters."""
    network = EndNetwork()
    network.load_state_dict(torch.load(weights))
    views = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 3, *VIEW)).astype(np.float32))
    batch = {0: "n"}
    whole = nn.Sequential(network, nn.Sigmoid())
    write(whole, {"views": views}, ["icon"], {"views": batch, "icon": batch}, graph, golden)
    return sum(parameter.numel() for parameter in network.parameters())


def _tensor(views: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(views).permute(0, 3, 1, 2).float()


def _varied(view: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """Another place, size and contrast, other colours, the faults of video: new ends out of the drawn ones."""
    height, width = VIEW
    if random.random() < 0.7:
        scale = random.uniform(0.88, 1.12)
        turn = np.array([[scale, 0, (1 - scale) * width / 2 + random.uniform(-3, 3)],
                         [0, scale, (1 - scale) * height / 2 + random.uniform(-2, 2)]])  # fmt: skip
        view = cv2.warpAffine(view, turn, (width, height), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)
    if random.random() < 0.3:
        view = view[..., random.permutation(3)]
    if random.random() < 0.2:
        view = 255 - view
    if random.random() < 0.4:
        view = np.clip(view * random.uniform(0.6, 1.15) + random.uniform(-30, 30), 0, 255).astype(np.uint8)
    if random.random() < 0.15:
        view = cv2.GaussianBlur(view, (0, 0), random.uniform(0.4, 1.2)).astype(np.uint8)
    if random.random() < 0.25:
        _, coded = cv2.imencode(".jpg", view, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 95))])
        view = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(view)
