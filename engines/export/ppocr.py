"""PP-OCR's live recogniser with the weights that were trained further here (tools/train_ocr, docs/ocr.md).

The graph, its classes and the weights of its head come from the package; engines/weights/line-reader.npz holds the
others. They were trained with every value rounded as eight bits keep it: so the graph loses nothing in eight bits.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

WEIGHTS = Path(__file__).parent.parent / "weights" / "line-reader.npz"
# Of a normalisation that names none.
_EPSILON = 1e-5
Float = NDArray[np.float32]


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write the recogniser's graph into folder `out`."""
    (path,) = (path for name, path in sources.items() if name.endswith("/rec.onnx"))
    with np.load(WEIGHTS) as stored:
        learnt = {name: stored[name].astype(np.float32) for name in stored.files}
    onnx.save(with_weights(folded(onnx.load(path)), learnt), out / "rec.onnx")


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph whose convolutions hold what is multiplied and added behind them; "NAME.weight", "NAME.bias"."""
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes = _without_identities(graph)
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            users.setdefault(name, []).append(node)
    parts: set[str] = set()
    made: dict[str, Float] = {}
    for conv in [node for node in nodes if node.op_type == "Conv"]:
        weight, bias = stored[conv.input[1]], np.zeros(len(stored[conv.input[1]]), np.float32)
        last = conv
        while len(behind := users.get(last.output[0], [])) == 1:
            after = behind[0]
            if after.op_type == "Squeeze" and users[after.output[0]][0].op_type == "BatchNormalization":
                last = after
                continue
            if after.op_type == "BatchNormalization":
                scale, shift, mean, variance = (stored[name] for name in after.input[1:5])
                factor = scale / np.sqrt(variance + _epsilon(after))
                weight, bias = weight * factor[:, None, None, None], (bias - mean) * factor + shift
            elif after.op_type == "Add" and after.input[1] in stored and stored[after.input[1]].size == len(weight):
                bias = bias + stored[after.input[1]].ravel()
            else:
                break
            parts.add(after.name)
            last.output[0] = after.output[0]
        conv.input[:] = [conv.input[0], f"{conv.name}.weight", f"{conv.name}.bias"]
        made |= {conv.input[1]: weight.astype(np.float32), conv.input[2]: bias.astype(np.float32)}
    kept = [node for node in nodes if node.name not in parts]
    needed = {name for node in kept for name in node.input}
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    tensors += [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in made.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(tensors)
    return model


def with_weights(model: onnx.ModelProto, learnt: Mapping[str, Float]) -> onnx.ModelProto:
    """The same graph with other values for the tensors that are named. Raises ValueError for an unknown name, shape."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for name, value in learnt.items():
        if name not in tensors or list(tensors[name].dims) != list(value.shape):
            raise ValueError(f"{name!r} {value.shape} is no weight of {model.graph.name}")
        tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return model


def _without_identities(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    same: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if node.op_type == "Identity":
            same[node.output[0]] = node.input[0]
        else:
            nodes.append(node)
    return nodes


def _epsilon(node: onnx.NodeProto) -> float:
    return next((float(attribute.f) for attribute in node.attribute if attribute.name == "epsilon"), _EPSILON)
