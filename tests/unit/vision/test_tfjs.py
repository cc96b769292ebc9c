import numpy as np
import pytest

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.engine import FetchError
from engines.export.tfjs import convert_graph, read_weights
from engines.models import model_file
from services.vision.service import VisionExpert


def test_an_unknown_operator_is_named() -> None:
    document = {
        "modelTopology": {
            "node": [
                {"name": "x", "op": "Placeholder", "attr": {"shape": {"shape": {"dim": [{"size": "1"}]}}}},
                {"name": "y", "op": "FakeQuant", "input": ["x"], "attr": {}},
            ]
        },
        "weightsManifest": [],
    }
    with pytest.raises(FetchError, match="FakeQuant of 'y'"):
        convert_graph(document, b"", {"x": "in"}, {"y": "out"})


def test_quantised_weights_are_restored() -> None:
    entries = [
        {"name": "half", "dtype": "float32", "shape": [2], "quantization": {"dtype": "float16"}},
        {
            "name": "byte",
            "dtype": "float32",
            "shape": [2],
            "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0},
        },
        {"name": "plain", "dtype": "int32", "shape": [], "quantization": None},
    ]
    data = np.array([0.5, -2], "<f2").tobytes() + bytes([0, 4]) + np.int32(7).tobytes()
    weights = read_weights([{"weights": entries}], data)
    assert weights["half"].tolist() == [0.5, -2] and weights["byte"].tolist() == [-1, 1]
    assert weights["plain"] == 7
    with pytest.raises(FetchError, match="10 bytes, the file has 11"):
        read_weights([{"weights": entries}], data + b"\0")


def test_the_converted_detector_takes_any_sides_and_batch(expert: VisionExpert) -> None:
    engine = OnnxRuntimeEngine(model_file("nanodet-g", "nanodet.onnx"))
    random = np.random.default_rng(0)
    pictures = random.normal(size=(2, 3, 96, 160)).astype(np.float32)
    both = engine.run({"image": pictures})
    assert both["scores_8"].shape == (2, 12 * 20, 80) and both["edges_32"].shape == (2, 3 * 5, 44)
    second = engine.run({"image": pictures[1:]})
    assert np.allclose(both["edges_16"][1], second["edges_16"][0], atol=1e-4)
