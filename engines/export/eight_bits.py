"""A graph whose products are in eight bits, as ONNX Runtime computes them fast on a processor with VNNI.

ONNX Runtime's own static quantisation (onnxruntime.quantization): what goes into a product and what comes out of it are
unsigned with a zero point, weights signed for each output channel. Ranges are found on recordings by
tools/calibrate.py.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from engines.backends.onnxruntime import OnnxRuntimeEngine

_OPERATORS = ["Conv", "MatMul", "Gemm"]
_LEVELS = 255
# Each end of a range is one of these parts of the farthest value, by so many values of each run.
_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
_VALUES_OF_A_RUN = 4_000
# The first version of the standard operators that has GELU as one.
_GELU_OPSET = 20
Feeds = Mapping[str, NDArray[np.generic]]


def spans(graph: Path, feeds: Sequence[Feeds]) -> dict[str, list[float]]:
    """The range of every value that goes into or comes out of a product with the least mean square error on the feeds.

    A range holds zero.
    """
    model = onnx.load(graph)
    names = _values(model.graph)
    given = {value.name for value in model.graph.input}
    known = given | {output.name for output in model.graph.output}
    model.graph.output.extend(
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in names if n not in known
    )
    asked = [name for name in names if name not in given]
    ends = dict.fromkeys(names, (0.0, 0.0))
    values: dict[str, list[NDArray[np.float32]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(model, Path(folder) / "graph.onnx")
        engine = OnnxRuntimeEngine(Path(folder) / "graph.onnx")
    for one in feeds:
        seen = {**one, **engine.run(one, asked)}
        for name in names:
            found = np.asarray(seen[name], np.float32).ravel()
            ends[name] = (min(ends[name][0], float(found.min())), max(ends[name][1], float(found.max())))
            values[name].append(found[:: math.ceil(found.size / _VALUES_OF_A_RUN)].copy())
    return {name: _best(*ends[name], np.concatenate(values[name])) for name in names}


def in_eight_bits(
    model: onnx.ModelProto, ranges: Mapping[str, Sequence[float]], in_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """The same graph, opset 13 or later, in eight bits; `ranges` as `spans` gives them.

    The nodes named in `in_float` stay as they are. Raises ValueError for a value without a range, a node that is none.
    """
    if unknown := set(in_float) - {node.name for node in model.graph.node}:
        raise ValueError(f"{min(unknown)!r} is no node of {model.graph.name}")
    known = {name: (np.array(low, np.float32), np.array(high, np.float32)) for name, (low, high) in ranges.items()}
    quantiser = QDQQuantizer(
        with_gelu(model),
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, known),
        nodes_to_quantize=[],
        nodes_to_exclude=list(in_float),
        op_types_to_quantize=_OPERATORS,
        extra_options={"MatMulConstBOnly": True},
    )
    quantiser.quantize_model()
    made: onnx.ModelProto = quantiser.model.model
    return made


def _values(graph: onnx.GraphProto) -> list[str]:
    """What goes into and comes out of the products."""
    weights = {tensor.name for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type in _OPERATORS]
    names = dict.fromkeys(name for node in products for name in (*node.input, *node.output))
    return [name for name in names if name not in weights]


def _best(low: float, high: float, values: NDArray[np.float32]) -> list[float]:
    def error(ends: tuple[float, float]) -> float:
        step = max(ends[1] - ends[0], 1e-9) / _LEVELS
        zero = round(-ends[0] / step)
        rounded = (np.clip(np.round(values / step) + zero, 0, _LEVELS) - zero) * step
        return float(np.mean((rounded - values) ** 2))

    ends = min(product({share * low for share in _SHARES}, {share * high for share in _SHARES}), key=error)
    return [float(f"{end:.6g}") for end in ends]


def with_gelu(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, in which x / sqrt(2), Erf, + 1, * x, / 2 are one operator.

    ONNX Runtime puts them together itself, but not where a quantised value lies between them.
    """
    if not any(node.op_type == "Erf" for node in model.graph.node):
        return onnx.ModelProto.FromString(model.SerializeToString())
    model = version_converter.convert_version(model, _GELU_OPSET)
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    by_output = {output: node for node in graph.node for output in node.output}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    gelus: dict[str, onnx.NodeProto] = {}
    parts: set[str] = set()
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        chain = [by_output[erf.input[0]], erf]
        while len(chain) < 5 and len(users.get(chain[-1].output[0], ())) == 1:
            chain += users[chain[-1].output[0]]
        numbers = [float(constants[name]) for node in chain for name in node.input if name in constants]
        is_gelu = [node.op_type for node in chain] == ["Div", "Erf", "Add", "Mul", "Mul"]
        if is_gelu and np.allclose(numbers, (math.sqrt(2), 1, 0.5)) and chain[0].input[0] in chain[3].input:
            gelus[chain[-1].output[0]] = helper.make_node("Gelu", [chain[0].input[0]], [chain[-1].output[0]])
            parts.update(node.output[0] for node in chain[:-1])
    nodes = [gelus.get(node.output[0], node) for node in graph.node if node.output[0] not in parts]
    needed = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return model
