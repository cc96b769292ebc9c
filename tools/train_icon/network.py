"""Ink of an icon -> MiniLM's space: a small residual network, then all that is left of the picture at once."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_DIMENSION = 384


class IconNet(nn.Module):
    """(n, 1, 32, 32) ink in [0, 1] -> (n, 384) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _layer(1, 32, 5, 2),
            _layer(32, 64, 3, 1),
            _layer(64, 96, 3, 2),
            _Residual(96),
            _layer(96, 160, 3, 2),
            _Residual(160),
            _layer(160, 96, 1, 1),
        )
        # Where a stroke is tells left from right: the cells are not averaged.
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(96 * 16, _DIMENSION))

    def forward(self, ink: Tensor) -> Tensor:
        """See the class."""
        return functional.normalize(torch.as_tensor(self.head(self.body(ink))), dim=1)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_layer(width, width, 3, 1), _conv(width, width, 3, 1))

    def forward(self, cells: Tensor) -> Tensor:
        return functional.relu(cells + self.inner(cells))


def _conv(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after))


def _layer(before: int, after: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*_conv(before, after, size, stride), nn.ReLU(inplace=True))
