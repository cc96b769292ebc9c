"""SENSORIUM_BACKEND chooses the runtime, and never quietly another one."""

import pytest

from engines.backends.tensorrt_build import TensorRTMissingError
from engines.fetch import fetch
from engines.gpu import BackendError
from engines.models import open_engine


@pytest.fixture(autouse=True)
def _silero() -> None:
    fetch(["silero-vad"])


def test_an_unknown_runtime_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", "tensorrt, coreml")
    with pytest.raises(BackendError, match="names 'coreml', must be of onnxruntime, tensorrt, tensorrt_rtx"):
        open_engine("silero-vad", "silero_vad.onnx")


@pytest.mark.parametrize("setting", ["tensorrt", "tensorrt,onnxruntime"])
def test_without_tensorrt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", setting)
    with pytest.raises(TensorRTMissingError, match="pip install tensorrt-cu13"):
        open_engine("silero-vad", "silero_vad.onnx")


@pytest.mark.parametrize("setting", ["", "onnxruntime", "onnxruntime,tensorrt"])
def test_the_default_is_onnx_runtime(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv("SENSORIUM_BACKEND", setting)
    assert open_engine("silero-vad", "silero_vad.onnx").backend == "onnxruntime-cpu"
