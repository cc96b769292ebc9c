"""Embeddings of many lines, eight bits a number, in a file: four bytes of memory a line instead of 1 536."""

import numpy as np
from numpy.typing import NDArray

from services.decoder.kept import File

# Rows that room is taken for, and that are read, at once.
_BLOCK = 1_024
_STEPS = 127


class Vectors:
    """Rows of length 1, each with the size of its step; a cosine is right to some .001."""

    def __init__(self, dimension: int, file: File) -> None:
        self._dimension = dimension
        self._file = file
        self._places: list[int] = []
        self._steps: list[NDArray[np.float32]] = []

    def put(self, row: int, vector: NDArray[np.float32]) -> None:
        """Keep (D,) as a row, in the place of what was there; zeros give a row that is near nothing."""
        while row >= len(self._places) * _BLOCK:
            self._places.append(self._file.reserve(_BLOCK * self._dimension))
            self._steps.append(np.zeros(_BLOCK, np.float32))
        block, place = divmod(row, _BLOCK)
        step = np.maximum(np.abs(vector).max() / _STEPS, np.finfo(np.float32).tiny)
        self._file.write(
            self._places[block] + place * self._dimension, np.rint(vector / step).astype(np.int8).tobytes()
        )
        self._steps[block][place] = step

    def near(self, vector: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Cosines of the first `count` rows with (D,)."""
        block, wide = np.empty((_BLOCK, self._dimension), np.int8), np.empty((_BLOCK, self._dimension), np.float32)
        cosines = np.empty((len(self._places), _BLOCK), np.float32)
        for place, steps, into in zip(self._places, self._steps, cosines, strict=True):
            self._file.read_into(place, block.data.cast("B"))
            np.copyto(wide, block)
            np.multiply(wide @ vector, steps, out=into)
        return cosines.reshape(-1)[:count]
