"""Graphs that TensorRT takes: a model's graph of the cache in float32, written with standard operators alone.

Nothing is downloaded: eight-bit weights are widened to the very numbers they stand for, constants are folded, an If
that asks about sizes which never change gives way to the branch that is always taken. Names of inputs and outputs
stay. The float graph is more exact than the eight-bit one, whose activations are rounded too.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, version_converter

from engines.engine import EngineError

MIN_OPSET, MAX_OPSET = 17, 20
# Beside everything outside the standard domain. What TensorRT's parser says it supports is no proof for these.
FORBIDDEN = frozenset(
    {"If", "Loop", "Scan", "NonMaxSuppression", "NonZero", "Unique", "Multinomial", "DFT", "STFT"}
    | {"MatMulInteger", "ConvInteger", "DynamicQuantizeLinear", "QLinearMatMul", "QLinearConv"}
)
Feeds = Mapping[str, NDArray[Any]]


class PlainGraphError(EngineError):
    """A graph holds what this rewriting does not know."""


def plain(model: onnx.ModelProto, example: Feeds, fixed: Mapping[str, int]) -> onnx.ModelProto:
    """Rewrite a graph; inputs of `fixed` become constants and are no inputs any more.

    `example` is one set of inputs; each If becomes the branch that it takes for them. Raises PlainGraphError.
    """
    model = onnx.ModelProto.FromString(model.SerializeToString())
    _fix(model.graph, fixed)
    if any(node.op_type == "If" for node in model.graph.node):
        feeds = {name: value for name, value in example.items() if name not in fixed}
        model = _without_ifs(_fold(model), feeds)
    model = _fold(model)
    _replace_segment_means(model.graph)
    _widen(model.graph)
    model = _fold(model)
    check(model)
    return model


def check(model: onnx.ModelProto) -> None:
    """Raises PlainGraphError for an operator, a version or a number format that does not belong in a plain graph."""
    version = {opset.domain: opset.version for opset in model.opset_import}
    if set(version) != {""} or not MIN_OPSET <= version[""] <= MAX_OPSET:
        raise PlainGraphError(f"{model.graph.name}: operators are {version}, must be {MIN_OPSET} to {MAX_OPSET} of ''")
    for node in model.graph.node:
        if node.domain or node.op_type in FORBIDDEN:
            raise PlainGraphError(f"{model.graph.name}: node {node.name!r} is {node.domain}:{node.op_type}")
    # Zero points of symmetric quantisation are zeros.
    narrow = [t.name for t in model.graph.initializer if _is_narrow(t) and numpy_helper.to_array(t).any()]
    if narrow:
        raise PlainGraphError(f"{model.graph.name}: weight {narrow[0]!r} has eight bits")


def _fix(graph: onnx.GraphProto, fixed: Mapping[str, int]) -> None:
    for name, value in fixed.items():
        (given,) = [i for i in graph.input if i.name == name]
        graph.input.remove(given)
        dtype = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        shape = [axis.dim_value for axis in given.type.tensor_type.shape.dim]
        graph.initializer.append(numpy_helper.from_array(np.full(shape, value, dtype), name))


def _fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constants folded by ONNX Runtime, in an operator set of today."""
    names = {opset.domain: opset.version for opset in model.opset_import}
    used = {node.domain for node in model.graph.node} | {""}
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.onnx", Path(folder) / "made.onnx"
        onnx.save(model, given)
        options.optimized_model_filepath = str(made)
        ort.InferenceSession(str(given), options, providers=["CPUExecutionProvider"])
        folded = onnx.load(made)
    del folded.opset_import[:]
    folded.opset_import.extend(helper.make_opsetid(domain, names[domain]) for domain in sorted(used))
    if names[""] < MIN_OPSET:
        folded = version_converter.convert_version(folded, MIN_OPSET)
    return folded


def _without_ifs(model: onnx.ModelProto, feeds: Feeds) -> onnx.ModelProto:
    """Branches in the place of their Ifs, innermost last."""
    while conditions := list(dict.fromkeys(node.input[0] for node in model.graph.node if node.op_type == "If")):
        asked = onnx.ModelProto.FromString(model.SerializeToString())
        known = {output.name for output in asked.graph.output}
        asked.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.BOOL, None) for name in conditions if name not in known
        )
        session = ort.InferenceSession(asked.SerializeToString(), providers=["CPUExecutionProvider"])
        values = session.run(conditions, dict(feeds))
        is_true = {name: bool(np.ravel(value)[0]) for name, value in zip(conditions, values, strict=True)}
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if node.op_type != "If":
                nodes.append(node)
                continue
            wanted = "then_branch" if is_true[node.input[0]] else "else_branch"
            (branch,) = [attribute.g for attribute in node.attribute if attribute.name == wanted]
            nodes += branch.node
            model.graph.initializer.extend(branch.initializer)
            for inner, outer in zip(branch.output, node.output, strict=True):
                nodes.append(helper.make_node("Identity", [inner.name], [outer]))
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return model


def _replace_segment_means(graph: onnx.GraphProto) -> None:
    """CAM++'s means over 100 frames, spread over these frames again, become products with one matrix.

    Runtimes do not agree on what an AveragePool with ceil_mode divides the last, shorter segment by.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    replaced: dict[str, onnx.NodeProto] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        sizes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "AveragePool" and sizes.get("ceil_mode") and sizes["kernel_shape"] == sizes["strides"]:
            if not replaced:
                nodes += _segment_matrix(graph, node.input[0], sizes["strides"][0])
            end = node
            for kind in ("Unsqueeze", "Expand", "Reshape", "Slice"):
                (end,) = [reader for reader in readers[end.output[0]] if reader.op_type == kind]
            inputs = [node.input[0], "segment.means"]
            replaced[end.output[0]] = helper.make_node("MatMul", inputs, list(end.output), name=end.output[0])
        nodes.append(node)
    if replaced:
        del graph.node[:]
        graph.node.extend(nodes)
        _put(graph, replaced)


def _segment_matrix(graph: onnx.GraphProto, like: str, length: int) -> list[onnx.NodeProto]:
    """Nodes of segment.means (n, n) for a value (b, c, n): column j averages the segment of `length` that j is in."""

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [f"segment.{output}"], name=f"segment.{output}", **attributes)

    for name, value in (("0", 0), ("1", 1), ("length", length), ("first", [0]), ("second", [1])):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), f"segment.{name}"))
    return [
        node("Shape", [like], "shape", start=2, end=3),
        node("Squeeze", ["segment.shape", "segment.first"], "frames"),
        node("Range", ["segment.0", "segment.frames", "segment.1"], "places"),
        node("Div", ["segment.places", "segment.length"], "numbers"),
        node("Unsqueeze", ["segment.numbers", "segment.first"], "row"),
        node("Unsqueeze", ["segment.numbers", "segment.second"], "column"),
        node("Equal", ["segment.row", "segment.column"], "same"),
        node("Cast", ["segment.same"], "ones", to=TensorProto.FLOAT),
        node("ReduceSum", ["segment.ones", "segment.first"], "counts", keepdims=1),
        node("Div", ["segment.ones", "segment.counts"], "means"),
    ]


def _widen(graph: onnx.GraphProto) -> None:
    """Eight-bit products and tables become float ones in place; what nothing reads any more goes."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    wide = _Wide(graph)
    replaced: dict[str, onnx.NodeProto] = {}
    for node in graph.node:
        if node.op_type == "MatMulNBits":
            made = wide.product_of_blocks(node)
        elif node.op_type == "MatMulInteger":
            made = wide.product_of_integers(node)
        elif node.op_type == "Gather" and node.input[0] in weights and _is_narrow(weights[node.input[0]]):
            made = wide.rows(node)
        else:
            continue
        replaced[made.output[0]] = made
    graph.initializer.extend(wide.made)
    _put(graph, replaced)


def _put(graph: onnx.GraphProto, replaced: Mapping[str, onnx.NodeProto]) -> None:
    """New nodes in the place of those that gave the same value; what nothing reads any more goes."""
    nodes = [replaced.get(node.output[0], node) for node in graph.node]
    needed = {output.name for output in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)


def _is_narrow(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in (TensorProto.INT8, TensorProto.UINT8)


class _Wide:
    """Float nodes in the place of eight-bit ones; each bears the name of the value that it replaces."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.made: list[onnx.TensorProto] = []
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._maker = {output: node for node in graph.node for output in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def product_of_blocks(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """MatMulNBits as MatMul."""
        sizes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if sizes["bits"] != 8:
            raise PlainGraphError(f"node {node.name!r}: weights of {sizes['bits']} bits, must be 8")
        blocks, scales, zeros = (self._array(name) for name in node.input[1:4])
        return self._matmul(node.input[0], widened_blocks(blocks, scales, zeros, sizes["K"]).T, node)

    def product_of_integers(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """DynamicQuantizeLinear, MatMulInteger, Cast and Mul by the scales as one MatMul.

        Where each row was divided by its largest value before and multiplied by it afterwards, both go too.
        """
        cast = self._reader(node.output[0], "Cast")
        end = self._reader(cast.output[0], "Mul")
        scales = self._maker[next(name for name in end.input if name != cast.output[0])]
        scale = self._array(next(name for name in scales.input if name in self._weights))
        weight = (self._array(node.input[1]).astype(np.float32) - self._array(node.input[3])) * scale
        x = self._maker[node.input[0]].input[0]
        divided = self._maker.get(x)
        if divided is not None and divided.op_type == "Div" and divided.input[1] not in self._weights:
            again = self._reader(end.output[0], "Mul")
            if divided.input[1] in again.input:
                x, end = divided.input[0], again
        return self._matmul(x, weight, end)

    def rows(self, node: onnx.NodeProto) -> onnx.NodeProto:
        """Gather and Cast as a Gather out of a float table."""
        cast = self._reader(node.output[0], "Cast")
        table = self._add(cast, self._array(node.input[0]))
        return helper.make_node("Gather", [table, node.input[1]], list(cast.output), name=cast.output[0], axis=0)

    def _matmul(self, x: str, weight: NDArray[Any], end: onnx.NodeProto) -> onnx.NodeProto:
        return helper.make_node("MatMul", [x, self._add(end, weight)], list(end.output), name=end.output[0])

    def _add(self, end: onnx.NodeProto, weight: NDArray[Any]) -> str:
        name = f"{end.output[0]}.weight"
        self.made.append(numpy_helper.from_array(np.ascontiguousarray(weight, np.float32), name))
        return name

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._weights:
            raise PlainGraphError(f"{name!r} should be a weight, is computed")
        return numpy_helper.to_array(self._weights[name])

    def _reader(self, value: str, kind: str) -> onnx.NodeProto:
        found = self._readers.get(value, [])
        if len(found) != 1 or found[0].op_type != kind:
            raise PlainGraphError(f"{value!r} should be read by one {kind}, is by {[node.op_type for node in found]}")
        return found[0]


def widened_blocks(
    blocks: NDArray[np.uint8], scales: NDArray[np.float32], zeros: NDArray[np.uint8], columns: int
) -> NDArray[np.float32]:
    """MatMulNBits' (n, k / size, size) blocks as the (n, k) float32 that they stand for."""
    rows, groups, _ = blocks.shape
    shape = (rows, groups, 1)
    wide = (blocks.astype(np.float32) - zeros.reshape(shape)) * scales.reshape(shape)
    return wide.reshape(rows, -1)[:, :columns]
