"""Ink of a line -> the script it is in: four plain convolutions, then mean and maximum over the line."""

import torch
from torch import Tensor, nn

from services.vision.scripts import SCRIPTS


class ScriptNet(nn.Module):
    """(n, 1, 32, 256) ink in [0, 1] -> (n, scripts) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_layer(1, 16, 5, (2, 2)),
            *_layer(16, 32, 3, (2, 2)),
            *_layer(32, 64, 3, (2, 1)),
            *_layer(64, 96, 3, (2, 2)),
        )
        self.head = nn.Sequential(nn.Dropout(0.1), nn.Linear(2 * 2 * 96, len(SCRIPTS)))

    def forward(self, ink: Tensor) -> Tensor:
        """Two rows of cells are left of the line's height: each is pooled over the width."""
        cells = self.body(ink)
        return torch.as_tensor(self.head(torch.cat((cells.mean(3), cells.amax(3)), 1).flatten(1)))


def _layer(before: int, after: int, size: int, stride: tuple[int, int]) -> tuple[nn.Module, ...]:
    return (
        nn.Conv2d(before, after, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
