"""Twin of heads.cu: best classes, largest entries, one column, candidates of detectors, normal rows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engines.engine import TensorError
from engines.kernels.launch import Array, Buffer, Kernel, Launch, Scalar, blocks

MAX_COUNT = 64
_SIZE = (Scalar("rows", "int32"), Scalar("columns", "int32"))
_SHORT = {"float32": "f32", "float16": "f16", "int8": "i8"}


def _top_k(dtype: str) -> Kernel:
    parameters = (
        Buffer("scores", dtype, ("rows", "columns")),
        Buffer("values", "float32", ("rows", "count"), is_written=True),
        Buffer("indices", "int32", ("rows", "count"), is_written=True),
        *_SIZE,
        Scalar("count", "int32"),
    )
    return Kernel(f"top_k_{_SHORT[dtype]}", "heads.cu", (128, 1, 1), parameters)


def _best_class(dtype: str) -> Kernel:
    parameters = (
        Buffer("logits", dtype, ("rows", "columns")),
        Buffer("classes", "int32", ("rows",), is_written=True),
        Buffer("log_probabilities", "float32", ("rows",), is_written=True),
        *_SIZE,
    )
    return Kernel(f"best_class_{_SHORT[dtype]}", "heads.cu", (128, 1, 1), parameters)


def _normalise(dtype: str) -> Kernel:
    parameters = (
        Buffer("values", dtype, ("rows", "columns")),
        Scalar("scale", "float32"),
        Scalar("epsilon", "float32"),
        Buffer("normal", "float32", ("rows", "columns"), is_written=True),
        *_SIZE,
    )
    return Kernel(f"normalise_rows_{_SHORT[dtype]}", "heads.cu", (32, 1, 1), parameters)


_TOP_K = {dtype: _top_k(dtype) for dtype in ("float32", "float16")}
_BEST_CLASS = {dtype: _best_class(dtype) for dtype in ("float32", "float16")}
_NORMALISE = {dtype: _normalise(dtype) for dtype in ("int8", "float16")}
_COLUMN = Kernel(
    "column_f32",
    "heads.cu",
    (128, 1, 1),
    (
        Buffer("scores", "float32", ("rows", "columns")),
        Scalar("index", "int32"),
        Buffer("values", "float32", ("rows",), is_written=True),
        *_SIZE,
    ),
)
_CANDIDATES = Kernel(
    "candidates_f32",
    "heads.cu",
    (1024, 1, 1),
    (
        Buffer("scores", "float32", ("rows", "columns")),
        Buffer("edges", "float32", ("rows", "sides")),
        Scalar("classes", "int32"),
        Scalar("threshold", "float32"),
        Scalar("first_cell", "int32"),
        Buffer("cells", "int32", ("room",), is_written=True),
        Buffer("chosen_scores", "float32", ("room", "columns"), is_written=True),
        Buffer("chosen_edges", "float32", ("room", "sides"), is_written=True),
        Buffer("count", "int32", (1,), is_written=True),
        *_SIZE,
        Scalar("sides", "int32"),
        Scalar("room", "int32"),
    ),
)
KERNELS = (*_TOP_K.values(), *_BEST_CLASS.values(), _COLUMN, _CANDIDATES, *_NORMALISE.values())


def top_k(scores: Array, values: Array, indices: Array) -> Launch:
    """(rows, columns) float32 or float16 -> the largest `count` of each row, falling; of equal ones the first.

    Results are (rows, count) float32 and int32, count <= 64 and <= columns. Raises TensorError.
    """
    (rows, columns), count = scores.shape, int(values.shape[1])
    if not count <= min(MAX_COUNT, columns):
        raise TensorError(f"top_k: {count} entries asked for, at most {min(MAX_COUNT, columns)} can be had")
    return _of(_TOP_K, scores).launch((int(rows),), scores, values, indices, int(rows), int(columns), count)


def best_class(logits: Array, classes: Array, log_probabilities: Array) -> Launch:
    """(rows, columns) float32 or float16 -> (rows,) int32 and float32 after softmax. Raises TensorError."""
    rows, columns = logits.shape
    kernel = _of(_BEST_CLASS, logits)
    return kernel.launch((int(rows),), logits, classes, log_probabilities, int(rows), int(columns))


def column(scores: Array, index: int, values: Array) -> Launch:
    """(rows, columns) float32 -> (rows,), the entries of one column. Raises TensorError."""
    rows, columns = (int(size) for size in scores.shape)
    if not 0 <= index < columns:
        raise TensorError(f"column: {index} is none of the {columns} columns")
    return _COLUMN.launch((blocks(rows, _COLUMN.block[0]),), scores, index, values, rows, columns)


def candidates(
    scores: Array, edges: Array, classes: int, threshold: float, first_cell: int, chosen: Sequence[Array], count: Array
) -> Launch:
    """Rows of `scores` (rows, columns) whose best of the first `classes` is >= `threshold`, with those of `edges`.

    They are appended to `chosen`: their numbers from `first_cell` on (room,) int32, scores (room, columns) and edges
    (room, sides) float32; `count` (1,) int32 says how many there are and goes up. What finds no room is left out.
    Raises TensorError.
    """
    (rows, columns), sides, room = scores.shape, int(edges.shape[1]), int(chosen[0].shape[0])
    if not 1 <= classes <= columns:
        raise TensorError(f"candidates: {classes} classes of {columns} columns, must be 1 to {columns}")
    sizes = (int(rows), int(columns), sides, room)
    return _CANDIDATES.launch((1,), scores, edges, classes, threshold, first_cell, *chosen, count, *sizes)


def normalise_rows(values: Array, scale: float, epsilon: float, normal: Array) -> Launch:
    """(rows, columns) int8 or float16, times `scale` -> rows of mean 0 and variance 1, float32.

    Raises TensorError.
    """
    rows, columns = values.shape
    kernel = _of(_NORMALISE, values)
    return kernel.launch((int(rows),), values, scale, epsilon, normal, int(rows), int(columns))


def _of(kernels: dict[str, Kernel], array: Array) -> Kernel:
    """The kernel for the array's number format; another format is refused by its check."""
    return kernels.get(np.dtype(array.dtype).name, next(iter(kernels.values())))


def reference_top_k(scores: NDArray[np.floating], count: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """As `top_k`."""
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, axis=1).astype(np.float32), order.astype(np.int32)


def reference_best_class(logits: NDArray[np.floating]) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """As `best_class`."""
    wide = logits.astype(np.float64)
    best = wide.max(axis=1)
    total = np.log(np.exp(wide - best[:, None]).sum(axis=1))
    return wide.argmax(axis=1).astype(np.int32), -total


def reference_candidates(
    scores: NDArray[np.float32], edges: NDArray[np.float32], classes: int, threshold: float
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """What `candidates` appends where there is room, from cell 0 on."""
    cells = np.flatnonzero(scores[:, :classes].max(axis=1) >= threshold).astype(np.int32)
    return cells, scores[cells], edges[cells]


def reference_normalise(values: NDArray[np.generic], scale: float, epsilon: float) -> NDArray[np.float64]:
    """As `normalise_rows`."""
    wide = values.astype(np.float64) * scale
    off = wide - wide.mean(axis=1, keepdims=True)
    normal: NDArray[np.float64] = off / np.sqrt((off**2).mean(axis=1, keepdims=True) + epsilon)
    return normal
