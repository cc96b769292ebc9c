"""The reader's graphs: MiniLM with trained low-rank changes merged into its weights, and two small heads.

The changes and the heads lie in engines/weights/reader*.npz (tools/train_decoder, docs/answers.md); the weights they
change come from the package of the sentence encoder. Runs 8 bits wide like that one (engines/export/minilm.py).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engines.engine import FetchError
from engines.export.minilm import narrow, save

# Changes and heads of each graph.
WEIGHTS = {
    graph: Path(__file__).parent.parent / "weights" / name
    for graph, name in (("reader.onnx", "reader.npz"), ("wide.onnx", "reader-wide.npz"))
}
_PREFIX = "inner."
_STATES = "last_hidden_state"
Float = NDArray[np.float32]


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Write the graphs into folder `out`, and the rows of all words, which are the sentence encoder's."""
    (path,) = sources.values()
    for graph, weights in WEIGHTS.items():
        with np.load(weights) as stored:
            learnt = {name: stored[name].astype(np.float32) for name in stored.files}
        save(merged(onnx.load(path), learnt), out / graph)


def merged(model: onnx.ModelProto, learnt: Mapping[str, Float]) -> onnx.ModelProto:
    """The package's graph with "NAME.up" x "NAME.down" added to its linear maps and the heads behind its states."""
    maps = [name.removesuffix(".up") for name in learnt if name.endswith(".up")]
    changes = {f"{_PREFIX}{name}.bias": learnt[f"{name}.up"] @ learnt[f"{name}.down"] for name in maps}
    model = narrow(model, changes)
    graph = model.graph
    for name in ("hidden", "evidence", "span"):
        graph.initializer.append(
            numpy_helper.from_array(np.ascontiguousarray(learnt[f"{name}.weight"].T), f"{name}.weight")
        )
        graph.initializer.append(numpy_helper.from_array(learnt[f"{name}.bias"], f"{name}.bias"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "first"))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "last_axis"))
    graph.node.extend(
        [
            helper.make_node("Gather", [_STATES, "first"], ["cls"], axis=1),
            helper.make_node("Gemm", ["cls", "hidden.weight", "hidden.bias"], ["hidden.in"]),
            helper.make_node("Tanh", ["hidden.in"], ["hidden.out"]),
            helper.make_node("Gemm", ["hidden.out", "evidence.weight", "evidence.bias"], ["evidence.column"]),
            helper.make_node("Squeeze", ["evidence.column", "last_axis"], ["evidence"]),
            helper.make_node("MatMul", [_STATES, "span.weight"], ["span.in"]),
            helper.make_node("Add", ["span.in", "span.bias"], ["spans"]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["batch"]))
    graph.output.append(helper.make_tensor_value_info("spans", TensorProto.FLOAT, ["batch", "sequence", 2]))
    return model


def base_weights(model: onnx.ModelProto) -> dict[str, Float]:
    """The float weights of the package's MiniLM by their BERT names; linear maps as (out, in). Raises FetchError."""
    graph = model.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = {
        name.removeprefix(_PREFIX): np.asarray(value, np.float32)
        for name, value in stored.items()
        if name.startswith(_PREFIX) and name.endswith((".weight", ".bias"))
    }
    levels = {
        node.output[0]: stored[node.input[0]]
        for node in graph.node
        if node.op_type == "Cast" and node.input[0] in stored
    }
    wide = {
        node.output[0]: (levels[node.input[0]] * stored[node.input[1]]).astype(np.float32)
        for node in graph.node
        if node.op_type == "Mul" and node.input[0] in levels
    }
    added = {node.input[0]: node.input[1] for node in graph.node if node.op_type == "Add"}
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in wide:
            found[node.input[0].removeprefix(_PREFIX)] = wide[node.input[0]]
        elif node.op_type == "MatMul" and node.input[1] in wide:
            found[bias_of(node, added).removeprefix(_PREFIX).removesuffix("bias") + "weight"] = wide[node.input[1]].T
    return found


def bias_of(product: onnx.NodeProto, added: Mapping[str, str]) -> str:
    """The name of what is added to a product: it tells which linear map it is."""
    bias = added.get(product.output[0], "")
    if not bias.endswith(".bias"):
        raise FetchError("the MiniLM graph adds no named bias to a product; the package was changed")
    return bias
