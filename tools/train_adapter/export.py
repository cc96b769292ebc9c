"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

import io
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from tools.train_adapter.network import AdapterNet

_OPSET = 17


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
    network = _Letters(load(weights)).eval()
    states = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 40, network.network.width), np.float32))
    file = io.BytesIO()
    torch.onnx.export(
        network,
        (states,),
        file,
        input_names=["states"],
        output_names=["letters"],
        dynamic_axes={"states": {0: "batch", 1: "frames"}, "letters": {0: "batch", 1: "frames"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    onnx.save(model, graph)
    with torch.no_grad():
        np.savez_compressed(golden, **{"in:states": states.numpy(), "out:letters": network(states).numpy()})
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
