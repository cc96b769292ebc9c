"""Whatever happens on a screen, what was kept of it equals a full read of what it shows."""

import random
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

import numpy as np
import pytest
from playwright.sync_api import Page

from benchmarks.screens import ACTIONS, STYLES, Screen, new_tab, through_codec
from services.runtime.percept import ScreenChangeKind, ScreenState, TextRegion
from services.runtime.stage import Frame, Stage, StageConfig
from services.vision.service import VisionExpert
from services.vision.stage import VisionStage
from services.vision.text_detection import TextBox
from tests.unit.vision.conftest import Pixels

FAST = StageConfig(options={"quality": "fast"})
# The pane's edges cut lines; what is read of half letters is chance.
EDGES_Y = (56, 648)
JITTER_PX = 3


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with new_tab() as tab:
        yield tab


def pushed(stage: Stage, pixels: Pixels, at: int = 0) -> ScreenState | None:
    states = [percept for percept in stage.push_frame(Frame(pixels, at)) if isinstance(percept, ScreenState)]
    return states[0] if states else None


def last_state(expert: VisionExpert, pictures: Sequence[Pixels]) -> ScreenState:
    stage, last = expert.open_stage(FAST), None
    for number, pixels in enumerate(pictures):
        last = pushed(stage, pixels, number) or last
    assert last is not None
    return last


def whole_lines(state: ScreenState) -> list[TextRegion]:
    return [r for r in state.regions if not any(r.box[1] - 6 <= edge <= r.box[3] + 6 for edge in EDGES_Y)]


def distance_px(a: TextRegion, b: TextRegion) -> float:
    return float(np.abs(np.subtract(a.box, b.box)).max())


def assert_equals_a_full_read(expert: VisionExpert, pictures: Sequence[Pixels]) -> None:
    """The same lines in places off by 3 px or less.

    The detector looks at the whole of what it is given (squeeze and excitation), so boxes of a part
    are a pixel or two off and one letter in some hundreds is read differently.
    """
    kept, full = (whole_lines(state) for state in (last_state(expert, pictures), last_state(expert, pictures[-1:])))
    assert len(kept) == len(full)
    nearest = [min(kept, key=lambda region: distance_px(region, line)) for line in full]  # noqa: B023
    assert len({region.region_id for region in nearest}) == len(full)
    for line, region in zip(full, nearest, strict=True):
        assert distance_px(line, region) <= JITTER_PX
        assert SequenceMatcher(None, line.text, region.text, autojunk=False).ratio() > 0.9
    same = sum(line.text == region.text for line, region in zip(full, nearest, strict=True))
    assert same >= 0.9 * len(full)


@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_after_any_sequence_the_kept_screen_equals_a_full_read(expert: VisionExpert, tab: Page, seed: int) -> None:
    screen, chance = Screen(tab, seed, STYLES[0]), random.Random(seed)
    pictures = [screen.picture()]
    for action in chance.choices(ACTIONS, weights=(4, 5, 2, 1, 2, 1), k=8):
        screen.act(action)
        pictures.append(screen.picture())
    assert_equals_a_full_read(expert, pictures)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_after_a_video_the_kept_screen_equals_a_full_read(expert: VisionExpert, tab: Page, codec: str) -> None:
    screen = Screen(tab, 31, STYLES[0])
    pictures = [screen.picture()]
    for act in (screen.type, lambda: screen.scroll(100), screen.type, lambda: screen.scroll(53), screen.blink):
        act()
        pictures.append(screen.picture())
    assert_equals_a_full_read(expert, through_codec(pictures, codec, repeat=8))


def test_scrolled_lines_keep_their_ids_and_are_told_as_scrolled(expert: VisionExpert, tab: Page) -> None:
    screen, stage = Screen(tab, 41, STYLES[0]), expert.open_stage(FAST)
    first = pushed(stage, screen.picture(), 0)
    screen.scroll(100)
    second = pushed(stage, screen.picture(), 16_000)
    assert first is not None and second is not None and first.slide_id == second.slide_id
    moves = [change for change in second.changes if change.kind is ScreenChangeKind.SCROLLED]
    scrolled = max(moves, key=lambda change: len(change.region_ids))
    assert (scrolled.dx_px, scrolled.dy_px) == (0, -100) and len(scrolled.region_ids) >= 5
    before = {region.region_id: region for region in first.regions}
    for region in second.regions:
        if region.region_id in scrolled.region_ids:
            old = before[region.region_id]
            assert region.text == old.text and abs(region.box[1] - (old.box[1] - 100)) <= JITTER_PX


class Counted:
    """An expert's models; counts the pictures that the detector is shown."""

    def __init__(self, expert: VisionExpert) -> None:
        self._expert = expert
        self.recognizer, self.objects, self.gui = expert.recognizer, expert.objects, expert.gui
        self.looks = 0

    def detector(self) -> "Counted":
        return self

    def detect(self, pixels: Pixels) -> list[TextBox]:
        self.looks += 1
        return self._expert.detector().detect(pixels)


def test_a_place_that_blinks_is_read_once_in_each_look(expert: VisionExpert, tab: Page) -> None:
    screen, models = Screen(tab, 51, STYLES[0]), Counted(expert)
    on = screen.picture()
    screen.blink()
    off = screen.picture()
    stage = VisionStage(models, ("ocr",), "fast", FAST)
    for number, pixels in enumerate((on, off, on, off, on, off, on)):
        pushed(stage, pixels, number)
    assert models.looks == 3
