"""Twin of past.cu: what a decoder keeps of the tokens that it has read."""

import numpy as np
from numpy.typing import NDArray

from engines.engine import TensorError
from engines.kernels.launch import Array, Buffer, Kernel, Launch, Scalar, blocks

DROP_PAST = Kernel(
    "drop_past_f16",
    "past.cu",
    (64, 1, 1),
    (
        Buffer("past", "float16", ("layers", "capacity", "kinds", "heads", "channels"), is_written=True),
        Scalar("base", "float32"),
        Scalar("first", "int32"),
        Scalar("count", "int32"),
        Scalar("length", "int32"),
        Scalar("layers", "int32"),
        Scalar("capacity", "int32"),
        Scalar("kinds", "int32"),
        Scalar("heads", "int32"),
        Scalar("channels", "int32"),
    ),
)
KERNELS = (DROP_PAST,)


def drop_past(past: Array, base: float, first: int, count: int, length: int) -> Launch:
    """Forget the positions [first, first + count) of `length` and move what follows up to them, in place.

    `past` is float16 (layers, capacity, 2, heads, channels), keys before values; keys were turned by their position
    (RoPE with this base, its two halves one after the other) and are turned to the new one. Raises TensorError.
    """
    layers, capacity, kinds, heads, channels = (int(size) for size in past.shape)
    if kinds != 2 or channels % 2:
        raise TensorError(f"past is {list(past.shape)}, its third axis must be 2, its last one even")
    if not 0 <= first <= first + count <= length <= capacity:
        raise TensorError(f"cannot drop [{first}, {first + count}) of {length} positions, there is room for {capacity}")
    grid = (blocks(kinds * heads * channels // 2, DROP_PAST.block[0]), layers)
    return DROP_PAST.launch(grid, past, base, first, count, length, layers, capacity, kinds, heads, channels)


def reference_drop_past(
    past: NDArray[np.float16], base: float, first: int, count: int, length: int
) -> NDArray[np.float64]:
    """As `drop_past`, not in place."""
    result = past.astype(np.float64)
    half = past.shape[-1] // 2
    angles = count * base ** (-np.arange(half) / half)
    cos, sin = np.cos(angles), np.sin(angles)
    moved = result[:, first + count : length]
    a, b = np.split(moved[:, :, 0], 2, axis=-1)
    keys = np.concatenate([a * cos + b * sin, b * cos - a * sin], axis=-1)
    result[:, first : length - count] = np.stack([keys, moved[:, :, 1]], axis=2)
    return result
