"""Twin of letterbox.cu: a picture scaled into a network's frame and normalised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.kernels.launch import Array, Buffer, Kernel, Launch, Scalar, blocks

_BLOCK = (16, 16, 1)
_PLACE = ("width", "height", "inner_width", "inner_height", "left", "top", "averages", "repeats_edge")
_COLOUR = ("fill", "mean_r", "mean_g", "mean_b", "scale_r", "scale_g", "scale_b")
_GEOMETRY = (*(Scalar(name, "int32") for name in _PLACE), *(Scalar(name, "float32") for name in _COLOUR))
_FORMATS = {"float32": "f32", "float16": "f16"}


def _kernel(source: str, pixels: tuple[Buffer, ...], dtype: str) -> Kernel:
    planes = Buffer("planes", dtype, (3, "out_height", "out_width"), is_written=True)
    size = (Scalar("out_width", "int32"), Scalar("out_height", "int32"))
    parameters: tuple[Buffer | Scalar, ...] = (*pixels, Scalar("pitch", "int32"), *_GEOMETRY, planes, *size)
    return Kernel(f"letterbox_{source}_{_FORMATS[dtype]}", "letterbox.cu", _BLOCK, parameters)


_BGRA = {t: _kernel("bgra", (Buffer("pixels", "uint8", ("height", "pitch")),), t) for t in _FORMATS}
_NV12 = {
    t: _kernel(
        "nv12", (Buffer("luma", "uint8", ("height", "pitch")), Buffer("chroma", "uint8", ("chroma_rows", "pitch"))), t
    )
    for t in _FORMATS
}
_IN_ORDER = {"float32": _kernel("in_order", (Buffer("pixels", "uint8", ("height", "pitch")),), "float32")}
KERNELS = (*_BGRA.values(), *_NV12.values(), *_IN_ORDER.values())


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in the frame, and how it is normalised: (value / 255 - mean) * scale, by plane.

    `place` is left, top, width and height of the scaled picture; None: as large as fits, in the middle. With `averages`
    pixels are means of what they cover, which may be no less than one; with `repeats_edge` its edge goes on beyond it.
    """

    width: int
    height: int
    out_width: int
    out_height: int
    fill: float = 114.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    place: tuple[int, int, int, int] | None = None
    averages: bool = False
    repeats_edge: bool = False

    @property
    def inner(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the scaled picture in the frame."""
        if self.place is not None:
            return self.place
        ratio = min(self.out_width / self.width, self.out_height / self.height)
        width = max(1, min(self.out_width, round(self.width * ratio)))
        height = max(1, min(self.out_height, round(self.height * ratio)))
        return (self.out_width - width) // 2, (self.out_height - height) // 2, width, height

    def bgra(self, pixels: Array, planes: Array) -> Launch:
        """(height, pitch) uint8 rows of BGRA -> `planes` (3, out_height, out_width) float32 or float16.

        Raises TensorError.
        """
        return self._launch(_BGRA, (pixels,), pixels.shape[1], planes)

    def in_order(self, pixels: Array, planes: Array) -> Launch:
        """(height, pitch) uint8 rows of three bytes a pixel -> `planes` in the order of the bytes, float32.

        Raises TensorError.
        """
        return self._launch(_IN_ORDER, (pixels,), pixels.shape[1], planes)

    def nv12(self, luma: Array, chroma: Array, planes: Array) -> Launch:
        """(height, pitch) and (ceil(height / 2), pitch) uint8 -> `planes` as in `bgra`. Raises TensorError."""
        return self._launch(_NV12, (luma, chroma), luma.shape[1], planes)

    def _launch(self, kernels: dict[str, Kernel], pixels: tuple[Array, ...], pitch: int, planes: Array) -> Launch:
        left, top, width, height = self.inner
        kernel = kernels.get(np.dtype(planes.dtype).name, kernels["float32"])
        grid = (blocks(self.out_width, _BLOCK[0]), blocks(self.out_height, _BLOCK[1]))
        geometry = (self.width, self.height, width, height, left, top, int(self.averages), int(self.repeats_edge))
        colours = (self.fill, *self.mean, *self.scale)
        return kernel.launch(grid, *pixels, int(pitch), *geometry, *colours, planes, self.out_width, self.out_height)

    def reference(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """(height, width, 3) colours of 0 to 255 -> (3, out_height, out_width), in double precision."""
        left, top, width, height = self.inner
        down, across = self._shares(self.height, height), self._shares(self.width, width)
        inner = np.einsum("yh,hwc,xw->yxc", down, pixels, across, optimize=True)
        around = ((top, self.out_height - top - height), (left, self.out_width - left - width), (0, 0))
        frame = np.pad(inner, around, "edge") if self.repeats_edge else np.pad(inner, around, constant_values=self.fill)
        planes: NDArray[np.float64] = ((frame / 255 - self.mean) * self.scale).transpose(2, 0, 1)
        return planes

    def _shares(self, size: int, inner: int) -> NDArray[np.float64]:
        """(inner, size): how much of each pixel along one side is in each of the scaled picture."""
        if self.averages:
            edges = np.arange(inner + 1)[:, None] * size / inner
            at = np.arange(size)
            covered = np.clip(np.minimum(at + 1, edges[1:]) - np.maximum(at, edges[:-1]), 0, None)
            return np.asarray(covered * inner / size)
        middle: NDArray[np.float64] = np.clip((np.arange(inner) + 0.5) * size / inner - 0.5, 0, size - 1)
        shares: NDArray[np.float64] = np.clip(1 - np.abs(middle[:, None] - np.arange(size)), 0, None)
        return shares


def rgb_of_nv12(luma: NDArray[np.uint8], chroma: NDArray[np.uint8], width: int) -> NDArray[np.float64]:
    """Colours (height, width, 3) of 0 to 255 of an NV12 picture, ITU-R BT.601 limited range."""
    rows, columns = np.arange(len(luma)) // 2, np.arange(width) // 2
    u = chroma[rows][:, 2 * columns].astype(np.float64) - 128
    v = chroma[rows][:, 2 * columns + 1].astype(np.float64) - 128
    light = 1.164383 * (luma[:, :width].astype(np.float64) - 16)
    planes = (light + 1.596027 * v, light - 0.391762 * u - 0.812968 * v, light + 2.017232 * u)
    return np.clip(np.stack(planes, axis=-1), 0, 255)
