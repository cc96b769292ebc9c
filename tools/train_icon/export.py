"""Writes the trained network as plain ONNX (opset 17), with a recorded run that every copy must repeat."""

import io
from pathlib import Path

import numpy as np
import onnx
import torch

from services.vision.icons import ICON_PX
from tools.train_icon.network import IconNet

_OPSET = 17


def export(weights: Path, graph: Path, golden: Path) -> int:
    """Write the network as `graph` and a run of it as `golden`; returns the number of parameters."""
    network = IconNet()
    network.load_state_dict(torch.load(weights))
    network.eval()
    ink = torch.from_numpy(np.random.default_rng(0).random((3, 1, ICON_PX, ICON_PX), np.float32))
    file = io.BytesIO()
    torch.onnx.export(
        network,
        (ink,),
        file,
        input_names=["ink"],
        output_names=["embedding"],
        dynamic_axes={"ink": {0: "batch"}, "embedding": {0: "batch"}},
        opset_version=_OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    onnx.save(model, graph)
    with torch.no_grad():
        np.savez_compressed(golden, **{"in:ink": ink.numpy(), "out:embedding": network(ink).numpy()})
    return sum(parameter.numel() for parameter in network.parameters())
