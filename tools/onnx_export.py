"""From a network trained here to a plain graph and a recorded run that every copy of it must repeat. Needs torch."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

OPSET = 17


def write(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    free: Mapping[str, Mapping[int, str]],
    graph: Path,
    golden: Path,
) -> None:
    """Write the network as `graph` and its run on `inputs` as `golden`.

    `outputs` name what it gives, in order; `free` names the axes of inputs and outputs that are not fixed.
    """
    network.eval()
    file = io.BytesIO()
    torch.onnx.export(
        network,
        tuple(inputs.values()),
        file,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_axes={name: dict(axes) for name, axes in free.items()},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load_from_string(file.getvalue())
    onnx.checker.check_model(model)
    onnx.save(model, graph)
    with torch.no_grad():
        given = network(*inputs.values())
    values = (given,) if isinstance(given, Tensor) else given
    record = {f"in:{name}": value.numpy() for name, value in inputs.items()}
    record |= {f"out:{name}": value.numpy() for name, value in zip(outputs, values, strict=True)}
    np.savez_compressed(golden, allow_pickle=False, **record)
