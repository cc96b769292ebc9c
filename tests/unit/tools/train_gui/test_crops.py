"""Crops carry their boxes along; what is measured is what a paper calls AP50."""

import json
import random
from pathlib import Path

import cv2
import numpy as np
import pytest

from services.vision.gui import CLASS_NAMES, Control
from tools.train_gui.crops import Pool, crop, read
from tools.train_gui.measure import average_precision

BOX = (300.0, 200.0, 420.0, 260.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pixels = np.full((720, 1280, 3), 255, np.uint8)
    x0, y0, x1, y1 = (int(edge) for edge in BOX)
    pixels[y0:y1, x0:x1] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "000000.png"), pixels)
    entries = [["slider", *BOX, ["disabled"]]]
    (tmp_path / "000000.json").write_text(json.dumps(entries))
    return tmp_path


def test_boxes_follow_their_pixels_into_every_crop(folder: Path) -> None:
    page = read(folder / "000000.png")
    seen = 0
    for seed in range(40):
        part = crop(page, random.Random(seed), 352, 320)
        assert part.pixels.shape == (320, 352, 3)
        for box, kind, states in zip(part.truth.boxes, part.truth.classes, part.truth.states, strict=True):
            assert CLASS_NAMES[kind] == "slider" and states.tolist() == [0, 0, 1, 0]
            x0, y0, x1, y1 = (round(float(edge)) for edge in box)
            inside = part.pixels[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4].astype(int)
            assert np.ptp(inside, axis=(0, 1)).max() < 90
            if x0 > 4:
                assert np.abs(part.pixels[(y0 + y1) // 2, x0 - 4].astype(int) - inside[0, 0]).max() > 60
            seen += 1
    assert seen > 20


def test_a_pool_gives_crops_of_what_was_drawn_and_says_when_nothing_was(folder: Path, tmp_path: Path) -> None:
    assert len(Pool(folder, random.Random(0), size=2).batch(5, 96, 64)) == 5
    with pytest.raises(FileNotFoundError, match="train_gui render"):
        Pool(tmp_path / "none", random.Random(0)).batch(1, 96, 64)


def test_average_precision_counts_a_second_box_on_one_element_as_wrong() -> None:
    wanted = [np.array([BOX, (0, 0, 50, 50)], np.float32)]
    right = [Control("button", BOX, 0.9), Control("button", (1, 0, 50, 50), 0.5)]
    double = Control("button", (302, 200, 420, 260), 0.7)
    assert average_precision([right], wanted) == pytest.approx(1.0)
    assert average_precision([[*right, double]], wanted) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([[]], wanted) == 0
