"""A plain graph whose products are in eight bits, as TensorRT takes them: QuantizeLinear and DequantizeLinear pairs.

Convolutions and matrix products with constant weights are quantised: weights symmetric for each output channel, what
goes in symmetric as one tensor, zero points 0, biases in float32. TensorRT has no other eight bits (its documentation,
"Working with Quantized Types"); no operator is ONNX Runtime's own. In float32 stay products that read an input of the
graph (pictures have 256 levels of one sign) and those between which and an output there is no other product, which
includes all that add to a residual stream that comes out. Ranges were found on recordings by tools/calibrate.py.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from engines.export.plain import PlainGraphError

# The output channels of each operator's weights: their axis.
_CHANNELS = {"Conv": 0, "MatMul": 1, "Gemm": 1}
LARGEST = 127


def quantised_inputs(model: onnx.ModelProto) -> list[str]:
    """The values that go into the products that would be quantised; each of them needs a range."""
    return list(dict.fromkeys(node.input[0] for node in _quantised(model.graph).values()))


def in_eight_bits(model: onnx.ModelProto, ranges: Mapping[str, float]) -> onnx.ModelProto:
    """The same graph in eight bits; `ranges` is the largest magnitude of each of `quantised_inputs`.

    Raises PlainGraphError for a value without a range.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    graph = model.graph
    wanted = quantised_inputs(model)
    if missing := [name for name in wanted if name not in ranges]:
        raise PlainGraphError(f"{graph.name}: {missing[0]!r} has no range: run `python -m tools.calibrate` again")
    weights = {tensor.name: tensor for tensor in graph.initializer}
    chosen = _quantised(graph)
    nodes: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        if node.output[0] in chosen:
            value, weight = node.input[0], node.input[1]
            if f"{value}.levels" not in made:
                made.add(f"{value}.levels")
                scale = np.array(max(ranges[value], 1e-9) / LARGEST, np.float32)
                nodes += _pair(graph, value, value, scale, None)
            axis = _axis(node)
            narrow = f"{weight}.{axis}"
            if f"{narrow}.levels" not in made:
                made.add(f"{narrow}.levels")
                nodes += _pair(graph, weight, narrow, _scales(numpy_helper.to_array(weights[weight]), axis), axis)
            node.input[0], node.input[1] = f"{value}.rounded", f"{narrow}.rounded"
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _quantised(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """The products that are quantised, by what they give."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = {given.name for given in graph.input}
    found = {
        node.output[0]: node
        for node in graph.node
        if node.op_type in _CHANNELS and node.input[1] in weights and node.input[0] not in weights | inputs
    }
    # Backwards from the outputs, through everything that is no product.
    last = {output.name for output in graph.output}
    for node in reversed(graph.node):
        if last.intersection(node.output):
            if node.output[0] in found:
                del found[node.output[0]]
            else:
                last.update(node.input)
    return found


def _axis(node: onnx.NodeProto) -> int:
    is_transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    return 0 if is_transposed else _CHANNELS[node.op_type]


def _scales(weight: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others)
    return np.asarray(np.maximum(largest, 1e-9) / LARGEST, np.float32)


def _pair(
    graph: onnx.GraphProto, value: str, name: str, scale: NDArray[np.float32], axis: int | None
) -> list[onnx.NodeProto]:
    """`value` as integers in NAME.levels and back in NAME.rounded."""
    zero = numpy_helper.from_array(np.zeros(scale.shape, np.int8), f"{name}.zero")
    graph.initializer.extend([numpy_helper.from_array(scale, f"{name}.scale"), zero])
    parts = [f"{name}.scale", f"{name}.zero"]
    levels, rounded = f"{name}.levels", f"{name}.rounded"
    nodes = [
        helper.make_node("QuantizeLinear", [value, *parts], [levels], name=levels),
        helper.make_node("DequantizeLinear", [levels, *parts], [rounded], name=rounded),
    ]
    if axis is not None:
        for node in nodes:
            node.attribute.append(helper.make_attribute("axis", axis))
    return nodes
