"""Embeddings of many lines, eight bits a number: 384 bytes a line instead of 1 536."""

import numpy as np
from numpy.typing import NDArray

# Rows that memory is taken for at once.
_BLOCK = 1_024
_STEPS = 127


class Vectors:
    """Rows of length 1, each with the size of its step; a cosine is right to some .001."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._blocks: list[NDArray[np.int8]] = []
        self._steps: list[NDArray[np.float32]] = []

    def put(self, row: int, vector: NDArray[np.float32]) -> None:
        """Keep (D,) as a row, in the place of what was there; zeros give a row that is near nothing."""
        while row >= len(self._blocks) * _BLOCK:
            self._blocks.append(np.zeros((_BLOCK, self._dimension), np.int8))
            self._steps.append(np.zeros(_BLOCK, np.float32))
        block, place = divmod(row, _BLOCK)
        step = np.maximum(np.abs(vector).max() / _STEPS, np.finfo(np.float32).tiny)
        self._blocks[block][place] = np.rint(vector / step).astype(np.int8)
        self._steps[block][place] = step

    def near(self, vector: NDArray[np.float32], count: int) -> NDArray[np.float32]:
        """Cosines of the first `count` rows with (D,)."""
        cosines = [
            (block.astype(np.float32) @ vector) * steps for block, steps in zip(self._blocks, self._steps, strict=True)
        ]
        return np.concatenate(cosines)[:count]
