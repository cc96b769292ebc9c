"""Runners of the kernels on the CPU, compiled once, and launches of every kernel with its reference."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.cache import cache_root
from engines.fetch import fetch
from engines.kernels import change, heads, letterbox, past, spectrum
from engines.kernels.build import FOLDER
from engines.kernels.cases import Case, candidates_case
from engines.kernels.simulator import Runner
from tests.conftest import DATA


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """A part of a slide, (height, width, 3) BGR."""
    whole = cv2.imread(str(DATA / "slide.png"))
    return np.ascontiguousarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))


def bgra_rows(bgr: NDArray[np.uint8], pitch: int) -> NDArray[np.uint8]:
    """Rows of BGRA, each `pitch` bytes long."""
    height, width = bgr.shape[:2]
    rows = np.full((height, pitch), 0xAB, np.uint8)
    rows[:, : 4 * width] = cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA).reshape(height, 4 * width)
    return rows


def nv12_planes(bgr: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Luma (height, width) and chroma (height / 2, width)."""
    height, width = bgr.shape[:2]
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma = planar[: height * width].reshape(height, width)
    u, v = planar[height * width :].reshape(2, -1)
    return luma.copy(), np.stack([u, v], axis=1).reshape(height // 2, width)


MEAN = (0.485, 0.456, 0.406)


def _letterbox(source: str, dtype: str) -> Case:
    width, height = 70, 38
    box = letterbox.Letterbox(width, height, 52, 49, 114.0, MEAN, (1 / 0.229, 1 / 0.224, 1 / 0.225))
    bgr = picture(height, width)
    planes = np.zeros((3, 49, 52), dtype)
    # Half precision: 11 bits of values up to 2.7.
    tolerance = 2e-5 if dtype == "float32" else 1.5e-3
    if source == "bgra":
        rows = bgra_rows(bgr, 4 * width + 24)
        return Case(box.bgra(rows, planes), (box.reference(bgr[..., ::-1].astype(float)),), tolerance)
    luma, chroma = nv12_planes(bgr)
    rgb = letterbox.rgb_of_nv12(luma, chroma, width)
    return Case(box.nv12(luma, chroma, planes), (box.reference(rgb),), tolerance)


def _in_order() -> Case:
    """Made smaller by means, at the left top, its edge going on."""
    look = (MEAN, (1 / 0.229, 1 / 0.224, 1 / 0.225))
    box = letterbox.Letterbox(71, 39, 52, 49, 0.0, *look, place=(0, 0, 47, 26), averages=True, repeats_edge=True)
    bgr = picture(39, 71)
    planes = np.zeros((3, 49, 52), np.float32)
    return Case(box.in_order(bgr.reshape(39, 213), planes), (box.reference(bgr.astype(float)),), 2e-5)


def grey_pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A grey picture of no whole number of tiles, and the same with a change."""
    before = np.ascontiguousarray(picture(75, 107)[..., 1])
    after = before.copy()
    after[40:44, 60:90] = 255 - after[40:44, 60:90]
    after[74, 106] ^= 0x55
    return before, after


def _grey() -> Case:
    bgr = picture(37, 45)
    rows = bgra_rows(bgr, 200)
    return Case(change.grey(rows, np.zeros((37, 45), np.uint8)), (cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),))


def _difference() -> Case:
    before, after = grey_pair()
    largest, changed = np.zeros((2, 3, 4), np.int32)
    return Case(change.difference(before, after, 8, largest, changed), change.reference_difference(before, after, 8))


def _signatures() -> Case:
    before, _ = grey_pair()
    return Case(change.signatures(before, np.zeros(75, np.uint32)), (change.reference_signatures(before),))


def mel_filters(size: int, mels: int) -> NDArray[np.float32]:
    """Slaney's filters (mels, size / 2 + 1) for 16 kHz."""
    import librosa

    filters: NDArray[np.float32] = librosa.filters.mel(sr=16_000, n_fft=size, n_mels=mels).astype(np.float32)
    return filters


@cache
def whisper_spectrum() -> spectrum.Spectrum:
    """Frames of 400 samples, 80 mels."""
    return spectrum.Spectrum(400, 160, np.hanning(401)[:-1].astype(np.float32), mel_filters(400, 80))


def _log_mel(speech: NDArray[np.int16]) -> Case:
    kind = whisper_spectrum()
    sound = speech[8_000:9_100].copy()
    features = np.zeros((7, 80), np.float32)
    launch = kind.launch(sound, -200, kind.tables(), features)
    return Case(launch, (kind.reference(sound, -200, 7),), 2e-3)


def _rows(dtype: str, rows: int = 5, columns: int = 301) -> NDArray[np.generic]:
    random = np.random.default_rng(3)
    if dtype == "int8":
        return random.integers(-128, 128, (rows, columns)).astype(np.int8)
    values = (4 * random.standard_normal((rows, columns))).astype(dtype)
    values[1, 7] = values[1, 200] = values[1].max()  # equal ones: the first counts
    return values


def _top_k(dtype: str) -> Case:
    scores = _rows(dtype)
    launch = heads.top_k(scores, np.zeros((5, 9), np.float32), np.zeros((5, 9), np.int32))
    return Case(launch, heads.reference_top_k(scores, 9))


def _best_class(dtype: str) -> Case:
    logits = _rows(dtype)
    launch = heads.best_class(logits, np.zeros(5, np.int32), np.zeros(5, np.float32))
    return Case(launch, heads.reference_best_class(logits), 1e-5)


def _column() -> Case:
    scores = np.ascontiguousarray(_rows("float32").T)
    return Case(heads.column(scores, 3, np.zeros(301, np.float32)), (scores[:, 3],))


def _candidates() -> Case:
    """More cells than the block looks at in one turn."""
    scores = np.ascontiguousarray(np.concatenate([_rows("float32").T] * 4))
    return candidates_case(scores, np.ascontiguousarray(scores[::-1, :4]), 3, 6.0)


def _drop_past() -> Case:
    kept = _rows("float16", 21, 3 * 2 * 3 * 16).reshape(3, 21, 2, 3, 16)
    dropped = (1e5, 2, 5, 19)
    # numbers up to 16 in 11 bits
    return Case(past.drop_past(kept, *dropped), (past.reference_drop_past(kept, *dropped),), 8e-3)


def _normalise(dtype: str) -> Case:
    values = _rows(dtype)
    launch = heads.normalise_rows(values, 0.05, 1e-5, np.zeros(values.shape, np.float32))
    return Case(launch, (heads.reference_normalise(values, 0.05, 1e-5),), 1e-5)


def _largest() -> Case:
    values = np.ascontiguousarray(_rows("float32")[:, :80])
    return Case(spectrum.largest(values, np.zeros(1, np.float32)), (values.max(keepdims=True)[0],))


def _whisper_scale() -> Case:
    values = np.ascontiguousarray(5 * _rows("float32")[:, :80])
    most = values.max(keepdims=True)[0]
    launch = spectrum.whisper_scale(values, most, np.zeros((80, 150), np.float32))
    return Case(launch, (spectrum.reference_whisper_scale(values, float(most[0]), 150),), 1e-5)


def _chosen() -> Case:
    features = np.ascontiguousarray(_rows("float32", 200)[:, :80])
    rows = np.arange(3, 200, 1, np.int32)
    launch = spectrum.chosen_less_mean(features, rows, np.zeros((197, 80), np.float32))
    return Case(launch, (spectrum.reference_chosen_less_mean(features, rows),), 1e-5)


CASES: dict[str, Callable[..., Case]] = {
    "letterbox_bgra_f32": lambda: _letterbox("bgra", "float32"),
    "letterbox_bgra_f16": lambda: _letterbox("bgra", "float16"),
    "letterbox_nv12_f32": lambda: _letterbox("nv12", "float32"),
    "letterbox_nv12_f16": lambda: _letterbox("nv12", "float16"),
    "letterbox_in_order_f32": _in_order,
    "grey_bgra": _grey,
    "tile_difference": _difference,
    "row_signatures": _signatures,
    "largest_f32": _largest,
    "whisper_scale": _whisper_scale,
    "chosen_less_mean": _chosen,
    "top_k_f32": lambda: _top_k("float32"),
    "top_k_f16": lambda: _top_k("float16"),
    "best_class_f32": lambda: _best_class("float32"),
    "best_class_f16": lambda: _best_class("float16"),
    "column_f32": _column,
    "candidates_f32": _candidates,
    "drop_past_f16": _drop_past,
    "normalise_rows_i8": lambda: _normalise("int8"),
    "normalise_rows_f16": lambda: _normalise("float16"),
}
KERNELS = {kernel.name: kernel for room in (letterbox, change, spectrum, heads, past) for kernel in room.KERNELS}


def linked_cache(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make `folder` a cache with links to the models of the one in use, and without plans."""
    for model in cache_root().iterdir():
        if model.name not in ("plans", "plain"):
            (folder / model.name).symlink_to(model)
    patch.setenv("SENSORIUM_MODELS", str(folder))
    return folder


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of a test's own with the small models."""
    fetch(["silero-vad", "gui-elements"])
    return linked_cache(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def case(speech_s16: NDArray[np.int16]) -> Callable[[str], Case]:
    """The case of a kernel by its name."""

    def find(name: str) -> Case:
        return _log_mel(speech_s16) if name == "log_mel_s16" else CASES[name]()

    return find


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Runner]:
    """The runner of a source file under a sanitizer."""
    folder = tmp_path_factory.mktemp("kernels")

    @cache
    def build(source: str, sanitizer: str) -> Runner:
        return Runner.build(FOLDER / source, folder, sanitizer)

    return build


@pytest.fixture
def mutant(tmp_path: Path) -> Callable[[str, str, str], Path]:
    """A copy of a source file with one text replaced by another."""

    def make(source: str, old: str, new: str) -> Path:
        text = (FOLDER / source).read_text()
        assert text.count(old) >= 1, f"{source} has no {old!r}"
        path = tmp_path / source
        path.write_text(text.replace(old, new, 1))
        return path

    return make
