"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tools.onnx_export import write
from tools.train_adapter.network import AdapterNet

# What makes the point in MiniLM's space, which is trained and not exported.
_MEANING = ("attention", "meaning")


class _Letters(nn.Module):
    def __init__(self, network: AdapterNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, states: Tensor) -> Tensor:
        letters: Tensor = self.network(states)[0]
        return letters


def load(weights: Path) -> AdapterNet:
    """The trained network, ready to be used."""
    kept = torch.load(weights)
    network = AdapterNet(kept["scale.weight"].shape[0])
    network.load_state_dict(kept)
    network.eval()
    return network


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the letters' part as `graph` and a run of it as `golden`; returns its number of parameters."""
    network = _Letters(load(weights))
    states = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 40, network.network.width), np.float32))
    free = {0: "batch", 1: "frames"}
    write(network, {"states": states}, ["letters"], {"states": free, "letters": free}, graph, golden)
    used = (
        weights.numel() for name, weights in network.network.named_parameters() if name.split(".")[0] not in _MEANING
    )
    return sum(used)
