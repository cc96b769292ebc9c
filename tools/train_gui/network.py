"""The detector's network: a small residual CSP backbone, a two-way pyramid, one anchor-free head for all levels.

Names of the parts follow YOLOX (Ge et al. 2021) and CSPNet (Wang et al. 2020). Batch norm and ReLU everywhere, so that
each block becomes one convolution in the exported graph.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from services.vision.gui import CLASS_NAMES, STATE_NAMES

STRIDES_PX = (8, 16, 32)
_WIDTHS = (32, 64, 128, 192)
_PYRAMID = 64


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inside: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        """`kernel` is odd, or equal to the stride and even: then it does not pad."""
        super().__init__(
            nn.Conv2d(inside, out, kernel, stride, kernel // 2 if kernel % 2 else 0, groups=groups, bias=False),
            nn.BatchNorm2d(out, momentum=0.03, eps=1e-3),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3x3 convolutions around which the input passes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvNormAct(width, width, 3), ConvNormAct(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same."""
        return x + self.body(x)


class CrossStage(nn.Module):
    """Half of the channels pass `depth` residual blocks, half go around them."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.through = nn.Sequential(ConvNormAct(width, width // 2), *(Residual(width // 2) for _ in range(depth)))
        self.around = ConvNormAct(width, width // 2)
        self.join = ConvNormAct(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same."""
        return self.join(torch.cat([self.through(x), self.around(x)], 1))


def _separable(inside: int, out: int, kernel: int = 5) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(inside, inside, kernel, groups=inside), ConvNormAct(inside, out))


class GuiDetector(nn.Module):
    """(n, 3, h, w) BGR pixels in 0..255, sides multiples of 32 -> for each level class, state and box maps."""

    def __init__(self) -> None:
        super().__init__()
        first, *widths = _WIDTHS
        # 4-px patches with some overlap: what is seen at full size costs little.
        self.stem = nn.Sequential(ConvNormAct(3, 16, 3, 2), ConvNormAct(16, first, 3, 2))
        stages = []
        for inside, out, depth in zip((first, *widths), widths, (1, 2, 2), strict=False):
            stages.append(nn.Sequential(ConvNormAct(inside, out, 3, 2), CrossStage(out, depth)))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(ConvNormAct(width, _PYRAMID) for width in widths)
        self.down_merge = nn.ModuleList(_separable(2 * _PYRAMID, _PYRAMID) for _ in range(2))
        self.up_merge = nn.ModuleList(_separable(2 * _PYRAMID, _PYRAMID) for _ in range(2))
        self.shrink = nn.ModuleList(
            nn.Sequential(ConvNormAct(_PYRAMID, _PYRAMID, 5, 2, groups=_PYRAMID), ConvNormAct(_PYRAMID, _PYRAMID))
            for _ in range(2)
        )
        self.to_class = nn.ModuleList(_separable(_PYRAMID, _PYRAMID) for _ in STRIDES_PX)
        self.to_box = nn.ModuleList(_separable(_PYRAMID, _PYRAMID) for _ in STRIDES_PX)
        self.class_of = nn.ModuleList(nn.Conv2d(_PYRAMID, len(CLASS_NAMES) + len(STATE_NAMES), 1) for _ in STRIDES_PX)
        self.box_of = nn.ModuleList(nn.Conv2d(_PYRAMID, 4, 1) for _ in STRIDES_PX)
        for layer in self.class_of:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, -4.6)  # about one cell in a hundred holds an element
        for layer in self.box_of:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 0.7)

    def forward(self, pixels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Per level: logits (n, classes + states, h, w) and distances (n, 4, h, w) in pixels, left top right bottom."""
        x = self.stem((pixels - 128) / 64)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        levels = [lateral(x) for lateral, x in zip(self.lateral, found, strict=True)]
        for i in (1, 0):
            wide = functional.interpolate(levels[i + 1], scale_factor=2.0, mode="nearest")
            levels[i] = self.down_merge[i](torch.cat([levels[i], wide], 1))
        for i in (0, 1):
            levels[i + 1] = self.up_merge[i](torch.cat([levels[i + 1], self.shrink[i](levels[i])], 1))
        out = []
        for i, (x, stride) in enumerate(zip(levels, STRIDES_PX, strict=True)):
            distances = torch.exp(self.box_of[i](self.to_box[i](x)).float().clamp(-4, 5.5)) * stride
            out.append((self.class_of[i](self.to_class[i](x)), distances))
        return out
