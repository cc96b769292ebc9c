"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.onnx_export import write
from tools.train_gui.network import STRIDES_PX, GuiDetector


class _Flat(nn.Module):
    """The network as the service calls it: probabilities and distances, one row for each cell."""

    def __init__(self, network: GuiDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, h, w) -> for each level scores (1, cells, 14) and edges (1, cells, 4)."""
        out: list[Tensor] = []
        for logits, distances in self.network(image):
            out += [logits.sigmoid().flatten(2).transpose(1, 2), distances.flatten(2).transpose(1, 2)]
        return tuple(out)


def export(checkpoint: Path, graph: Path, golden: Path, *, second: Path | None = None, share: float = 0.0) -> int:
    """Write the averaged weights of `checkpoint` as `graph` and a run of them as `golden`; returns their number.

    `share` of 0 to 1 of what `second`, a training that went on from it, has learnt is mixed in (Wortsman et al. 2022).
    """
    weights = torch.load(checkpoint)["average"]
    if second is not None:
        for name, value in torch.load(second)["average"].items():
            weights[name] = weights[name].lerp(value, share) if value.is_floating_point() else value
    network = GuiDetector()
    network.load_state_dict(weights)
    names = [f"{kind}_{stride}" for stride in STRIDES_PX for kind in ("scores", "edges")]
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 96, 128)).astype(np.float32))
    free = {"image": {2: "height", 3: "width"}} | {name: {1: "cells"} for name in names}
    write(_Flat(network), {"image": image}, names, free, graph, golden)
    return sum(parameter.numel() for parameter in network.parameters())
