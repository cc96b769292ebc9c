"""Services on the card's backend: what networks are given is made by the kernels, none of it by the processor.

The whole chain runs over the simulated driver: services, `TensorRTEngine`, real PyCUDA, our kernels; in the place of
TensorRT alone is ONNX Runtime (stand_in.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.fetch import fetch
from engines.kernels.build import KernelBuildError, fatbin
from engines.kernels.simulator import build_driver
from tests.conftest import ROOT

PREPARED = """
import os
import numpy as np
from engines import gpu
from engines.backends.tensorrt import TensorRTEngine
from engines.models import model_file
from tests.gpu import stand_in


def on_card(name, graph):
    return TensorRTEngine(stand_in, gpu.first_card(), str(model_file(name, graph)).encode())


def forbidden(*arguments, **named):
    raise SystemExit("the processor prepared what the card should")


gpu.open_preferred = on_card
"""

PICTURES = """
import cv2
from services.vision.gui import GuiDetector
from services.vision.objects import ObjectDetector
from services.vision.ocr import open_detector
from tests.conftest import DATA

gui = cv2.imread(str(DATA / "gui.png"))
slide = cv2.resize(cv2.imread(str(DATA / "slide.png")), (480, 270), interpolation=cv2.INTER_AREA)
sign = np.full((240, 320, 3), (200, 180, 150), np.uint8)
corners = [(150 + 45 * np.cos(a), 100 + 45 * np.sin(a)) for a in np.pi / 8 + np.arange(8) * np.pi / 4]
cv2.fillPoly(sign, [np.array(corners, np.int32)], (30, 20, 190))
cv2.polylines(sign, [np.array(corners, np.int32)], True, (255, 255, 255), 3)
cv2.putText(sign, "STOP", (115, 111), (255, 255, 255), cv2.FontFace("sans"), 30, 800)


def found():
    things = ObjectDetector().detect(sign)
    # a frame is often a part of a larger array
    controls = GuiDetector().detect(gui[:400, :600])
    lines = open_detector().detect(slide)
    return (
        [(thing.class_name, thing.box, thing.confidence) for thing in things],
        [(control.class_name, control.box, control.confidence) for control in controls],
        [("line", line.xyxy, line.score) for line in lines],
    )


def contains(things, wanted):
    # A level less in the picture moves an edge or a probability a little.
    name, box, sure = wanted
    return any(
        name == other and np.abs(np.subtract(box, there)).max() < 1.5 and abs(sure - as_sure) < 0.03
        for other, there, as_sure in things
    )


on_the_host = found()
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
cv2.resize = cv2.copyMakeBorder = cv2.LUT = forbidden
for host, card in zip(on_the_host, found(), strict=True):
    for these, those in ((host, card), (card, host)):
        sure = [thing for thing in these if thing[2] > 0.5]
        assert sure, "nothing to compare"
        assert all(contains(those, thing) for thing in sure), (host, card)
"""

SPEECH = """
import wave
from engines.lanes import Lanes
from services.asr import mel
from services.asr.whisper import Whisper
from tests.conftest import DATA

with wave.open(str(DATA / "speech.wav")) as file:
    samples = np.frombuffer(file.readframes(32_000), np.int16).astype(np.float32) / 32_768


sounds = [samples, samples[:150]]
on_the_host = [mel.LogMel(sound).on_host() for sound in sounds]
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
mel.log_mel = forbidden
whisper = Whisper(1, Lanes(1))
for sound, features in zip(sounds, on_the_host, strict=True):
    assert whisper.encode(sound).outputs
    assert np.abs(stand_in.fed["mel"] - features).max() < 2e-3
"""

VOICES = """
import wave
from engines.models import open_engine
from services.diarization.embedding import MODEL, Features, Voiced, embed
from services.diarization.segmentation import frames_at
from tests.conftest import DATA

with wave.open(str(DATA / "speech.wav")) as file:
    samples = np.frombuffer(file.readframes(48_000), np.int16).astype(np.float32) / 32_768
mask = np.ones(int(frames_at(np.array([len(samples)]))[0]), np.bool_)
mask[20:60] = mask[:5] = False


def voice():
    return embed(open_engine(MODEL, "campplus.onnx"), Features(), samples, mask)


made = []
on_host = Voiced.on_host
Voiced.on_host = lambda self: made.append(on_host(self)) or made[-1]
host = voice()
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
Voiced.on_host = Features.rows = forbidden
card = voice()
assert np.abs(stand_in.fed["fbank"] - made[0]).max() < 0.01
assert host @ card > 0.9999, host @ card
"""

WITHOUT_A_DRIVER = """
from services.vision.objects import ObjectDetector

ObjectDetector()
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the simulated libcuda."""
    folder = tmp_path_factory.mktemp("driver")
    build_driver(folder)
    return folder


def run(program: str, *, library: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program, over the simulated driver of a folder."""
    path = {"LD_LIBRARY_PATH": str(library)} if library else {}
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_pictures_are_prepared_by_the_card_and_detections_stay(driver: Path) -> None:
    fetch(["nanodet-g", "gui-elements", "ppocrv6-tiny"])
    done = run(PREPARED + PICTURES, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_whisper_s_features_are_made_by_the_card_and_stay(driver: Path) -> None:
    fetch(["whisper-base"])
    done = run(PREPARED + SPEECH, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_features_of_voices_are_made_by_the_card_and_voices_stay(driver: Path) -> None:
    fetch(["campplus"])
    done = run(PREPARED + VOICES, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


@pytest.mark.parametrize("setting", ["tensorrt_rtx", "tensorrt_rtx,onnxruntime"])
def test_without_a_driver_a_service_says_so_and_never_quietly_runs_on_the_processor(setting: str) -> None:
    fetch(["nanodet-g"])
    done = run(WITHOUT_A_DRIVER, SENSORIUM_BACKEND=setting)
    assert done.returncode != 0 and "there is no NVIDIA driver on this machine" in done.stderr


def test_without_the_kernels_and_nvcc_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SENSORIUM_KERNELS", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(KernelBuildError, match="nvcc was not found; install CUDA 13"):
        fatbin("letterbox.cu")
    assert list(tmp_path.iterdir()) == []
