"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

from pathlib import Path

import numpy as np
import torch

from services.vision.icons import ICON_PX
from tools.onnx_export import write
from tools.train_icon.network import IconNet


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the network as `graph` and a run of it as `golden`; returns the number of parameters."""
    network = IconNet()
    network.load_state_dict(torch.load(weights))
    ink = torch.from_numpy(np.random.default_rng(0).random((3, 1, ICON_PX, ICON_PX), np.float32))
    batch = {0: "batch"}
    write(network, {"ink": ink}, ["embedding"], {"ink": batch, "embedding": batch}, graph, golden)
    return sum(parameter.numel() for parameter in network.parameters())
