"""Scales channels of the recogniser so that those of one value are of like size; what the graph says is unchanged.

Eight bits have one range for all channels of a value: of a small channel little is left (Nagel et al. 2019, "Data-free
quantization through weight equalization and bias correction").
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.export.eight_bits import Feeds
from engines.export.ppocr import Float, with_weights

# A channel's size is what all but one in a thousand of its values lie within.
_QUANTILE = 0.999
# Of the difference between channels so much is taken away: all of it would leave weights as unequal as values were.
_PART = 0.8
_SMALLEST = 1e-4
# What a channel's factor passes through unchanged.
_LINEAR = ("ReduceMean", "Relu", "AveragePool")


def equalised(model: onnx.ModelProto, feeds: Sequence[Feeds], scratch: Path) -> onnx.ModelProto:
    """A folded graph (engines/export/ppocr.py) with other weights; `feeds` show how large its channels are.

    `scratch` is where a graph may be written for that.
    """
    groups = _groups(model.graph)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    sizes = _sizes(model, [name for group in groups for name in group], feeds, scratch)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    changed: dict[str, Float] = {}
    for group in groups:
        relative = np.max([sizes[name] / sizes[name].max() for name in group], axis=0)
        factor = np.maximum(relative, _SMALLEST) ** _PART
        factor = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
        for node in convolutions:
            weight, bias = node.input[1:3]
            if node.output[0] in group:
                changed[weight] = changed.get(weight, weights[weight]) / factor[:, None, None, None]
                changed[bias] = weights[bias] / factor
            if node.input[0] in group:
                is_by_channel = weights[weight].shape[1] == 1 and len(weights[weight]) == len(factor)
                shape = (-1, 1, 1, 1) if is_by_channel else (1, -1, 1, 1)
                changed[weight] = changed.get(weight, weights[weight]) * factor.reshape(shape)
    return with_weights(model, changed)


def _groups(graph: onnx.GraphProto) -> list[set[str]]:
    """Values between convolutions whose channels have to be scaled together; those that can be."""
    constants = {tensor.name for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    fixed = {value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        values = [name for name in node.input if name not in constants]
        is_gate = node.op_type == "Mul" and len(values) == 2 and makers[values[1]].op_type == "HardSigmoid"
        if node.op_type in _LINEAR or (node.op_type == "Add" and len(values) == 2):
            for name in values:
                parent[root(name)] = root(node.output[0])
        elif is_gate and makers[values[0]].op_type != "HardSigmoid":
            parent[root(values[0])] = root(node.output[0])
            fixed.add(values[1])
        elif node.op_type != "Conv":
            fixed.update((*values, *node.output))
    found: dict[str, set[str]] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            for name in (node.input[0], node.output[0]):
                found.setdefault(root(name), set()).add(name)
    barred = {root(name) for name in fixed}
    read = {node.input[0] for node in graph.node if node.op_type == "Conv"}
    made = {node.output[0] for node in graph.node if node.op_type == "Conv"}
    return [group for key, group in found.items() if key not in barred and group & read and group & made]


def _sizes(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feeds], scratch: Path
) -> Mapping[str, NDArray[np.float64]]:
    """By value, how large each channel is on the feeds."""
    shown = onnx.ModelProto.FromString(model.SerializeToString())
    shown.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    onnx.save(shown, scratch)
    engine, largest = OnnxRuntimeEngine(scratch), dict[str, NDArray[np.float64]]()
    for feed in feeds:
        for name, value in engine.run(feed, list(names)).items():
            by_channel = np.abs(value).transpose(1, 0, 2, 3).reshape(value.shape[1], -1)
            size = np.quantile(by_channel, _QUANTILE, axis=1)
            largest[name] = np.maximum(largest.get(name, 0), size)
    return largest
