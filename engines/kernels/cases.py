"""One checked launch of every kernel with what it must write: for the self-test on a card."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.kernels import change, heads, past
from engines.kernels.launch import Launch
from engines.kernels.letterbox import Letterbox, rgb_of_nv12
from engines.kernels.spectrum import (
    Spectrum,
    chosen_less_mean,
    largest,
    reference_chosen_less_mean,
    reference_whisper_scale,
    whisper_scale,
)

# Neighbours in noise differ by up to 255 levels, so the rounding of a place shows. Half: 11 bits of values up to 2.7.
_TOLERANCE = {"float32": 5e-4, "float16": 2e-3}


@dataclass(frozen=True, slots=True)
class Case:
    """A launch over arrays of the host, what it must write in the kernel's order, and by how much it may be off."""

    launch: Launch
    expected: tuple[NDArray[np.generic], ...]
    tolerance: float = 0.0

    def error(self, written: tuple[NDArray[np.generic], ...]) -> float:
        """Largest difference of what was written."""
        pairs = zip(written, self.expected, strict=True)
        return max(float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max()) for got, want in pairs)


def cases() -> list[Case]:
    """Every kernel once, on noise of a fixed seed and odd sizes."""
    random = np.random.default_rng(0)
    return [*_pictures(random), *_changes(random), *_sound(random), *_heads(random), *_past(random)]


def _pictures(random: np.random.Generator) -> list[Case]:
    width, height = 642, 358
    box = Letterbox(width, height, 416, 417, 114.0, (0.485, 0.456, 0.406), (4.37, 4.46, 4.44))
    pixels = random.integers(0, 256, (height, 4 * width + 24), np.uint8)
    luma = random.integers(0, 256, (height, width), np.uint8)
    chroma = random.integers(0, 256, (height // 2, width), np.uint8)
    rgb = pixels[:, : 4 * width].reshape(height, width, 4)[..., 2::-1].astype(np.float64)
    made = []
    for dtype, tolerance in _TOLERANCE.items():
        planes = np.zeros((3, 417, 416), dtype)
        made.append(Case(box.bgra(pixels, planes), (box.reference(rgb),), tolerance))
        expected = box.reference(rgb_of_nv12(luma, chroma, width))
        made.append(Case(box.nv12(luma, chroma, planes), (expected,), tolerance))
    for averages in (False, True):
        size = (0, 0, 401, 223)
        box = Letterbox(width, height, 416, 256, 114.0, place=size, averages=averages, repeats_edge=averages)
        rows = np.ascontiguousarray(pixels[:, : 3 * width])
        expected = box.reference(rows.reshape(height, width, 3).astype(np.float64))
        made.append(Case(box.in_order(rows, np.zeros((3, 256, 416), np.float32)), (expected,), _TOLERANCE["float32"]))
    return made


def _changes(random: np.random.Generator) -> list[Case]:
    pixels = random.integers(0, 256, (75, 4 * 107 + 12), np.uint8)
    before = change.reference_grey(pixels, 107)
    after = before.copy()
    after[40:44, 60:90] = 255 - after[40:44, 60:90]
    largest, changed = np.zeros((2, 3, 4), np.int32)
    return [
        Case(change.grey(pixels, np.zeros_like(before)), (before,)),
        Case(change.difference(before, after, 8, largest, changed), change.reference_difference(before, after, 8)),
        Case(change.signatures(before, np.zeros(75, np.uint32)), (change.reference_signatures(before),)),
    ]


def _sound(random: np.random.Generator) -> list[Case]:
    filters = (np.clip(random.standard_normal((80, 201)), 0, None) / 100).astype(np.float32)
    kind = Spectrum(400, 160, np.hanning(401)[:-1].astype(np.float32), filters)
    sound = random.integers(-8000, 8000, 1100).astype(np.int16)
    launch = kind.launch(sound, -200, kind.tables(), np.zeros((7, 80), np.float32))
    log_mel = kind.reference(sound, -200, 7)
    given, most = log_mel.astype(np.float32), log_mel.max(keepdims=True)[0].astype(np.float32)
    features = np.zeros((80, 150), np.float32)
    chosen = np.array([0, 2, 3, 6], np.int32)
    rest = reference_chosen_less_mean(given, chosen)
    scaled = reference_whisper_scale(log_mel, log_mel.max(), 150)
    return [
        Case(launch, (log_mel,), 2e-3),
        Case(largest(given, np.zeros(1, np.float32)), (most,)),
        Case(whisper_scale(given, most, features), (scaled,), 1e-5),
        Case(chosen_less_mean(given, chosen, np.zeros((4, 80), np.float32)), (rest,), 1e-5),
    ]


def _heads(random: np.random.Generator) -> list[Case]:
    made = []
    for dtype in _TOLERANCE:
        rows = (4 * random.standard_normal((5, 301))).astype(dtype)
        values, indices = np.zeros((5, 9), np.float32), np.zeros((5, 9), np.int32)
        made.append(Case(heads.top_k(rows, values, indices), heads.reference_top_k(rows, 9)))
        classes, probabilities = np.zeros(5, np.int32), np.zeros(5, np.float32)
        made.append(Case(heads.best_class(rows, classes, probabilities), heads.reference_best_class(rows), 1e-5))
    for rows in (random.integers(-128, 128, (5, 301)).astype(np.int8), made[-1].launch.arguments[0]):
        normal = np.zeros(rows.shape, np.float32)
        expected = heads.reference_normalise(rows, 0.05, 1e-5)
        made.append(Case(heads.normalise_rows(rows, 0.05, 1e-5, normal), (expected,), 1e-4))
    scores = random.standard_normal((301, 5)).astype(np.float32)
    made.append(Case(heads.column(scores, 3, np.zeros(301, np.float32)), (scores[:, 3],)))
    # more cells than one turn of the block takes
    scores, edges = (random.standard_normal((1_100, columns)).astype(np.float32) for columns in (5, 4))
    return [*made, candidates_case(scores, edges, 3, 1.5)]


def candidates_case(scores: NDArray[np.float32], edges: NDArray[np.float32], classes: int, threshold: float) -> Case:
    """`heads.candidates` behind two that are there, counted from cell 100 on, with room for all."""
    (rows, columns), sides = scores.shape, edges.shape[1]
    sizes = ((rows + 2,), (rows + 2, columns), (rows + 2, sides))
    chosen = [np.zeros(size, dtype) for size, dtype in zip(sizes, (np.int32, np.float32, np.float32), strict=True)]
    wanted = heads.reference_candidates(scores, edges, classes, threshold)
    expected, end = [array.copy() for array in chosen], 2 + len(wanted[0])
    for array, values in zip(expected, (wanted[0] + 100, *wanted[1:]), strict=True):
        array[2:end] = values
    count = np.array([2], np.int32)
    launch = heads.candidates(scores, edges, classes, threshold, 100, chosen, count)
    return Case(launch, (*expected, np.array([end], np.int32)))


def _past(random: np.random.Generator) -> list[Case]:
    kept = random.standard_normal((3, 50, 2, 3, 64)).astype(np.float16)
    dropped = (1e5, 4, 9, 41)
    # numbers up to 4 in 11 bits
    return [Case(past.drop_past(kept, *dropped), (past.reference_drop_past(kept, *dropped),), 2e-3)]
