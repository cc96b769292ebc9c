"""OpenVINO behind the same `Engine`: for graphs that are worth it, on processors that multiply bfloat16."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines import models, tuning
from engines.backends import onnxruntime, openvino
from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.backends.openvino import OpenVinoMissingError
from engines.engine import TensorError
from engines.fetch import fetch
from engines.manifest import manifest, manifests
from engines.models import file_key, graph_of, model_file, open_engine
from engines.plain_graphs import difference
from engines.preference import NotWorthError, is_worth, openvino_engine
from engines.tuning import OPENVINO, Cost
from services.vision.ocr import SMALL, TINY, open_detector, open_recognizer
from tests.conftest import DATA
from tools.tune import typical

WORTH = [
    (name, measured.graph)
    for name, model in manifests().items()
    for measured in model.bfloat16
    if measured.is_allowed and tuning.saves(*measured.cpu_ms)
]
READER = (SMALL, "rec.onnx")


@pytest.fixture(scope="module", autouse=True)
def _models() -> None:
    fetch({name for name, _ in WORTH})


@pytest.fixture(autouse=True)
def preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """OpenVINO before ONNX Runtime, as on a processor that multiplies bfloat16: others compute the same in float32."""
    monkeypatch.setattr(models, "_opened", {})
    monkeypatch.setattr(openvino, "has_bfloat16", lambda: True)
    monkeypatch.setattr(onnxruntime, "has_vnni", lambda: False)
    monkeypatch.setenv("SENSORIUM_TUNING", str(tmp_path / "tuning.toml"))
    monkeypatch.setenv("SENSORIUM_BACKEND", "openvino,onnxruntime")
    return monkeypatch


@pytest.mark.parametrize(("name", "graph"), WORTH)
def test_it_gives_nearly_what_onnx_runtime_gives_and_says_what_it_is(name: str, graph: str) -> None:
    assert "openvino-cpu" in models.runs_as(name).backend, "before it is opened"
    feeds = typical(manifest(name), graph_of(name, graph))
    engine = open_engine(name, graph)
    wanted = OnnxRuntimeEngine(model_file(name, graph)).run(feeds)
    # Numbers of eight bits, layer upon layer, on noise.
    assert difference(engine.run(feeds), wanted, list(wanted)) < 0.2
    assert engine.backend == "openvino-cpu"
    assert models.runs_as(name) == ("openvino-cpu", "bfloat16")


def test_what_onnx_runtime_runs_in_eight_bits_stays_there(preferred: pytest.MonkeyPatch) -> None:
    assert is_worth("nanodet-g", "nanodet.onnx")
    preferred.setattr(onnxruntime, "has_vnni", lambda: True)
    assert not is_worth("nanodet-g", "nanodet.onnx")


def test_a_picture_is_read_to_the_same_text() -> None:
    slide = cv2.resize(cv2.imread(str(DATA / "slide.png")), (480, 270), interpolation=cv2.INTER_AREA)

    def read() -> list[str]:
        return sorted(line.text for line in open_recognizer(TINY).read(slide, open_detector().detect(slide)))

    with_it = read()
    models._opened[TINY].clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SENSORIUM_BACKEND")
        assert read() == with_it
    assert sum(map(len, with_it)) > 50


def test_voices_of_any_length_have_their_embedding() -> None:
    """The graph itself gives none below 200 frames; it is rewritten first."""
    narrow, exact = open_engine("campplus", "campplus.onnx"), OnnxRuntimeEngine(model_file("campplus", "campplus.onnx"))
    random = np.random.default_rng(0)
    for frames in (57, 100, 355, 20):
        feeds = {"fbank": random.standard_normal((1, frames, 80)).astype(np.float32)}
        ours, theirs = (engine.run(feeds)["embedding"][0] for engine in (narrow, exact))
        assert ours @ theirs > 0.99 * np.linalg.norm(ours) * np.linalg.norm(theirs)


def test_a_run_does_not_depend_on_the_sizes_of_the_one_before() -> None:
    engine, random = open_engine(TINY, "rec.onnx"), np.random.default_rng(0)
    short, long = (random.standard_normal((1, 3, 48, width)).astype(np.float32) for width in (64, 320))
    first, wide, again = (engine.run({"x": lines}) for lines in (short, long, short))
    for name, values in first.items():
        assert np.array_equal(values, again[name]) and values.shape[1] < wide[name].shape[1]


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "input 'x' is missing"),
        ({"x": np.zeros((1, 5, 64, 64), np.float32)}, r"input 'x' is \[1, 5, 64, 64\], must be \['batch', 3,"),
        ({"x": np.zeros((1, 3, 64, 64))}, "input 'x' is float64"),
        ({"y": np.zeros(1)}, "no input 'y'"),
    ],
)
def test_a_misfit_feed_is_refused(feeds: dict[str, np.ndarray], message: str) -> None:
    engine = openvino_engine(*READER)
    with pytest.raises(TensorError, match=message):
        engine.run(feeds)


def test_a_processor_without_bfloat16_runs_it_on_onnx_runtime_or_says_why(preferred: pytest.MonkeyPatch) -> None:
    preferred.setattr(openvino, "has_bfloat16", lambda: False)
    assert open_engine(*READER).backend == "onnxruntime-cpu"
    preferred.setenv("SENSORIUM_BACKEND", "openvino")
    with pytest.raises(NotWorthError, match="this processor multiplies no bfloat16"):
        open_engine(*READER)


def test_what_is_not_worth_it_is_not_said_to_run_there() -> None:
    assert models.runs_as("line-script") == ("onnxruntime-cpu", "float32")
    assert models.runs_as("minilm") == ("onnxruntime-cpu", "int8")


def test_what_was_measured_here_goes_before_what_the_manifest_says() -> None:
    assert is_worth(*READER)
    for openvino_ms, worth in ((7.6, False), (7.4, True)):
        tuning.write({file_key(manifest(SMALL), "rec.onnx"): [Cost(1, 10, 10), Cost(1, 9, openvino_ms, OPENVINO)]})
        assert is_worth(*READER) == worth


def test_without_openvino_the_error_says_what_to_install(preferred: pytest.MonkeyPatch) -> None:
    preferred.setitem(sys.modules, "openvino", None)
    openvino.core.cache_clear()
    with pytest.raises(OpenVinoMissingError, match=r"pip install 'sensorium\[openvino\]'"):
        openvino.core()


def test_a_graph_whose_weights_lie_in_a_file_of_their_own_opens_too() -> None:
    fetch(["minilm"])
    feeds = typical(manifest("minilm"), graph_of("minilm", "minilm.onnx"))
    wanted = OnnxRuntimeEngine(model_file("minilm", "minilm.onnx")).run(feeds)
    assert difference(openvino_engine("minilm", "minilm.onnx").run(feeds), wanted, list(wanted)) < 0.2
