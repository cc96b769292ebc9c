"""The live recogniser's graph: folded and equalised it says the same; other weights are put in by name."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.export.ppocr import folded, with_weights
from tools.train_ocr.equalise import equalised

CHANNELS = 6


def recogniser() -> onnx.ModelProto:
    """In small what PP-OCR's recogniser has: normalisation behind and before a squeeze, biases, a gate, a residual."""
    random = np.random.default_rng(0)
    # Channels of very unlike size, as depthwise convolutions make them.
    sizes = np.logspace(-2, 2, CHANNELS)[:, None, None, None]
    weights = {
        "stem": random.standard_normal((CHANNELS, 3, 3, 3)),
        "deep": random.standard_normal((CHANNELS, 1, 3, 3)) * sizes,
        "deep.added": random.standard_normal((1, CHANNELS, 1, 1)) * sizes.reshape(1, -1, 1, 1),
        "gate": random.standard_normal((CHANNELS, CHANNELS, 1, 1)) / 1000,
        "up": random.standard_normal((8, CHANNELS, 1, 1)) / 10,
        "down": random.standard_normal((CHANNELS, 8, 1, 1)) * sizes,
        "tail": random.standard_normal((CHANNELS, CHANNELS, 3, 1)),
        **{f"{name}.{part}": random.uniform(0.5, 2, CHANNELS) for name in ("first", "last") for part in "sbmv"},
        "axes": np.array([2]),
    }
    nodes = [
        helper.make_node("Conv", ["x", "stem"], ["a"], "Conv.0", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", *(f"first.{part}" for part in "sbmv")], ["b"], "Norm.0"),
        helper.make_node("Conv", ["b", "deep"], ["c"], "Conv.1", pads=[1, 1, 1, 1], group=CHANNELS),
        helper.make_node("Add", ["c", "deep.added"], ["d"], "Add.0"),
        helper.make_node("Identity", ["d"], ["e"], "Identity.0"),
        helper.make_node("ReduceMean", ["e"], ["f"], "Mean.0", axes=[2, 3]),
        helper.make_node("Conv", ["f", "gate"], ["g"], "Conv.2"),
        helper.make_node("HardSigmoid", ["g"], ["h"], "Gate.0"),
        helper.make_node("Mul", ["e", "h"], ["i"], "Mul.0"),
        helper.make_node("Conv", ["i", "up"], ["j"], "Conv.3"),
        helper.make_node("Tanh", ["j"], ["k"], "Tanh.0"),
        helper.make_node("Conv", ["k", "down"], ["l"], "Conv.4"),
        helper.make_node("Add", ["i", "l"], ["m"], "Add.1"),
        helper.make_node("Conv", ["m", "tail"], ["n"], "Conv.5"),
        helper.make_node("Squeeze", ["n", "axes"], ["o"], "Squeeze.0"),
        helper.make_node("BatchNormalization", ["o", *(f"last.{part}" for part in "sbmv")], ["y"], "Norm.1"),
    ]
    tensors = [
        numpy_helper.from_array(value.astype(np.int64 if name == "axes" else np.float32), name)
        for name, value in weights.items()
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, 3, "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def said(model: onnx.ModelProto, path: Path, feed: np.ndarray) -> np.ndarray:
    onnx.save(model, path)
    return np.asarray(OnnxRuntimeEngine(path).run({"x": feed})["y"])


def feed(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, 3, 3, 40)).astype(np.float32)


def test_folded_it_says_the_same_with_convolutions_that_hold_all(tmp_path: Path) -> None:
    before = said(recogniser(), tmp_path / "before.onnx", feed(0))
    made = folded(recogniser())
    np.testing.assert_allclose(said(made, tmp_path / "after.onnx", feed(0)), before, rtol=1e-3, atol=1e-3)
    assert {node.op_type for node in made.graph.node}.isdisjoint({"BatchNormalization", "Identity"})
    assert [node.name for node in made.graph.node if node.op_type == "Add"] == ["Add.1"]


def test_equalised_it_says_the_same_with_channels_of_like_size(tmp_path: Path) -> None:
    def unlikeness(model: onnx.ModelProto) -> float:
        """How many times the largest channel that goes into the gated product is as large as the smallest."""
        shown = onnx.ModelProto.FromString(model.SerializeToString())
        shown.graph.output.append(helper.make_tensor_value_info("i", TensorProto.FLOAT, None))
        onnx.save(shown, tmp_path / "shown.onnx")
        values = OnnxRuntimeEngine(tmp_path / "shown.onnx").run({"x": feed(9)}, ["i"])["i"]
        sizes = np.abs(values).max((0, 2, 3))
        return float(sizes.max() / sizes.min())

    plain = folded(recogniser())
    before, unlike = said(plain, tmp_path / "before.onnx", feed(0)), unlikeness(plain)
    made = equalised(plain, [{"x": feed(seed)} for seed in range(1, 5)], tmp_path / "scratch.onnx")
    np.testing.assert_allclose(said(made, tmp_path / "after.onnx", feed(0)), before, rtol=1e-3, atol=1e-3)
    assert unlike > 1000
    assert unlikeness(made) < unlike / 100


def test_weights_that_the_graph_has_not_are_refused() -> None:
    made = folded(recogniser())
    changed = with_weights(made, {"Conv.5.bias": np.full(CHANNELS, 7, np.float32)})
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in changed.graph.initializer}
    assert stored["Conv.5.bias"].tolist() == [7] * CHANNELS
    with pytest.raises(ValueError, match=r"'Conv.9.bias' \(6,\) is no weight"):
        with_weights(made, {"Conv.9.bias": np.zeros(CHANNELS, np.float32)})
    with pytest.raises(ValueError, match=r"'Conv.5.bias' \(2,\) is no weight"):
        with_weights(made, {"Conv.5.bias": np.zeros(2, np.float32)})
