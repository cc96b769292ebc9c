"""The recogniser's ONNX graph in PyTorch, every value of its eight-bit products rounded as ONNX Runtime rounds it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from engines.export.eight_bits import with_gelu
from engines.export.ppocr import Float

_LEVELS = 255
_LARGEST_WEIGHT = 127
_PRODUCTS = ("Conv", "MatMul")
# The head's rows of classes stay as they are: most ideographs are in no training line.
_HEAD = "MatMul.1"
Ranges = Mapping[str, Sequence[float]]


class Recogniser(nn.Module):
    """A folded graph (engines/export/ppocr.py): (b, 3, 48, w) -> log-probabilities (b, steps, classes).

    With `ranges`, by value, products but those of `in_float` are computed as in eight bits; gradients pass.
    """

    def __init__(self, model: onnx.ModelProto, ranges: Ranges | None = None, in_float: Iterable[str] = ()) -> None:
        super().__init__()
        graph = with_gelu(model).graph
        self._nodes = [node for node in graph.node if node.op_type != "Constant"]
        constants = [(node.output[0], node.attribute[0].t) for node in graph.node if node.op_type == "Constant"]
        tensors = [*((tensor.name, tensor) for tensor in graph.initializer), *constants]
        self._attributes = [
            {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            for node in self._nodes
        ]
        self._input, self._output = graph.input[0].name, graph.node[-1].input[0]
        products = [node for node in self._nodes if node.op_type in _PRODUCTS]
        self._narrow = {node.name for node in products} - set(in_float) if ranges is not None else set()
        head = next(node.input[1] for node in products if node.name == _HEAD)
        for name, tensor in tensors:
            values = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            if values.is_floating_point() and values.ndim:
                self.register_parameter(_key(name), nn.Parameter(values, requires_grad=name != head))
            else:
                self.register_buffer(_key(name), values)
        self._names = [name for name, _ in tensors]
        self._grids: dict[str, tuple[float, float, float]] = {}
        for node in products:
            if ranges is not None and node.name in self._narrow:
                self._grids |= {name: _grid(*ranges[name]) for name in (node.input[0], node.output[0])}

    def forward(self, lines: Tensor) -> Tensor:
        """Log-probabilities of each step's classes."""
        values = {self._input: lines} | {name: getattr(self, _key(name)) for name in self._names}
        for node, attributes in zip(self._nodes[:-1], self._attributes[:-1], strict=True):
            given = [values[name] for name in node.input]
            if node.name in self._narrow:
                given[1] = _rounded_weights(given[1]) if node.op_type == "Conv" else _rounded_weights(given[1].T).T
            name = node.output[0]
            found = _OPERATORS[node.op_type](attributes, *given)
            values[name] = _Rounded.apply(found, *self._grids[name]) if name in self._grids else found
        return functional.log_softmax(values[self._output], -1)

    def learnt(self) -> dict[str, Float]:
        """The weights that training may change, by their names in the graph."""
        return {
            name: getattr(self, _key(name)).detach().numpy()
            for name in self._names
            if isinstance(getattr(self, _key(name)), nn.Parameter) and getattr(self, _key(name)).requires_grad
        }


class _Rounded(torch.autograd.Function):
    """Values to multiples of a step within a range. Gradients pass where values lie within it.

    PyTorch's own fake_quantize takes eleven times as long on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, step: float | Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.range = low, high
        return value.clamp(low, high).div_(step).round_().mul_(step)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (value,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, value, *ctx.range), None, None, None


def _grid(low: float, high: float) -> tuple[float, float, float]:
    """Step, lowest and highest value of eight bits with a whole zero point."""
    step = (high - low) / _LEVELS
    zero = round(-low / step)
    return step, -zero * step, (_LEVELS - zero) * step


def _key(name: str) -> str:
    """A module's attribute may have no dot in its name."""
    return name.replace(".", "_")


def _rounded_weights(weight: Tensor) -> Tensor:
    """Of each output channel, the first axis, to whole parts of its largest weight."""
    largest = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-9)
    step = (largest / _LARGEST_WEIGHT).reshape(-1, *[1] * (weight.ndim - 1))
    return _Rounded.apply(weight, step, -float("inf"), float("inf"))


def _conv(attributes: Mapping[str, list[int]], value: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    top, left = attributes["pads"][:2]
    group = attributes["group"]
    return functional.conv2d(value, weight, bias, attributes["strides"], (top, left), groups=group)


def _squeeze(_: object, value: Tensor, axes: Tensor) -> Tensor:
    return value.squeeze(int(axes))


_OPERATORS: dict[str, Callable[..., Tensor]] = {
    "Conv": _conv,
    "MatMul": lambda _, value, weight: value @ weight,
    "Add": lambda _, first, second: first + second,
    "Mul": lambda _, first, second: first * second,
    "Gelu": lambda _, value: functional.gelu(value),
    "Relu": lambda _, value: functional.relu(value),
    "HardSigmoid": lambda a, value: (value * a["alpha"] + a["beta"]).clamp(0, 1),
    "ReduceMean": lambda _, value, axes: value.mean(tuple(axes.tolist()), keepdim=True),
    "AveragePool": lambda a, value: functional.avg_pool2d(value, a["kernel_shape"], a["strides"]),
    "Squeeze": _squeeze,
    "Unsqueeze": lambda _, value, axes: value.unsqueeze(int(axes)),
    "Transpose": lambda a, value: value.permute(*a["perm"]),
}
