"""Rules of the engine that everything runs on by default."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.backends import onnxruntime
from engines.backends.onnxruntime import OnnxRuntimeEngine
from services.runtime.describe import resident_bytes


@pytest.mark.parametrize("has_vnni", [False, onnxruntime.has_vnni()])
def test_eight_bit_products_do_not_saturate(has_vnni: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: has_vnni)
    weight = np.full((64, 32), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weight"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 64])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["n", 32])],
        [numpy_helper.from_array(weight, "weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "product.onnx")
    x = np.full((8, 64), 255, np.uint8)
    y = OnnxRuntimeEngine(tmp_path / "product.onnx").run({"x": x})["y"]
    np.testing.assert_array_equal(y, x.astype(np.int32) @ weight.astype(np.int32))


@pytest.mark.parametrize("keeps_memory", [False, True])
def test_what_a_run_took_is_kept_only_where_that_is_wanted(keeps_memory: bool, tmp_path: Path) -> None:
    count = 50_000_000
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "shape"], ["wide"]),
            helper.make_node("ReduceMax", ["wide"], ["y"], keepdims=0),
        ],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.array([count]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "wide.onnx")
    engine = OnnxRuntimeEngine(tmp_path / "wide.onnx", keeps_memory=keeps_memory)
    before = resident_bytes()
    assert engine.run({"x": np.ones(1, np.float32)})["y"] == 1
    assert (resident_bytes() - before > 2 * count) is keeps_memory
