"""SENSORIUM_BACKEND chooses the runtime, and never quietly another one."""

import math

import grpc
import onnx
import pytest

from engines import models
from engines.backends.tensorrt_build import TensorRTMissingError
from engines.fetch import fetch
from engines.manifest import manifest
from engines.models import open_engine
from engines.preference import BackendError, NotWorthError
from services.runtime.errors import status_code


@pytest.fixture(autouse=True)
def _silero() -> None:
    fetch(["silero-vad"])


def test_an_unknown_runtime_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", "tensorrt, coreml")
    with pytest.raises(BackendError, match="names 'coreml', must be of onnxruntime, openvino, tensorrt, tensorrt_rtx"):
        open_engine("silero-vad", "silero_vad.onnx")


@pytest.mark.parametrize("setting", ["tensorrt", "tensorrt,onnxruntime"])
def test_without_tensorrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", setting)
    with pytest.raises(TensorRTMissingError, match="pip install tensorrt-cu13") as raised:
        open_engine("silero-vad", "silero_vad.onnx")
    # A client sees this sentence, not "internal error".
    assert status_code(raised.value) is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("setting", ["", "onnxruntime", "onnxruntime,tensorrt"])
def test_the_default_is_onnx_runtime(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", setting)
    assert open_engine("silero-vad", "silero_vad.onnx").backend == "onnxruntime-cpu"


@pytest.mark.parametrize("setting", ["openvino", "openvino,onnxruntime"])
def test_openvino_runs_what_its_manifest_allows_and_nothing_else(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """Silero has no measured row."""
    monkeypatch.setenv("SENSORIUM_BACKEND", setting)
    if setting == "openvino":
        with pytest.raises(NotWorthError, match="set SENSORIUM_BACKEND=openvino,onnxruntime to run it"):
            open_engine("silero-vad", "silero_vad.onnx")
    else:
        assert open_engine("silero-vad", "silero_vad.onnx").backend == "onnxruntime-cpu"


def test_what_runs_is_told_by_what_was_opened_not_by_what_was_wished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_opened", {})
    monkeypatch.setenv("SENSORIUM_BACKEND", "tensorrt")
    assert models.runs_as("silero-vad").backend == "tensorrt"
    monkeypatch.setenv("SENSORIUM_BACKEND", "onnxruntime")
    open_engine("silero-vad", "silero_vad.onnx")
    monkeypatch.setenv("SENSORIUM_BACKEND", "tensorrt")
    assert models.runs_as("silero-vad") == ("onnxruntime-cpu", "float32")
    assert models.runs_as("silero-vad") != models.runs_as("whisper-base")


@pytest.mark.parametrize("name", ["silero-vad", "minilm", "reader", "segmentation-3.0"])
def test_the_precision_that_is_told_is_that_of_most_weights(name: str) -> None:
    fetch([name])
    for graph in manifest(name).graph:
        sizes: dict[str, int] = {}
        for tensor in onnx.load(models.model_file(name, graph.file)).graph.initializer:
            kind = "int8" if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) else "float32"
            sizes[kind] = sizes.get(kind, 0) + math.prod(tensor.dims)
        assert max(sizes, key=sizes.__getitem__) == graph.precision
