"""TensorFlow.js graph models -> ONNX, with numpy and onnx alone.

A TF.js graph is NHWC, and a graph that came from ONNX once is full of transposes around its
convolutions. Here every value carries the permutation that its stored tensor still lacks, so a
transpose is written only where two layouts truly meet (in NanoDet: nowhere before the heads).
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.engine import FetchError

_OPSET = 17
_QUANTIZED = {"float16": "<f2", "uint8": "u1", "uint16": "<u2"}
_PLAIN = {"float32": "<f4", "int32": "<i4", "bool": "?"}
_TO_NCHW = (0, 3, 1, 2)
_FROM_NCHW = (0, 2, 3, 1)


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """NanoDet-g: write nanodet.onnx, for pictures whose sides are any multiples of 32.

    Inputs: image (batch, 3, h, w) float32. Outputs, each for strides 8, 16, 32: scores_S (batch, cells,
    80) and edges_S (batch, cells, 4 * 11), the distribution of each edge's distance. Raises FetchError.
    """
    topology, weights = (sources[f"package/models/nanodet.{kind}"] for kind in ("json", "bin"))
    outputs = {f"Identity{suffix}": name for suffix, name in zip(("", "_1", "_2"), _names("scores"), strict=True)}
    outputs |= {f"Identity_{3 + index}": name for index, name in enumerate(_names("edges"))}
    model = convert_graph(json.loads(topology.read_text()), weights.read_bytes(), {"input_1": "image"}, outputs)
    onnx.save(free_size(model), out / "nanodet.onnx")


def _names(kind: str) -> list[str]:
    return [f"{kind}_{stride}" for stride in (8, 16, 32)]


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor of the new graph: axis i of the TF tensor is axis `axes[i]` of the stored one.

    `pads` are zeros still to be put around it, (begin, end) for each stored axis.
    """

    name: str
    axes: tuple[int, ...]
    pads: tuple[tuple[int, int], ...] = ()


def convert_graph(
    document: Mapping[str, Any], data: bytes, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> onnx.ModelProto:
    """A TF.js graph-model document and its weights -> ONNX; maps name TF nodes and their new names.

    Raises FetchError for an operator that is not known here.
    """
    return _Converter(document, data, inputs).model(outputs)


class _Converter:
    def __init__(self, document: Mapping[str, Any], data: bytes, inputs: Mapping[str, str]) -> None:
        self._tf = {node["name"]: node for node in document["modelTopology"]["node"]}
        self._weights = read_weights(document["weightsManifest"], data)
        self._inputs = inputs
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._graph_inputs: list[onnx.ValueInfoProto] = []
        self._done: dict[str, list[_Value]] = {}
        self._count = 0

    def model(self, outputs: Mapping[str, str]) -> onnx.ModelProto:
        infos = []
        for node in self._order(list(outputs)):
            self._done[node] = self._convert(self._tf[node])
        for node, name in outputs.items():
            self._nodes.append(helper.make_node("Identity", [self._plain(self._value(node))], [name]))
            infos.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        graph = helper.make_graph(self._nodes, "tfjs", self._graph_inputs, infos, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)

    def _order(self, outputs: Sequence[str]) -> list[str]:
        """Nodes that the outputs need, inputs first, constants left out."""
        order: dict[str, None] = {}
        stack = [(name, False) for name in reversed(outputs)]
        while stack:
            name, inputs_done = stack.pop()
            if name in order or self._is_constant(name):
                continue
            if inputs_done:
                order[name] = None
                continue
            stack.append((name, True))
            stack += [(ref.split(":")[0], False) for ref in self._tf[name].get("input", [])]
        return list(order)

    def _is_constant(self, name: str) -> bool:
        if name in self._weights:
            return True
        node = self._tf[name]
        refs = [ref.split(":")[0] for ref in node.get("input", [])]
        return bool(refs) and all(self._is_constant(ref) for ref in refs)

    def _constant(self, ref: str) -> NDArray[Any]:
        """A value known now: a weight, or a sum or sparse tensor of such."""
        name = ref.split(":")[0]
        if name in self._weights:
            return self._weights[name]
        node = self._tf[name]
        operands = [self._constant(source) for source in node["input"]]
        if node["op"] == "SparseToDense":
            indices, shape, values, default = operands
            dense = np.full(shape, default, values.dtype)
            dense[tuple(indices.T)] = values
            return dense
        if node["op"] in ("Add", "AddV2"):
            return np.asarray(operands[0] + operands[1])
        if node["op"] == "Identity":
            return operands[0]
        raise FetchError(f"TF.js constant {name!r} is computed by {node['op']}, which is not known here")

    def _value(self, ref: str) -> _Value:
        name, _, index = ref.partition(":")
        return self._done[name][int(index or 0)]

    def _emit(self, op: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> list[str]:
        self._count += 1
        names = [f"{op}_{self._count}_{index}" for index in range(count)]
        self._nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def _keep(self, array: NDArray[Any]) -> str:
        name = f"const_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _stored(self, value: _Value) -> str:
        """Its name, with pending pads written."""
        if not any(any(pair) for pair in value.pads):
            return value.name
        begins, ends = zip(*value.pads, strict=True)
        return self._emit("Pad", [value.name, self._keep(np.array([*begins, *ends], np.int64))])[0]

    def _arranged(self, value: _Value, order: Sequence[int]) -> str:
        """Its name with TF axis `order[i]` stored as axis i, pads written."""
        perm = [value.axes[axis] for axis in order]
        name = self._stored(value)
        return name if perm == sorted(perm) else self._emit("Transpose", [name], perm=perm)[0]

    def _plain(self, value: _Value) -> str:
        return self._arranged(value, range(len(value.axes)))

    def _convert(self, node: Mapping[str, Any]) -> list[_Value]:
        handler = _HANDLERS.get(node["op"])
        if handler is None:
            raise FetchError(f"TF.js operator {node['op']} of {node['name']!r} is not known here")
        return handler(self, node)

    def _placeholder(self, node: Mapping[str, Any]) -> list[_Value]:
        name = self._inputs[node["name"]]
        shape = [int(axis["size"]) for axis in node["attr"]["shape"]["shape"]["dim"]]
        self._graph_inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return [_Value(name, tuple(range(len(shape))))]

    def _transpose(self, node: Mapping[str, Any]) -> list[_Value]:
        value = self._value(node["input"][0])
        return [replace(value, axes=tuple(value.axes[axis] for axis in self._constant(node["input"][1])))]

    def _pad(self, node: Mapping[str, Any]) -> list[_Value]:
        value, widths = self._value(node["input"][0]), self._constant(node["input"][1])
        stored = replace(value, name=self._stored(value), pads=())
        pads = [(0, 0)] * len(value.axes)
        for axis, (begin, end) in zip(value.axes, widths, strict=True):
            pads[axis] = (int(begin), int(end))
        if len(node["input"]) == 2:
            return [replace(stored, pads=tuple(pads))]
        begins, ends = zip(*pads, strict=True)
        amounts = self._keep(np.array([*begins, *ends], np.int64))
        fill = self._keep(self._constant(node["input"][2]).astype(np.float32))
        return [replace(stored, name=self._emit("Pad", [stored.name, amounts, fill])[0])]

    def _convolution(self, node: Mapping[str, Any]) -> list[_Value]:
        value, kernel = self._value(node["input"][0]), self._constant(node["input"][1])
        # TF (h, w, in, out) -> ONNX (out, in, h, w)
        weights = self._keep(kernel.transpose(3, 2, 0, 1))
        nchw = [value.axes[axis] for axis in _TO_NCHW]
        pads = value.pads or ((0, 0),) * 4
        spatial = [pads[nchw[2]], pads[nchw[3]]]
        name = self._arranged(replace(value, pads=()), _TO_NCHW)
        attributes: dict[str, Any] = {
            "strides": _numbers(node, "strides")[1:3],
            "dilations": _numbers(node, "dilations")[1:3],
            "pads": [begin for begin, _ in spatial] + [end for _, end in spatial],
        }
        if _text(node, "padding") != "VALID" or any(any(pads[axis]) for axis in nchw[:2]):
            raise FetchError(f"TF.js convolution {node['name']!r} is padded in a way that is not known here")
        return [_Value(self._emit("Conv", [name, weights], **attributes)[0], _FROM_NCHW)]

    def _max_pool(self, node: Mapping[str, Any]) -> list[_Value]:
        if _text(node, "padding") != "VALID":
            raise FetchError(f"TF.js pooling {node['name']!r} is padded in a way that is not known here")
        name = self._arranged(self._value(node["input"][0]), _TO_NCHW)
        size, strides = _numbers(node, "ksize")[1:3], _numbers(node, "strides")[1:3]
        return [_Value(self._emit("MaxPool", [name], kernel_shape=size, strides=strides)[0], _FROM_NCHW)]

    def _resize(self, node: Mapping[str, Any]) -> list[_Value]:
        if not node["attr"]["half_pixel_centers"]["b"]:
            raise FetchError(f"TF.js resize {node['name']!r} samples in a way that is not known here")
        name = self._arranged(self._value(node["input"][0]), _TO_NCHW)
        shape = self._emit("Shape", [name], end=2)[0]
        sizes = self._keep(self._constant(node["input"][1]).astype(np.int64))
        target = self._emit("Concat", [shape, sizes], axis=0)[0]
        mode: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return [_Value(self._emit("Resize", [name, "", "", target], **mode)[0], _FROM_NCHW)]

    def _elementwise(self, op: str) -> Callable[[Mapping[str, Any]], list[_Value]]:
        def handle(node: Mapping[str, Any]) -> list[_Value]:
            attributes: dict[str, Any] = {"alpha": float(node["attr"]["alpha"]["f"])} if op == "LeakyRelu" else {}
            value = self._value(node["input"][0])
            return [_Value(self._emit(op, [self._stored(value)], **attributes)[0], value.axes)]

        return handle

    def _add(self, node: Mapping[str, Any]) -> list[_Value]:
        refs = sorted(node["input"], key=lambda ref: self._is_constant(ref.split(":")[0]))
        first = self._value(refs[0])
        if self._is_constant(refs[1].split(":")[0]):
            array = self._constant(refs[1])
            array = array.reshape((1,) * (len(first.axes) - array.ndim) + array.shape)
            second = self._keep(array.transpose(_inverse(first.axes)))
        else:
            second = self._arranged(self._value(refs[1]), _inverse(first.axes))
        return [_Value(self._emit("Add", [self._stored(first), second])[0], first.axes)]

    def _concat(self, node: Mapping[str, Any]) -> list[_Value]:
        values = [self._value(ref) for ref in node["input"][:-1]]
        axes = values[0].axes
        names = [self._arranged(value, _inverse(axes)) for value in values]
        axis = axes[int(self._constant(node["input"][-1]))]
        return [_Value(self._emit("Concat", names, axis=axis)[0], axes)]

    def _split(self, node: Mapping[str, Any]) -> list[_Value]:
        value, sizes = self._value(node["input"][0]), self._constant(node["input"][1])
        axis = value.axes[int(self._constant(node["input"][2]))]
        names = self._emit("Split", [self._stored(value), self._keep(sizes.astype(np.int64))], len(sizes), axis=axis)
        return [_Value(name, value.axes) for name in names]

    def _reshape(self, node: Mapping[str, Any]) -> list[_Value]:
        shape = self._constant(node["input"][1]).astype(np.int64)
        name = self._emit("Reshape", [self._plain(self._value(node["input"][0])), self._keep(shape)])[0]
        return [_Value(name, tuple(range(len(shape))))]

    def _identity(self, node: Mapping[str, Any]) -> list[_Value]:
        return [self._value(node["input"][0])]


_HANDLERS: dict[str, Callable[[_Converter, Mapping[str, Any]], list[_Value]]] = {
    "Placeholder": _Converter._placeholder,
    "Transpose": _Converter._transpose,
    "Pad": _Converter._pad,
    "PadV2": _Converter._pad,
    "Conv2D": _Converter._convolution,
    "MaxPool": _Converter._max_pool,
    "ResizeBilinear": _Converter._resize,
    "LeakyRelu": lambda self, node: self._elementwise("LeakyRelu")(node),
    "Sigmoid": lambda self, node: self._elementwise("Sigmoid")(node),
    "Add": _Converter._add,
    "AddV2": _Converter._add,
    "ConcatV2": _Converter._concat,
    "SplitV": _Converter._split,
    "Reshape": _Converter._reshape,
    "Identity": _Converter._identity,
}


def free_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network for any batch and any sides: sizes that the source wrote down become ratios.

    Resizes to a fixed size become resizes by the ratio they stand for, reshapes of a picture's cells
    take as many as there are. Raises FetchError where shapes are not known.
    """
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    graph = model.graph
    infos = [*graph.value_info, *graph.input, *graph.output]
    shapes = {info.name: [axis.dim_value for axis in info.type.tensor_type.shape.dim] for info in infos}
    nodes, constants = [], list(graph.initializer)
    for index, node in enumerate(graph.node):
        if node.op_type == "Resize":
            before, after = shapes[node.input[0]], shapes[node.output[0]]
            if not all(before) or not all(after):
                raise FetchError(f"the size of {node.name or node.output[0]} is not known")
            ratios = np.array([new / old for old, new in zip(before, after, strict=True)], np.float32)
            constants.append(numpy_helper.from_array(ratios, f"ratios_{index}"))
            node.input[:] = [node.input[0], "", f"ratios_{index}"]
        elif node.op_type == "Reshape":
            # (1, channels, h, w) -> (1, channels, h * w)
            batch, channels, _ = shapes[node.output[0]]
            if shapes[node.input[0]][:2] != [batch, channels]:
                raise FetchError(f"{node.output[0]} mixes cells and channels")
            constants.append(numpy_helper.from_array(np.array([0, channels, -1], np.int64), f"shape_{index}"))
            node.input[1] = f"shape_{index}"
        nodes.append(node)
    # What only computed the sizes falls away: nodes are in order, so one pass from the end finds it.
    used = {info.name for info in graph.output}
    for node in reversed(list(nodes)):
        if used & set(node.output):
            used |= set(node.input)
        else:
            nodes.remove(node)
    inputs = [
        helper.make_tensor_value_info(info.name, TensorProto.FLOAT, ["batch", 3, "height", "width"])
        for info in graph.input
    ]
    outputs = [
        helper.make_tensor_value_info(
            info.name, TensorProto.FLOAT, ["batch", f"{info.name}_cells", shapes[info.name][2]]
        )
        for info in graph.output
    ]
    kept = [constant for constant in constants if constant.name in used]
    free = helper.make_graph(nodes, graph.name, inputs, outputs, kept)
    return helper.make_model(free, opset_imports=list(model.opset_import), ir_version=model.ir_version)


def _inverse(axes: Sequence[int]) -> list[int]:
    """For each stored axis the TF axis it holds."""
    return [axes.index(stored) for stored in range(len(axes))]


def _numbers(node: Mapping[str, Any], key: str) -> list[int]:
    return [int(number) for number in node["attr"][key]["list"]["i"]]


def _text(node: Mapping[str, Any], key: str) -> str:
    return base64.b64decode(node["attr"][key]["s"]).decode()


def read_weights(manifest: Sequence[Mapping[str, Any]], data: bytes) -> dict[str, NDArray[Any]]:
    """TF.js weights by name, quantised ones as float32. Raises FetchError where sizes do not add up."""
    weights: dict[str, NDArray[Any]] = {}
    offset = 0
    for entry in (entry for group in manifest for entry in group["weights"]):
        quantization = entry.get("quantization")
        dtype = np.dtype(_QUANTIZED[quantization["dtype"]] if quantization else _PLAIN[entry["dtype"]])
        shape = tuple(int(side) for side in entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += array.nbytes
        if quantization:
            array = array.astype(np.float32)
            if "scale" in quantization:
                array = array * np.float32(quantization["scale"]) + np.float32(quantization["min"])
        weights[entry["name"]] = array
    if offset != len(data):
        raise FetchError(f"TF.js weights name {offset} bytes, the file has {len(data)}")
    return weights
