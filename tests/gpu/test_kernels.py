"""Kernels on the CPU: right within their tolerance in any order of threads, without races or steps outside."""

from collections.abc import Callable
from pathlib import Path

import cv2
import kaldi_native_fbank as knf
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.engine import TensorError
from engines.kernels import change, heads, letterbox, spectrum
from engines.kernels.build import FOLDER, SOURCES
from engines.kernels.simulator import Runner, SimulatedPlace, SimulationError
from engines.pictures import Picture
from tests.gpu.conftest import KERNELS, MEAN, Case, bgra_rows, mel_filters, nv12_planes, picture, whisper_spectrum

Cases = Callable[[str], Case]
Runners = Callable[[str, str], Runner]
ORDERS = (0, 1, 7)


def test_every_source_has_its_kernels_in_its_twin() -> None:
    registered = {
        line.removeprefix("REGISTER_KERNEL(").rstrip(")")
        for source in SOURCES
        for line in (FOLDER / source).read_text().splitlines()
        if line.startswith("REGISTER_KERNEL(")
    }
    assert registered == set(KERNELS)
    assert {path.name for path in FOLDER.glob("*.cu")} == set(SOURCES)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_gives_what_its_reference_gives(case: Cases, runner: Runners, name: str, order: int) -> None:
    wanted = case(name)
    results = runner(KERNELS[name].source, "none").run(wanted.launch, order)
    assert len(results) == len(wanted.expected)
    for result, expected in zip(results, wanted.expected, strict=True):
        assert np.abs(result.astype(np.float64) - expected.astype(np.float64)).max() <= wanted.tolerance


@pytest.mark.parametrize("sanitizer", ["address", "thread"])
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_has_no_race_and_no_step_outside(case: Cases, runner: Runners, name: str, sanitizer: str) -> None:
    runner(KERNELS[name].source, sanitizer).run(case(name).launch)


RACE = ("__syncthreads();", "")
MUTANTS = [
    ("tile_difference", RACE, "thread", "data race"),
    ("log_mel_s16", RACE, "thread", "data race"),
    ("top_k_f32", RACE, "thread", "data race"),
    ("best_class_f32", RACE, "thread", "data race"),
    ("letterbox_bgra_f32", ("x >= out_width", "x > out_width"), "address", "heap-buffer-overflow"),
    ("letterbox_nv12_f32", ("min(x0 + 1, width - 1)", "x0 + 2"), "address", "heap-buffer-overflow"),
    ("letterbox_in_order_f32", ("min(int(ceilf(bottom)), height)", "height + 1"), "address", "heap-buffer-overflow"),
    ("grey_bgra", ("y >= height) return", "y > height) return"), "address", "heap-buffer-overflow"),
    ("tile_difference", ("y < height", "y <= height"), "address", "heap-buffer-overflow"),
    ("row_signatures", ("x < width; x += 32", "x <= width; x += 32"), "address", "heap-buffer-overflow"),
    ("log_mel_s16", ("at < samples", "at <= samples"), "address", "heap-buffer-overflow"),
    ("log_mel_s16", ("power[MAX_SIZE / 2 + 1]", "power[200]"), "address", "out of bounds"),
    ("largest_f32", ("i < rows * columns", "i <= rows * columns"), "address", "heap-buffer-overflow"),
    ("whisper_scale", ("frame >= all_frames", "frame > all_frames"), "address", "heap-buffer-overflow"),
    ("chosen_less_mean", ("i < chosen", "i <= chosen"), "address", "heap-buffer-overflow"),
    ("top_k_f32", ("i < columns; i += THREADS", "i <= columns; i += THREADS"), "address", "heap-buffer-overflow"),
    ("column_f32", ("row < rows) values", "row <= rows) values"), "address", "heap-buffer-overflow"),
    ("candidates_f32", ("is_one;\n    __syncthreads();", "is_one;"), "thread", "data race"),
    ("candidates_f32", ("row < rows && i", "row <= rows && i"), "address", "heap-buffer-overflow"),
    ("drop_past_f16", ("at < length - count", "at < length"), "address", "heap-buffer-overflow"),
    ("normalise_rows_i8", ("i < columns; i += WARP) normal", "i <= columns; i += WARP) normal"), "address", "overflow"),
]


@pytest.mark.parametrize(("name", "change", "sanitizer", "complaint"), MUTANTS)
def test_a_broken_kernel_is_caught(
    case: Cases,
    mutant: Callable[[str, str, str], Path],
    tmp_path: Path,
    name: str,
    change: tuple[str, str],
    sanitizer: str,
    complaint: str,
) -> None:
    broken = Runner.build(mutant(KERNELS[name].source, *change), tmp_path, sanitizer)
    with pytest.raises(SimulationError, match=complaint):
        broken.run(case(name).launch)


def test_threads_of_a_warp_that_part_are_caught(
    case: Cases, mutant: Callable[[str, str, str], Path], tmp_path: Path
) -> None:
    early = mutant("change.cu", "uint32_t sum = 0;", "if (lane == 3) return; uint32_t sum = 0;")
    with pytest.raises(SimulationError, match="have returned"):
        Runner.build(early, tmp_path).run(case("row_signatures").launch)


# -- beside the field's own libraries ------------------------------------------------------------------


def test_letterbox_is_opencv_s_within_one_grey_level(runner: Runners) -> None:
    bgr = picture(182, 322)
    box = letterbox.Letterbox(322, 182, 160, 160)
    left, top, width, height = box.inner
    (planes,) = runner("letterbox.cu", "none").run(
        box.bgra(bgra_rows(bgr, 4 * 322), np.zeros((3, 160, 160), np.float32))
    )
    resized = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)[..., ::-1]
    inside = 255 * planes.transpose(1, 2, 0)[top : top + height, left : left + width]
    assert np.abs(inside - resized).max() <= 1.0
    assert np.allclose(planes[:, 0, 0], 114 / 255)


@pytest.mark.parametrize("averages", [False, True])
def test_a_picture_on_the_card_is_opencv_s_within_one_grey_level(runner: Runners, averages: bool) -> None:
    bgr = picture(183, 322)
    image = Picture(bgr, (197, 109), (224, 128), averages=averages, fill=None if averages else 114)

    place = SimulatedPlace({"letterbox.cu": runner("letterbox.cu", "none")}, {})
    image.on_card(place)
    assert np.abs(place.made[""] - image.on_host()[0]).max() <= 1.0


def test_nv12_is_opencv_s_within_two_grey_levels(runner: Runners) -> None:
    bgr = picture(64, 96)
    luma, chroma = nv12_planes(bgr)
    box = letterbox.Letterbox(96, 64, 96, 64, mean=MEAN)
    (planes,) = runner("letterbox.cu", "none").run(box.nv12(luma, chroma, np.zeros((3, 64, 96), np.float32)))
    rgb = cv2.cvtColor(np.concatenate([luma, chroma]), cv2.COLOR_YUV2RGB_NV12)
    assert np.abs((planes + np.array(MEAN)[:, None, None]) * 255 - rgb.transpose(2, 0, 1)).max() <= 2.0


def test_log_mel_is_librosa_s(runner: Runners, speech_s16: NDArray[np.int16]) -> None:
    import librosa

    sound = speech_s16[:16_000].copy()
    kind = whisper_spectrum()
    (ours,) = runner("spectrum.cu", "none").run(kind.launch(sound, 0, kind.tables(), np.zeros((98, 80), np.float32)))
    theirs = librosa.feature.melspectrogram(
        y=sound / np.float32(32_768), sr=16_000, n_fft=400, hop_length=160, center=False, n_mels=80
    )
    assert np.abs(ours.T - np.log(np.maximum(theirs, 1e-10))[:, :98]).max() < 5e-3


def test_fbank_is_kaldi_s(runner: Runners, speech_s16: NDArray[np.int16]) -> None:
    sound = speech_s16[8_000:24_000].copy()
    kind = spectrum.kaldi_fbank()
    (ours,) = runner("spectrum.cu", "none").run(kind.launch(sound, 0, kind.tables(), np.zeros((98, 80), np.float32)))
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 80
    options.frame_opts.samp_freq = 16_000
    extractor = knf.OnlineFbank(options)
    extractor.accept_waveform(16_000, sound.astype(np.float32))
    extractor.input_finished()
    theirs = np.stack([extractor.get_frame(i) for i in range(98)])
    assert np.abs(ours - theirs).max() < 5e-3


def test_scrolled_rows_keep_their_signature(runner: Runners) -> None:
    grey = np.ascontiguousarray(picture(120, 64)[..., 0])
    run = runner("change.cu", "none").run
    (here,), (there,) = (
        run(change.signatures(np.ascontiguousarray(part), np.zeros(100, np.uint32))) for part in (grey[:100], grey[20:])
    )
    assert (here[20:] == there[:80]).all() and len(set(here.tolist())) > 30


def test_candidates_that_find_no_room_are_left_out(runner: Runners) -> None:
    scores, edges = np.ones((9, 2), np.float32), np.ones((9, 4), np.float32)
    chosen = np.zeros(4, np.int32), np.zeros((4, 2), np.float32), np.zeros((4, 4), np.float32)
    launch = heads.candidates(scores, edges, 2, 0.5, 0, chosen, np.zeros(1, np.int32))
    cells, *_, count = runner("heads.cu", "address").run(launch)
    assert cells.tolist() == [0, 1, 2, 3] and count.tolist() == [4]


# -- what must not reach the driver ---------------------------------------------------------------------

F32, I32 = np.float32, np.int32


@pytest.mark.parametrize(
    ("scores", "values", "indices", "sentence"),
    [
        (np.zeros((4, 9), np.float64), np.zeros((4, 2), F32), np.zeros((4, 2), I32), "scores is float64"),
        (np.zeros((4, 9), F32), np.zeros((4, 2), F32), np.zeros((4, 2), np.int64), "indices is int64"),
        (np.zeros((4, 9), F32), np.zeros((4, 2), F32), np.zeros((3, 2), I32), "rows is 3, must be 4"),
        (np.zeros((4, 9), F32), np.zeros((4, 10), F32), np.zeros((4, 10), I32), "at most 9"),
        (np.zeros((9, 4), F32).T, np.zeros((4, 2), F32), np.zeros((4, 2), I32), "not contiguous"),
        (np.zeros((0, 9), F32), np.zeros((0, 2), F32), np.zeros((0, 2), I32), "grid"),
    ],
)
def test_misfit_arrays_are_refused_before_the_launch(
    scores: NDArray[np.generic], values: NDArray[np.generic], indices: NDArray[np.generic], sentence: str
) -> None:
    with pytest.raises(TensorError, match=sentence):
        heads.top_k(scores, values, indices)


@pytest.mark.parametrize(
    ("threshold", "sentence"),
    [(2**31, "threshold"), (1.5, "threshold"), (np.int64(3), "int64"), (True, "number"), ("8", "number")],
)
def test_misfit_numbers_are_refused_before_the_launch(threshold: object, sentence: str) -> None:
    before, results = np.zeros((64, 64), np.uint8), np.zeros((2, 2, 2), np.int32)
    with pytest.raises(TensorError, match=sentence):
        change.difference(before, before, threshold, *results)  # type: ignore[arg-type]


def test_a_transform_longer_than_shared_memory_is_refused() -> None:
    with pytest.raises(TensorError, match="512"):
        spectrum.Spectrum(1024, 160, np.ones(1024, np.float32), mel_filters(1024, 80))
