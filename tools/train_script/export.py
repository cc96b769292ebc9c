"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

import io
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from services.vision.scripts import WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX
from tools.train_script.network import ScriptNet

_OPSET = 17


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the network as `graph` and a run of it as `golden`; returns the number of parameters."""
    network = ScriptNet()
    network.load_state_dict(torch.load(weights))
    whole = nn.Sequential(network, nn.Softmax(dim=1)).eval()
    shape = (3, 1, WINDOW_HEIGHT_PX, WINDOW_WIDTH_PX)
    ink = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    file = io.BytesIO()
    torch.onnx.export(
        whole,
        (ink,),
        file,
        input_names=["ink"],
        output_names=["probabilities"],
        dynamic_axes={"ink": {0: "batch"}, "probabilities": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    onnx.save(model, graph)
    with torch.no_grad():
        np.savez_compressed(golden, **{"in:ink": ink.numpy(), "out:probabilities": whole(ink).numpy()})
    return sum(parameter.numel() for parameter in network.parameters())
