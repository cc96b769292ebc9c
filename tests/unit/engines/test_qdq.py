"""Eight-bit graphs for TensorRT: which products, which numbers, and only where the loss was measured."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines import models, plain_graphs
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import EngineError, ManifestError
from engines.export.plain import PlainGraphError, check
from engines.export.qdq import in_eight_bits, quantised_inputs
from engines.fetch import fetch
from engines.manifest import MANIFESTS, manifest, manifests, parse
from engines.plain_graphs import difference, plain_graph
from tools.calibrate import ranges

SEGMENTATION = ("segmentation-3.0", "segmentation.onnx")


def products() -> onnx.ModelProto:
    """Convolutions, then products with constant weights in both ways of writing them, one of two values, a last one."""
    random = np.random.default_rng(0)
    shapes = {"first": (3, 3, 3, 3), "filters": (4, 3, 3, 3), "matrix": (4, 5), "turned": (6, 5), "end": (2, 6)}
    weights = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["f"], kernel_shape=[3, 3]),
        helper.make_node("Conv", ["f", "filters"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("ReduceMean", ["c"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "matrix"], ["p"]),
        helper.make_node("Gemm", ["p", "turned"], ["g"], transB=1),
        helper.make_node("Transpose", ["g"], ["t"]),
        helper.make_node("MatMul", ["g", "t"], ["two"]),
        helper.make_node("MatMul", ["two", "end"], ["last"]),
        helper.make_node("Relu", ["last"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 6])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def test_products_with_constant_weights_are_in_eight_bits_but_the_first_and_the_last(tmp_path: Path) -> None:
    model = products()
    assert quantised_inputs(model) == ["f", "m", "p"]
    made = in_eight_bits(model, {"f": 30.0, "m": 30.0, "p": 90.0})
    check(made)
    read = {node.output[0]: list(node.input[:2]) for node in made.graph.node}
    assert [read[name] for name in ("f", "c", "p", "g", "two", "last")] == [
        ["x", "first"],
        ["f.rounded", "filters.0.rounded"],
        ["m.rounded", "matrix.1.rounded"],
        ["p.rounded", "turned.0.rounded"],
        ["g", "t"],
        ["two", "end"],
    ]
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    assert all(not zero.any() and zero.dtype == np.int8 for name, zero in stored.items() if name.endswith(".zero"))
    lengths = {name: scale.shape for name, scale in stored.items() if name.endswith(".scale")}
    assert lengths == {
        "f.scale": (), "m.scale": (), "p.scale": (),
        "filters.0.scale": (4,), "matrix.1.scale": (5,), "turned.0.scale": (6,),
    }  # fmt: skip
    feeds = {"x": np.random.default_rng(1).uniform(-2, 2, (2, 3, 8, 8)).astype(np.float32)}
    results = []
    for index, each in enumerate((model, made)):
        onnx.save(each, tmp_path / f"{index}.onnx")
        results.append(OnnxRuntimeEngine(tmp_path / f"{index}.onnx").run(feeds))
    assert 0 < difference(results[1], results[0], ["y"]) < 0.05


def test_a_range_is_a_part_of_the_largest_magnitude_that_came(tmp_path: Path) -> None:
    model = products()
    random = np.random.default_rng(2)
    feeds = [{"x": random.standard_normal((2, 3, 8, 8)).astype(np.float32)} for _ in range(3)]
    found = ranges(model, feeds)
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in found)
    onnx.save(model, tmp_path / "asked.onnx")
    engine = OnnxRuntimeEngine(tmp_path / "asked.onnx")
    came = [engine.run(one) for one in feeds]
    for name, chosen in found.items():
        largest = max(float(np.abs(one[name]).max()) for one in came)
        assert 0.2 * largest <= chosen * 1.0001 and chosen <= largest * 1.0001


def test_a_value_without_a_range_says_what_to_run() -> None:
    with pytest.raises(PlainGraphError, match=r"'p' has no range: run `python -m tools.calibrate`"):
        in_eight_bits(products(), {"f": 4.0, "m": 3.0})


def test_every_eight_bit_graph_has_its_ranges_and_stays_within_what_its_manifest_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = [(name, p) for name, model in manifests().items() for p in model.profile if p.int8 is not None]
    assert all(plain_graphs.ranges_file(name, profile.graph).is_file() for name, profile in allowed)
    fetch([SEGMENTATION[0]])
    (tmp_path / models.folder(manifest(SEGMENTATION[0])).name).symlink_to(models.folder(manifest(SEGMENTATION[0])))
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    written = plain_graph(*SEGMENTATION, "int8")
    (profile,) = manifest(SEGMENTATION[0]).profile
    assert profile.int8 is not None and 0 < written.difference <= profile.int8
    with pytest.raises(
        EngineError, match="the int8 graph for TensorRT differs by .* from the float32 one, at most 0.0"
    ):
        plain_graphs._write(SEGMENTATION[0], replace(profile, int8=0.0), tmp_path / "again.onnx", "int8")


def test_eight_bits_are_allowed_only_where_the_measured_loss_is() -> None:
    text = (MANIFESTS / "segmentation-3.0.toml").read_text()
    assert parse(text, "as it is").profile[0].int8 is not None
    (measured,) = manifest(SEGMENTATION[0]).eight_bits
    too_much = text.replace(f"\nmost = {measured.most}", f"\nmost = {math.nextafter(measured.tensorrt, -1)}")
    with pytest.raises(ManifestError, match="int8 for 'segmentation.onnx' needs eight_bits"):
        parse(too_much, "changed")
