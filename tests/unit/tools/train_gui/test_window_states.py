"""Anything whose controls can be put into states is drawn with them, whatever draws it."""

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.train_gui.state_sets import NOBODY, _disabled, _focused
from tools.train_gui.states import DRAWINGS, Element, draw_in_states

SIDE_PX = 30


class Panel:
    """Ten buttons below one another: the last two take no focus, the first cannot be disabled, the second always is."""

    def __init__(self) -> None:
        self.off: list[int] = []
        self.lit: int | None = None

    def elements(self) -> dict[int, Element]:
        edges = [[5, 5 + 40 * i, 5 + SIDE_PX, 5 + 40 * i + SIDE_PX] for i in range(10)]
        return {i: ("button", [*map(float, each)], ["disabled"] if i == 1 else []) for i, each in enumerate(edges)}

    def picture(self) -> NDArray[np.uint8]:
        pixels = np.full((410, 60, 3), 255, np.uint8)
        for i, (_, box, _) in self.elements().items():
            x0, y0, x1, y1 = map(int, box)
            if i == self.lit:
                pixels[y0 - 3 : y1 + 3, x0 - 3 : x1 + 3] = (255, 0, 0)
            pixels[y0:y1, x0:x1] = 200 if i in self.off else 40
        return pixels

    def disable(self, numbers: list[int]) -> list[int]:
        self.off = [number for number in numbers if number]
        return self.off

    def focus(self, number: int) -> bool:
        self.lit = number if number < 8 else None
        return self.lit is not None

    def undo(self) -> None:
        self.off, self.lit = [], None


def test_what_cannot_be_put_into_a_state_is_not_said_to_be_in_it(tmp_path: Path) -> None:
    truths, focused = [Counter[int]() for _ in range(10)], Counter[int]()
    for seed in range(20):
        draw_in_states(Panel(), random.Random(seed), tmp_path / f"{seed:06d}", 1.0)
    drawings = sorted(tmp_path.glob("*.json"))
    assert len(drawings) == 20 * DRAWINGS
    for path in drawings:
        rows = json.loads(path.read_text())
        for truth, row in zip(truths, rows, strict=True):
            truth[_disabled(row)] += 1
        focused[_focused(rows)] += 1
    assert set(truths[0]) == {0} and set(truths[1]) == {-1}
    assert all(set(truth) == {0, 1} for truth in truths[2:])
    # The focus goes to another control where the chosen one takes none.
    assert set(focused) <= {NOBODY, *range(8)} and focused[NOBODY] < len(drawings) / 3
