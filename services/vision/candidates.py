"""What detectors see at all: of the cells of their heads those that are sure enough of a class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engines.engine import Reduced, Workplace
from engines.kernels import heads

STRIDES_PX = (8, 16, 32)


@dataclass(frozen=True, slots=True)
class Candidates(Reduced):
    """The cells, level after level, whose best of the first `classes` scores is at least `threshold`.

    Of scores (1, cells, columns) and edges (1, cells, sides) of each level: `cells` (n,) int32, numbers counted through
    all levels, `scores` (n, columns) and `edges` (n, sides).
    """

    counted_by: ClassVar[str] = "count"

    classes: int
    threshold: float
    outputs: tuple[str, ...] = tuple(f"{kind}_{stride}" for stride in STRIDES_PX for kind in ("scores", "edges"))

    def on_host(self, values: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """By numpy."""
        scores, edges = (np.concatenate([level[0] for level in values[kind::2]]) for kind in (0, 1))
        cells, scores, edges = heads.reference_candidates(scores, edges, self.classes, self.threshold)
        return {"cells": cells, "scores": scores, "edges": edges}

    def on_card(self, values: Sequence[Any], workplace: Workplace) -> dict[str, Any]:
        """By the kernel, a level behind the other; the other cells, nearly all, stay."""
        room = sum(level.shape[1] for level in values[::2])
        columns, sides = (values[kind].shape[2] for kind in (0, 1))
        count = workplace.put("count", np.zeros(1, np.int32))
        made = {
            "cells": workplace.empty("cells", (room,), "int32"),
            "scores": workplace.empty("scores", (room, columns), "float32"),
            "edges": workplace.empty("edges", (room, sides), "float32"),
        }
        first_cell = 0
        for scores, edges in zip(values[::2], values[1::2], strict=True):
            rows = scores.shape[1]
            level = scores.reshape((rows, columns)), edges.reshape((rows, sides))
            workplace.run(
                heads.candidates(*level, self.classes, self.threshold, first_cell, tuple(made.values()), count)
            )
            first_cell += rows
        return made | {"count": count}


def places(cells: NDArray[np.int32], width: int, height: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Columns and rows (n, 2) of a network's cells over width x height pixels, and their strides in pixels (n, 1)."""
    strides = np.array(STRIDES_PX)
    sizes = (width // strides) * (height // strides)
    ends = np.cumsum(sizes)
    level = np.searchsorted(ends, cells, side="right")
    within, columns = cells - (ends - sizes)[level], (width // strides)[level]
    return np.stack([within % columns, within // columns], axis=1), strides[level, None]
