"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from services.vision.scripts import WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX
from tools.onnx_export import write
from tools.train_script.network import ScriptNet


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the network as `graph` and a run of it as `golden`; returns the number of parameters."""
    network = ScriptNet()
    network.load_state_dict(torch.load(weights))
    whole = nn.Sequential(network, nn.Softmax(dim=1))
    shape = (3, 1, WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX)
    ink = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    batch = {0: "batch"}
    write(whole, {"ink": ink}, ["probabilities"], {"ink": batch, "probabilities": batch}, graph, golden)
    return sum(parameter.numel() for parameter in network.parameters())
