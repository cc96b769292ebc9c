"""A plain graph whose products are in eight bits, as TensorRT takes them: QuantizeLinear and DequantizeLinear pairs.

Convolutions and matrix products with constant weights are quantised: weights symmetric for each output channel,
what goes in symmetric as one tensor, zero points 0, biases in float32. TensorRT has no other eight bits (its own
documentation, "Working with Quantized Types"); there is no operator of ONNX Runtime's own. The ranges of what goes in
were found on recordings by tools/calibrate.py.
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
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return list(dict.fromkeys(node.input[0] for node in model.graph.node if _is_quantised(node, weights)))


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
    nodes: list[onnx.NodeProto] = []
    made: set[str] = set()
    for node in graph.node:
        if _is_quantised(node, weights):
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


def _is_quantised(node: onnx.NodeProto, weights: Mapping[str, onnx.TensorProto]) -> bool:
    weight = weights.get(node.input[1]) if node.op_type in _CHANNELS else None
    return weight is not None and node.input[0] not in weights and len(weight.dims) >= 2


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
