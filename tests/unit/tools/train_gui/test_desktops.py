"""The pictures of real programs that the detector is measured on."""

from pathlib import Path

from services.vision.gui import CLASS_NAMES
from tools.train_gui.crops import read

PICTURES = sorted((Path(__file__).parents[4] / "benchmarks" / "desktops").glob("*.png"))


def test_every_element_lies_in_its_picture_and_most_classes_occur() -> None:
    assert len(PICTURES) >= 10
    seen: set[int] = set()
    for path in PICTURES:
        drawn = read(path)
        height, width = drawn.pixels.shape[:2]
        boxes = drawn.truth.boxes
        assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= (width, height)).all()
        assert ((boxes[:, 2:] - boxes[:, :2]) >= 5).all()
        seen |= set(drawn.truth.classes.tolist())
    assert len(seen) >= len(CLASS_NAMES) - 2
