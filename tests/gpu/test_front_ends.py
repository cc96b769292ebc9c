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
from engines import gpu, preference
from engines.backends.tensorrt import TensorRTEngine
from engines.models import model_file
from tests.gpu import stand_in


def on_card(name, graph, threads):
    return TensorRTEngine(stand_in, gpu.first_card(), str(model_file(name, graph)).encode())


def forbidden(*arguments, **named):
    raise SystemExit("the processor prepared what the card should")


preference.open_preferred = on_card
"""

PICTURES = """
import cv2
from engines.backends import onnxruntime
from services.vision.candidates import Candidates
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


# The card runs the graphs as they are, so the host shall do so too, and not in ONNX Runtime's eight bits.
onnxruntime.has_vnni = lambda: False
on_the_host = found()
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
cv2.resize = cv2.copyMakeBorder = cv2.LUT = Candidates.on_host = forbidden
carried = []
copy = gpu.CudaDevice.copy_to_host


def counted(self, values, address, stream):
    carried.append(values.nbytes)
    copy(self, values, address, stream)


gpu.CudaDevice.copy_to_host = counted
on_the_card = found()
# of 2 MB that the detectors' heads give; the map of the text detector leaves as it is
text_map = max(carried)
assert sum(carried) - text_map < 20_000, carried
assert set(stand_in.used) == {0}
# Plans have a profile more for long pages: here whatever is no smaller than 128.
stand_in.most[:] = [128, 1 << 20]
long_page = np.ascontiguousarray(gui[:, :300])
stand_in.used.clear()
detector = GuiDetector()
for _ in range(2):
    assert detector.detect(long_page) and detector.detect(gui[:100, :100]) is not None
assert stand_in.used == [1, 0, 1, 0], stand_in.used
for host, card in zip(on_the_host, on_the_card, strict=True):
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

# What is listened to crosses the bus once, however many words are read from it.
carried = []
copy = gpu.CudaDevice.copy_to_card


def counted(self, address, values, stream):
    carried.append(values.nbytes)
    copy(self, address, values, stream)


encoded = whisper.encode(samples)
gpu.CudaDevice.copy_to_card = counted
language = next(iter(whisper.identify(encoded)))
assert len(whisper.transcribe(encoded, language).tokens) > 3
assert sorted(carried)[-12:] == [4 * 8 * 1500 * 64] * 12 and max(sorted(carried)[:-12]) < 200_000
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

LINES = """
import cv2
from engines.backends import onnxruntime
from services.vision.ocr import TINY, open_detector, open_recognizer
from services.vision.text_recognition import BestPath
from tests.conftest import DATA

onnxruntime.has_vnni = lambda: False  # the plan is of the float graph
slide = cv2.resize(cv2.imread(str(DATA / "slide.png")), (480, 270), interpolation=cv2.INTER_AREA)
boxes = open_detector().detect(slide)
on_the_host = open_recognizer(TINY).read(slide, boxes)
assert sum(len(line.text) for line in on_the_host) > 50
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
BestPath.on_host = forbidden
carried = gpu.CudaDevice.copy_to_host
most = 0


def counted(self, values, address, stream):
    global most
    most = max(most, values.nbytes)
    carried(self, values, address, stream)


gpu.CudaDevice.copy_to_host = counted
assert open_recognizer(TINY).read(slide, boxes) == on_the_host
assert most < 20_000, most
"""

DECODER = """
import ctypes
import sys
from threading import Thread
import onnx
from engines.backends.tensorrt import TensorRTEngine
from engines.engine import TensorError
from engines.export import llama_plain
from services.decoder.cache import HostCache
from services.decoder.choice import greedy
from services.decoder.model import NAME, SmallDecoder
from tools.gpu_selftest import in_two_parts

plain = sys.argv[1] + "/plain.onnx"
onnx.save(llama_plain.plain(onnx.load(model_file(NAME, "decoder.onnx"))), plain)
preference.open_preferred = lambda name, graph, threads: TensorRTEngine(stand_in, gpu.first_card(), plain.encode())
HEAD = "The meeting:\\n"
SAFARI = "[00:18] Lena: The payment test on Safari still fails.\\n"
PRINTER = "[00:21] Tom: The password of the printer is swordfish.\\n"
QUESTION = "[00:24] Lena: The password of the printer is"


def listen(decoder):
    cache = decoder.new_cache(96)
    for text in (HEAD, SAFARI, PRINTER):
        decoder.extend(cache, decoder.embed(decoder.words(text)))
    cache.drop(len(decoder.words(HEAD)), len(decoder.words(SAFARI)))
    return cache


def ask(decoder, cache):
    \"\"\"The logits of a branch, three tokens long after the question.\"\"\"
    length, told = cache.length, []
    row = decoder.extend(cache, decoder.embed(decoder.words(QUESTION)))[-1]
    for _ in range(3):
        told.append(row)
        row = decoder.extend(cache, decoder.embed([greedy(row).token]))[-1]
    cache.length = length
    return np.stack(told)


def write_where_it_does_not_fit(cache):
    place = {"new.0": cache._engine.keep((2, 2, 3, 64), "float16")}
    one = decoder.embed(decoder.words(PRINTER))[None, :1]
    past = {f"past.{i}": layer.part(0, 0) for i, layer in enumerate(cache._layers)}
    feeds = {"inputs_embeds": one, "positions": np.zeros((1, 1), np.int64), "logit_rows": np.zeros(1, np.int64)}
    try:
        cache._engine.run(feeds | past | {"self_bias": np.zeros((1, 1, 1, 1), np.float32)}, ["logits"], into=place)
    except TensorError as error:
        assert "'new.0' is float16[1, 2, 3, 64], its place is float16[2, 2, 3, 64]" in str(error), error
    else:
        raise SystemExit("what does not fit was written")


decoder = SmallDecoder()
host = listen(decoder)
wanted = ask(decoder, host)
assert decoder.text([greedy(row).token for row in wanted]).startswith(" swordf"), wanted
os.environ["SENSORIUM_BACKEND"] = "tensorrt"
HostCache.run = forbidden
decoder, card = SmallDecoder(), gpu.first_card()
try:
    decoder.new_cache((1 << 20) + 1)
except TensorError as error:
    assert "1048577 tokens is asked for, the plan is for at most 1048576" in str(error)
cache = listen(decoder)
first = ask(decoder, cache)
assert [greedy(row).token for row in first] == [greedy(row).token for row in wanted]
# eight bits on the one side, floats on the other: logits span about 45
assert np.abs(first - wanted).max() < 2, np.abs(first - wanted).max()
kept = np.frombuffer((ctypes.c_uint8 * cache._kept.nbytes).from_address(cache._kept.gpudata), np.float16)
kept = kept.reshape(cache._kept.shape)[:, : cache.length].transpose(0, 2, 3, 1, 4)
there = host.buffers[:, :, 0, :, : host.length]
assert cache.length == host.length
# what the first layer keeps depends on word and position alone
assert np.abs(kept[0].astype(np.float32) - there[0]).max() < 0.05
write_where_it_does_not_fit(cache)
in_two_parts(cache._engine, decoder.embed(decoder.words(PRINTER)), 1e-4)
assert np.linalg.norm(kept - there.astype(np.float32)) < 0.1 * np.linalg.norm(there.astype(np.float32))

# A step carries an embedding, the logits and little else, however much was read.
carried = []
for name in ("copy_to_card", "copy_to_host"):
    def counted(self, one, other, stream, copy=getattr(gpu.CudaDevice, name)):
        carried.append(max(getattr(each, "nbytes", 0) for each in (one, other)))
        copy(self, one, other, stream)

    setattr(gpu.CudaDevice, name, counted)
again = ask(decoder, cache)
assert np.array_equal(again, first), "a branch left something"
assert max(carried) == 4 * 49_152 and sum(carried) < 5 * 250_000, carried

# and of what is only chosen the logits stay
carried.clear()
read = decoder.words(QUESTION)
for row in first:
    choice = decoder.choose(cache, decoder.embed(read))
    told = greedy(row)
    assert choice.token == told.token and abs(choice.log_probability - told.log_probability) < 1e-4, (choice, told)
    read = [choice.token]
assert max(carried) == 4 * 576 * len(decoder.words(QUESTION)), carried
before = card.free_bytes()
nbytes = cache._kept.nbytes
let_go = [cache]
del cache, kept
other = Thread(target=let_go.clear)
other.start()
other.join()
assert card.free_bytes() - before >= nbytes, "a cache that nobody has stays on the card"
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


def run(
    program: str, *arguments: str, library: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a program, over the simulated driver of a folder."""
    path = {"LD_LIBRARY_PATH": str(library)} if library else {}
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_pictures_are_prepared_by_the_card_candidates_alone_leave_it_and_detections_stay(driver: Path) -> None:
    fetch(["nanodet-g", "gui-elements", "ppocrv6-tiny"])
    done = run(PREPARED + PICTURES, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_whisper_s_features_are_made_by_the_card_and_stay_and_its_keys_cross_the_bus_once(driver: Path) -> None:
    fetch(["whisper-base"])
    done = run(PREPARED + SPEECH, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_features_of_voices_are_made_by_the_card_and_voices_stay(driver: Path) -> None:
    fetch(["campplus"])
    done = run(PREPARED + VOICES, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_of_a_line_s_probabilities_only_the_best_path_leaves_the_card_and_text_stays(driver: Path) -> None:
    fetch(["ppocrv6-tiny"])
    done = run(PREPARED + LINES, library=driver)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "leaked" not in done.stderr


def test_what_the_decoder_has_read_stays_on_the_card_and_answers_stay(driver: Path, tmp_path: Path) -> None:
    fetch(["smollm2-135m-instruct"])
    done = run(PREPARED + DECODER, str(tmp_path), library=driver)
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
