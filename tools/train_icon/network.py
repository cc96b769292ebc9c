"""Ink of an icon -> MiniLM's space: six plain convolutions, then all that is left of the picture at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_DIMENSION = 384


class IconNet(nn.Module):
    """(n, 1, 32, 32) ink in [0, 1] -> (n, 384) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _layer(1, 24, 5, 2)
        self.middle = nn.Sequential(_layer(24, 40, 3, 1), _layer(40, 80, 3, 2))
        self.same = _layer(80, 80, 3, 1)
        self.end = nn.Sequential(_layer(80, 144, 3, 2), _layer(144, 64, 1, 1))
        # Where a stroke is tells left from right: the cells are not averaged.
        self.head = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.1), nn.Linear(64 * 16, 160), nn.ReLU(), nn.Linear(160, _DIMENSION)
        )

    def forward(self, ink: Tensor) -> Tensor:
        """See the class."""
        cells = self.middle(self.stem(ink))
        return functional.normalize(torch.as_tensor(self.head(self.end(cells + self.same(cells)))), dim=1)


def _layer(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
