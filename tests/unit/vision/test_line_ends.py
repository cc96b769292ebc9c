"""Icons before and behind labels are not read; letters, figures and ideographs that stand there are."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from services.runtime.percept import ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.line_ends import LineEnds, ends_of
from services.vision.service import VisionExpert

# Drawn for this test: outlines and solid ones, in the strokes of no icon package.
ICONS = {
    "grid": '<path d="M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z"/>',
    "letter": '<path d="M1 3h14v10H1zM1 3l7 6 7-6"/>',
    "dial": '<circle cx="8" cy="8" r="6.5"/><path d="M8 4v4l3 2"/>',
    "bin": '<path d="M2 4h12M4 4l1 10h6l1-10M6 4V2h4v2"/>',
    "house": '<path d="M1 8l7-6 7 6M3 7v7h10V7M7 14v-4h3v4"/>',
    "sun": '<circle cx="8" cy="8" r="3"/><path d="M8 0v3M8 13v3M0 8h3M13 8h3M2 2l2 2M12 12l2 2M2 14l2-2M12 4l2-2"/>',
}


@pytest.fixture(scope="module", autouse=True)
def window(tab: Page) -> None:
    tab.set_viewport_size({"width": 640, "height": 480})


def pictured(tab: Page, rows: list[str], style: str = "") -> NDArray[np.uint8]:
    lines = "".join(f"<p>{row}</p>" for row in rows)
    tab.set_content(
        "<!doctype html><style>body { margin: 24px; font: 15px 'DejaVu Sans', sans-serif; background: #fff }"
        "p { display: flex; align-items: center; gap: 8px; margin: 0 0 18px; height: 22px } "
        f"svg {{ width: 17px; height: 17px; fill: none; stroke: currentColor }} {style}</style>{lines}"
    )
    picture = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(np.uint8, copy=False)


def icon(name: str) -> str:
    return f'<svg viewBox="0 0 16 16">{ICONS[name]}</svg>'


def read(expert: VisionExpert, pixels: NDArray[np.uint8]) -> list[str]:
    said: list[str] = []
    stage = expert.open_stage(StageConfig(tasks=("ocr",)))
    for percept in (*stage.push_frame(Frame(pixels, 0)), *stage.flush()):
        if isinstance(percept, ScreenState):
            said = [region.text for region in percept.regions]
    return said


LABELS = ("Reports", "Send message", "Due date", "Delete draft", "Invite", "Company")
DARK = "body { background: #1d2330; color: #dde } svg { color: #7bf }"
SOLID = "svg { fill: currentColor; color: #c33 }"


@pytest.mark.parametrize("style", ["", DARK, SOLID])
def test_icons_before_labels_are_not_read(tab: Page, expert: VisionExpert, style: str) -> None:
    rows = [f"{icon(name)}<span>{label}</span>" for name, label in zip(ICONS, LABELS, strict=True)]
    assert read(expert, pictured(tab, rows, style)) == list(LABELS)


def test_nor_are_those_behind_them_nor_two_in_a_row(tab: Page, expert: VisionExpert) -> None:
    rows = [f"<span>{label}</span>{icon(name)}" for name, label in zip(ICONS, LABELS, strict=True)]
    rows[0] = f"{icon('dial')}{icon('bin')}<span>Reports</span>{icon('house')}"
    assert read(expert, pictured(tab, rows)) == list(LABELS)


STAY = (
    "I agree",
    "A plan for spring",
    "1 new message",
    "Vitamin C",
    "Chapter 7",
    "x = 12",
    "5 % off",
    "Room B",
    "? unknown",
)


def test_letters_figures_and_signs_that_stand_alone_stay(tab: Page, expert: VisionExpert) -> None:
    assert read(expert, pictured(tab, list(STAY))) == list(STAY)
    assert read(expert, pictured(tab, list(STAY), DARK)) == list(STAY)


def test_of_a_line_that_is_icons_alone_something_is_left(tab: Page) -> None:
    pixels = pictured(tab, ["".join(map(icon, ("dial", "bin", "house")))])
    line = pixels[20:54, 16:120]
    (left,) = LineEnds().without_icons([line])
    assert left.shape[0] == line.shape[0] and left.shape[1] > 2


@pytest.mark.parametrize("width", [1, 2, 40])
def test_lines_without_ends_are_given_back_as_they_are(width: int) -> None:
    blank = np.full((20, width, 3), 255, np.uint8)
    assert ends_of(blank) == []
    assert LineEnds().without_icons([blank])[0] is blank
    assert LineEnds().without_icons([]) == []
