"""Graphs that ONNX Runtime runs in eight bits: which, where, and how near they stay."""

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import models, plain_graphs
from engines.backends import onnxruntime
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.export.eight_bits import in_eight_bits, spans
from engines.fetch import fetch
from engines.manifest import manifest, manifests

USED = {
    f"{name}/{known.graph}": known for name, model in manifests().items() for known in model.eight_bits if known.is_used
}


@pytest.fixture(params=USED)
def graph(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A model's name and its graph that has eight bits."""
    name, _, file = str(request.param).partition("/")
    fetch([name])
    return name, file


def test_only_what_loses_little_and_saves_a_quarter_is_run_in_eight_bits() -> None:
    assert set(USED) == {"nanodet-g/nanodet.onnx", "gui-elements/gui-elements.onnx", "ppocrv6-tiny/rec.onnx"}
    for known in (known for model in manifests().values() for known in model.eight_bits):
        is_worth = known.onnxruntime <= known.most and known.cpu_ms[1] <= 0.75 * known.cpu_ms[0]
        assert known.is_used == (is_worth and not known.against)


def test_what_it_gives_is_near_what_the_graph_as_it_is_gives(graph: tuple[str, str]) -> None:
    name, file = graph
    feeds = plain_graphs.example(name, file)
    as_it_is, eight = (
        OnnxRuntimeEngine(models.model_file(name, path)).run(feeds) for path in (file, USED[f"{name}/{file}"].file)
    )
    for output, values in as_it_is.items():
        cosine = np.vdot(values, eight[output]) / (np.linalg.norm(values) * np.linalg.norm(eight[output]))
        assert cosine > 0.97, output


def test_it_is_opened_where_the_processor_has_vnni_and_described_so(
    graph: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, file = graph
    # Other graphs of the model may have been opened before.
    monkeypatch.setattr(models, "_opened", {})
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: True)
    assert models.open_engine(name, file).precision == models.runs_as(name).precision == "int8"
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: False)
    assert models.open_engine(name, file).precision == models.runs_as(name).precision == "float32"
    assert {models.file_on_cpu(name, other.file) for other in manifest(name).graph} == {
        other.file for other in manifest(name).graph
    }


def two_products() -> onnx.ModelProto:
    """A convolution, GELU in its five parts, another convolution."""
    random = np.random.default_rng(0)
    weights = {
        "first": random.standard_normal((8, 3, 1, 1)),
        "last": random.standard_normal((4, 8, 1, 1)),
        "root": np.array(math.sqrt(2)),
        "one": np.array(1.0),
        "half": np.array(0.5),
    }
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], "Conv.0"),
        helper.make_node("Div", ["a", "root"], ["b"]),
        helper.make_node("Erf", ["b"], ["c"]),
        helper.make_node("Add", ["c", "one"], ["d"]),
        helper.make_node("Mul", ["a", "d"], ["e"]),
        helper.make_node("Mul", ["e", "half"], ["f"]),
        helper.make_node("Conv", ["f", "last"], ["y"], "Conv.1"),
    ]
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3, 4, "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_gelu_between_products_is_one_operator(tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(1).standard_normal((1, 3, 4, 50)).astype(np.float32)}
    onnx.save(two_products(), tmp_path / "float.onnx")
    made = in_eight_bits(two_products(), spans(tmp_path / "float.onnx", [feeds]))
    onnx.save(made, tmp_path / "eight.onnx")
    operators = [node.op_type for node in made.graph.node]
    assert operators.count("Gelu") == 1 and "Erf" not in operators
    want, got = (OnnxRuntimeEngine(tmp_path / f"{name}.onnx").run(feeds)["y"] for name in ("float", "eight"))
    assert np.linalg.norm(got - want) < 0.03 * np.linalg.norm(want)


def test_a_node_that_is_named_stays_as_it_is(tmp_path: Path) -> None:
    model = two_products()
    onnx.save(model, tmp_path / "float.onnx")
    ranges = spans(tmp_path / "float.onnx", [{"x": np.ones((1, 3, 4, 5), np.float32)}])
    made = in_eight_bits(model, ranges, ["Conv.0"])
    rounded = {node.input[0] for node in made.graph.node if node.op_type == "QuantizeLinear"}
    assert "f" in rounded and not rounded & {"x", "a"}
    with pytest.raises(ValueError, match=r"Conv\.7"):
        in_eight_bits(model, ranges, ["Conv.7"])


def test_a_range_leaves_out_what_is_rare_and_far(tmp_path: Path) -> None:
    onnx.save(two_products(), tmp_path / "float.onnx")
    usual = np.random.default_rng(2).uniform(0, 1, (50, 1, 3, 4, 300)).astype(np.float32)
    feeds = [{"x": one} for one in usual]
    assert spans(tmp_path / "float.onnx", feeds)["x"] == pytest.approx([0, 1], abs=0.01)
    # One of 180 000.
    usual[0, 0, 0, 0, 0] = 1.4
    low, high = spans(tmp_path / "float.onnx", feeds)["x"]
    assert low == 0 and 1 <= high < 1.3
