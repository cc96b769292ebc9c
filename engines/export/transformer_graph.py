"""Writes plain ONNX (opset 20, no If, no Loop) for transformer encoders and decoders from numpy weights.

Matrices are either float32 or eight-bit integers with one scale and zero point per column; the
latter run as DynamicQuantizeLinear + MatMulInteger, which ONNX Runtime fuses into one kernel, or as its own
MatMulNBits, which quantises every row by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
MICROSOFT = "com.microsoft"
# Weights that share a scale in MatMulNBits; the fastest of those tried for single rows.
BLOCK = 64


@dataclass(frozen=True, slots=True)
class Int8Matrix:
    """(k, n) int8 `values`; the real weight is (values - zero_point[n]) * scale[n]."""

    values: NDArray[np.int8]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.int8]

    def dequantised(self) -> NDArray[np.float32]:
        """The weight as (k, n) float32."""
        return (self.values.astype(np.float32) - self.zero_point.astype(np.float32)) * self.scale

    def columns(self, order: NDArray[np.intp]) -> "Int8Matrix":
        """The same matrix with its columns in another order."""
        return Int8Matrix(self.values[:, order], self.scale[order], self.zero_point[order])

    def times(self, factor: float) -> "Int8Matrix":
        """The matrix multiplied by a number."""
        return Int8Matrix(self.values, self.scale * np.float32(factor), self.zero_point)


def side_by_side(matrices: Sequence[Int8Matrix]) -> Int8Matrix:
    """Several matrices of the same input as one, so that one product serves all."""
    return Int8Matrix(
        np.concatenate([m.values for m in matrices], axis=1),
        np.concatenate([m.scale for m in matrices]),
        np.concatenate([m.zero_point for m in matrices]),
    )


def quantise(weight: NDArray[np.float32]) -> Int8Matrix:
    """Symmetric eight-bit rounding per column of a (k, n) weight."""
    scale = np.maximum(np.abs(weight).max(axis=0), 1e-12) / np.float32(127)
    values = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
    return Int8Matrix(values, scale.astype(np.float32), np.zeros(weight.shape[1], np.int8))


Weight = Int8Matrix | NDArray[np.float32]


class GraphBuilder:
    """Collects nodes and weights; every method returns the name of the value that it adds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._given: dict[str, str] = {}
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], str] = {}

    def input(self, name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        """Declare an input."""
        self._inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def output(self, value: str, name: str, shape: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> None:
        """Give a value out under a name."""
        self._given[value] = name
        self._outputs.append(helper.make_tensor_value_info(name, dtype, shape))

    def constant(self, value: NDArray[Any]) -> str:
        """A weight or a shape; equal ones are stored once."""
        array = np.ascontiguousarray(value)
        key = (
            array.dtype.str,
            array.tobytes() if array.nbytes <= 64 else str(len(self._weights)).encode(),
            array.shape,
        )
        if key not in self._constants:
            name = f"w{len(self._weights)}"
            self._weights.append(numpy_helper.from_array(array, name))
            self._constants[key] = name
        return self._constants[key]

    def integers(self, *values: int) -> str:
        """A one-dimensional int64 constant."""
        return self.constant(np.array(values, np.int64))

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node with one output."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several outputs."""
        names = [f"v{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, name=names[0], **attributes))
        return names

    def linear_by_row(self, x: str, weight: Int8Matrix, bias: NDArray[np.float32]) -> str:
        """As `linear`, but every row of x is quantised by its own range: for activations with outliers."""
        largest = self.op("ReduceMax", self.op("Abs", x), self.integers(-1), keepdims=1)
        largest = self.op("Max", largest, self.constant(np.array(1e-9, np.float32)))
        product = self.linear(self.op("Div", x, largest), weight)
        return self.op("Add", self.op("Mul", product, largest), self.constant(bias))

    def linear(self, x: str, weight: Weight, bias: NDArray[np.float32] | None = None) -> str:
        """Product of x and the weight, plus the bias; eight-bit weights take x in eight bits, one range for all."""
        if isinstance(weight, Int8Matrix):
            quantised, scale, zero = self.ops("DynamicQuantizeLinear", 3, x)
            product = self.op(
                "MatMulInteger",
                quantised,
                self.constant(weight.values),
                zero,
                self.constant(weight.zero_point),
            )
            scales = self.op("Mul", scale, self.constant(weight.scale))
            y = self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), scales)
        else:
            y = self.op("MatMul", x, self.constant(weight))
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def linear_row_by_row(self, x: str, weight: Weight, bias: NDArray[np.float32] | None = None) -> str:
        """As `linear`, but what a row of x gives does not depend on the others: for batches of several callers.

        Faster than `linear` for few rows, slower for many.
        """
        if not isinstance(weight, Int8Matrix):
            return self.linear(x, weight, bias)
        k, n = weight.values.shape
        blocks = -(-k // BLOCK)
        zero_point = (weight.zero_point.astype(np.int16) + 128).astype(np.uint8)
        values = np.repeat(zero_point[:, None], blocks * BLOCK, axis=1)
        values[:, :k] = (weight.values.astype(np.int16) + 128).astype(np.uint8).T
        y = self.op(
            "MatMulNBits",
            x,
            self.constant(values.reshape(n, blocks, BLOCK)),
            self.constant(np.repeat(weight.scale, blocks)),
            self.constant(np.repeat(zero_point, blocks)),
            domain=MICROSOFT,
            K=k,
            N=n,
            bits=8,
            block_size=BLOCK,
            accuracy_level=4,
        )
        return y if bias is None else self.op("Add", y, self.constant(bias))

    def layer_norm(self, x: str, gain: NDArray[np.float32], shift: NDArray[np.float32] | None = None) -> str:
        """Layer normalisation over the last axis, epsilon 1e-5."""
        names = [self.constant(gain)] + ([] if shift is None else [self.constant(shift)])
        return self.op("LayerNormalization", x, *names, axis=-1, epsilon=1e-5)

    def heads(self, x: str, heads: int, size: int) -> str:
        """(b, n, heads * size) -> (b, heads, n, size)."""
        split = self.op("Reshape", x, self.integers(0, 0, heads, size))
        return self.op("Transpose", split, perm=[0, 2, 1, 3])

    def attention(self, q: str, k: str, v: str, width: int, bias: str | None = None) -> tuple[str, str]:
        """Softmax attention of scaled queries: (b, n, width) context and (b, heads, n, m) weights."""
        scores = self.op("MatMul", q, self.op("Transpose", k, perm=[0, 1, 3, 2]))
        if bias is not None:
            scores = self.op("Add", scores, bias)
        weights = self.op("Softmax", scores, axis=-1)
        context = self.op("Transpose", self.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.op("Reshape", context, self.integers(0, 0, width)), weights

    def model(self, *, contrib: bool = True) -> onnx.ModelProto:
        """The whole; `contrib`: with ONNX Runtime's own operators, which `linear_row_by_row` may have used."""
        for node in self._nodes:
            for values in (node.input, node.output):
                values[:] = [self._given.get(value, value) for value in values]
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, self._weights)
        opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(MICROSOFT, 1)] * contrib
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def save(self, path: Path) -> None:
        """Check and write the graph."""
        model = self.model()
        onnx.checker.check_model(model)
        onnx.save(model, path)
