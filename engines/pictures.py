"""Pictures as networks take them: scaled, with something around them, normalised; by OpenCV or by `letterbox.cu`."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.engine import Raw, Workplace
from engines.kernels.letterbox import Letterbox


@dataclass(frozen=True, slots=True)
class Levels:
    """What a network takes for the levels 0 to 255: (level / unit - mean) / deviation, by channel."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    deviation: tuple[float, float, float] = (1.0, 1.0, 1.0)
    unit: float = 1.0


@cache
def _tables(levels: Levels) -> list[NDArray[np.float32]]:
    """By channel, (256,)."""
    return [
        ((np.arange(256, dtype=np.float32) / levels.unit - mean) / deviation).astype(np.float32)
        for mean, deviation in zip(levels.mean, levels.deviation, strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Picture(Raw):
    """`pixels` (h, w, 3) uint8 scaled to `size`, at the left top of `frame`, both (width, height).

    `averages`: each pixel is the mean of what it covers, for making smaller; otherwise linear. Beyond it is the level
    `fill`; None: its edge goes on. The tensor is (1, 3, frame height, frame width), its planes in the order of the
    picture's channels; a card's differ by less than one level, since OpenCV rounds to whole ones.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    frame: tuple[int, int]
    levels: Levels = Levels()
    averages: bool = False
    fill: int | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(1, 3, height, width)."""
        return 1, 3, self.frame[1], self.frame[0]

    def on_host(self) -> NDArray[np.float32]:
        """By OpenCV."""
        pixels = self.pixels
        if self.size != (pixels.shape[1], pixels.shape[0]):
            how = cv2.INTER_AREA if self.averages else cv2.INTER_LINEAR
            pixels = np.asarray(cv2.resize(pixels, self.size, interpolation=how), np.uint8)
        if self.frame != self.size:
            beyond = (0, self.frame[1] - self.size[1], 0, self.frame[0] - self.size[0])
            kind = cv2.BORDER_REPLICATE if self.fill is None else cv2.BORDER_CONSTANT
            pixels = np.asarray(cv2.copyMakeBorder(pixels, *beyond, kind, value=(self.fill or 0,) * 3), np.uint8)
        planes = np.empty(self.shape, np.float32)
        for channel, table in enumerate(_tables(self.levels)):
            cv2.LUT(np.ascontiguousarray(pixels[..., channel]), table, planes[0, channel])
        return planes

    def on_card(self, workplace: Workplace) -> None:
        """By the kernel; the picture's bytes cross the bus."""
        (height, width), levels = self.pixels.shape[:2], self.levels
        red, green, blue = (mean * levels.unit / 255 for mean in levels.mean)
        scale = [255 / levels.unit / deviation for deviation in levels.deviation]
        box = Letterbox(
            width,
            height,
            *self.frame,
            float(self.fill or 0),
            (red, green, blue),
            (scale[0], scale[1], scale[2]),
            (0, 0, *self.size),
            self.averages,
            self.fill is None,
        )
        rows = workplace.put("pixels", self.pixels.reshape(height, 3 * width))
        workplace.run(box.in_order(rows, workplace.tensor(self.shape[1:])))
