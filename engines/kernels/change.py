"""Twin of change.cu: grey, differences per tile, signatures of rows."""

import numpy as np
from numpy.typing import NDArray

from engines.kernels.launch import Array, Buffer, Kernel, Launch, Scalar, blocks

TILE_PX = 32
_SIZE = (Scalar("width", "int32"), Scalar("height", "int32"))

GREY = Kernel(
    "grey_bgra",
    "change.cu",
    (32, 8, 1),
    (
        Buffer("pixels", "uint8", ("height", "pitch")),
        Scalar("pitch", "int32"),
        Buffer("grey", "uint8", ("height", "width"), is_written=True),
        *_SIZE,
    ),
)
DIFFERENCE = Kernel(
    "tile_difference",
    "change.cu",
    (TILE_PX, 8, 1),
    (
        Buffer("before", "uint8", ("height", "width")),
        Buffer("after", "uint8", ("height", "width")),
        *_SIZE,
        Scalar("threshold", "int32"),
        Buffer("largest", "int32", ("rows", "columns"), is_written=True),
        Buffer("changed", "int32", ("rows", "columns"), is_written=True),
        Scalar("columns", "int32"),
        Scalar("rows", "int32"),
    ),
)
SIGNATURES = Kernel(
    "row_signatures",
    "change.cu",
    (32, 1, 1),
    (
        Buffer("grey", "uint8", ("height", "width")),
        Buffer("signatures", "uint32", ("height",), is_written=True),
        *_SIZE,
    ),
)
KERNELS = (GREY, DIFFERENCE, SIGNATURES)


def grey(pixels: Array, result: Array) -> Launch:
    """(height, pitch) uint8 rows of BGRA -> (height, width) uint8. Raises TensorError."""
    height, width = result.shape
    grid = (blocks(width, GREY.block[0]), blocks(height, GREY.block[1]))
    return GREY.launch(grid, pixels, int(pixels.shape[1]), result, int(width), int(height))


def difference(before: Array, after: Array, threshold: int, largest: Array, changed: Array) -> Launch:
    """Two (height, width) uint8 -> per tile the largest difference and the count above `threshold`, int32.

    Results have shape (ceil(height / 32), ceil(width / 32)). Raises TensorError.
    """
    height, width = before.shape
    rows, columns = blocks(int(height), TILE_PX), blocks(int(width), TILE_PX)
    return DIFFERENCE.launch(
        (columns, rows), before, after, int(width), int(height), threshold, largest, changed, columns, rows
    )


def signatures(grey: Array, result: Array) -> Launch:
    """(height, width) uint8 -> (height,) uint32, equal for equal rows. Raises TensorError."""
    height, width = grey.shape
    return SIGNATURES.launch((int(height),), grey, result, int(width), int(height))


def reference_grey(pixels: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """As `grey`."""
    b, g, r = (pixels[:, channel : 4 * width : 4].astype(np.int64) for channel in range(3))
    return ((b * 3735 + g * 19235 + r * 9798 + (1 << 14)) >> 15).astype(np.uint8)


def reference_difference(
    before: NDArray[np.uint8], after: NDArray[np.uint8], threshold: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """As `difference`."""
    height, width = before.shape
    padding = ((0, -height % TILE_PX), (0, -width % TILE_PX))
    off = np.pad(np.abs(before.astype(np.int32) - after), padding)
    tiles = off.reshape(off.shape[0] // TILE_PX, TILE_PX, off.shape[1] // TILE_PX, TILE_PX)
    return tiles.max(axis=(1, 3)), (tiles > threshold).sum(axis=(1, 3)).astype(np.int32)


def reference_signatures(grey: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """As `signatures`."""
    weights = np.arange(grey.shape[1], dtype=np.uint32) * np.uint32(2654435761) | np.uint32(1)
    sums: NDArray[np.uint32] = ((grey.astype(np.uint32) + np.uint32(1)) * weights).sum(axis=1, dtype=np.uint32)
    return sums
