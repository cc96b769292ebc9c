"""Whatever happens on a screen, what was kept of it equals a full read of what it shows."""

import random
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import zip_longest

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page

from benchmarks.screens import ACTIONS, HEIGHT_PX, STYLES, WIDTH_PX, Screen, through_codec
from services.runtime.image import decode_image
from services.runtime.percept import Checkpoint, Percept, ScreenChangeKind, ScreenState, TextRegion
from services.runtime.stage import Frame, RestingStage, Stage, StageConfig
from services.vision.change import Change
from services.vision.ocr import TINY
from services.vision.screen_text import ScreenText
from services.vision.service import VisionExpert
from services.vision.stage import VisionStage
from services.vision.text_detection import TextBox
from tests.unit.vision.conftest import Draw, Pixels

FAST = StageConfig(options={"quality": "fast"})
# The pane's edges cut lines; what is read of half letters is chance.
EDGES_Y = (56, 648)
JITTER_PX = 3


def pushed(stage: Stage, pixels: Pixels, at: int = 0) -> ScreenState | None:
    states = [percept for percept in stage.push_frame(Frame(pixels, at)) if isinstance(percept, ScreenState)]
    return states[0] if states else None


def rested(stage: RestingStage) -> ScreenState | None:
    """What it says last while nothing comes for long."""
    last = None
    while (percepts := stage.rest(is_long=True)) is not None:
        last = next((percept for percept in percepts if isinstance(percept, ScreenState)), last)
    return last


def last_state(
    expert: VisionExpert, pictures: Sequence[Pixels], config: StageConfig = FAST, rests: Sequence[bool] = ()
) -> ScreenState:
    """The state after the pictures; `rests` says behind which of them nothing came for long."""
    stage, last = expert.open_stage(config), None
    assert isinstance(stage, RestingStage)
    for number, (pixels, is_rest) in enumerate(zip_longest(pictures, rests, fillvalue=False)):
        last = pushed(stage, pixels, number) or last
        last = (rested(stage) if is_rest else None) or last
    assert last is not None
    return last


def whole_lines(state: ScreenState) -> list[TextRegion]:
    return [r for r in state.regions if not any(r.box[1] - 6 <= edge <= r.box[3] + 6 for edge in EDGES_Y)]


def distance_px(a: TextRegion, b: TextRegion) -> float:
    return float(np.abs(np.subtract(a.box, b.box)).max())


def pictures_of(tab: Page, seed: int, count: int) -> list[Pixels]:
    screen, chance = Screen(tab, seed, STYLES[0]), random.Random(seed)
    pictures = [screen.picture()]
    for action in chance.choices(ACTIONS, weights=(4, 5, 2, 1, 2, 1), k=count):
        screen.act(action)
        pictures.append(screen.picture())
    return pictures


def assert_same_lines(kept: Sequence[TextRegion], full: Sequence[TextRegion], least_alike: float) -> None:
    """The same lines in places off by 3 px or less, none unlike, so many of them letter for letter."""
    assert len(kept) == len(full)
    nearest = [min(kept, key=lambda region: distance_px(region, line)) for line in full]  # noqa: B023
    assert len({region.region_id for region in nearest}) == len(full)
    for line, region in zip(full, nearest, strict=True):
        assert distance_px(line, region) <= JITTER_PX
        assert SequenceMatcher(None, line.text, region.text, autojunk=False).ratio() > 0.9
    same = sum(line.text == region.text for line, region in zip(full, nearest, strict=True))
    assert same >= least_alike * len(full)


def assert_equals_a_full_read(expert: VisionExpert, pictures: Sequence[Pixels]) -> None:
    """The same lines in places off by 3 px or less.

    The detector looks at the whole of what it is given (squeeze and excitation), so boxes of a part
    are a pixel or two off and one letter in some hundreds is read differently.
    """
    kept, full = (whole_lines(state) for state in (last_state(expert, pictures), last_state(expert, pictures[-1:])))
    assert_same_lines(kept, full, 0.9)


@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_after_any_sequence_the_kept_screen_equals_a_full_read(expert: VisionExpert, tab: Page, seed: int) -> None:
    assert_equals_a_full_read(expert, pictures_of(tab, seed, 8))


@pytest.mark.parametrize(("seed", "config"), [(21, FAST), (22, FAST), (23, FAST), (24, FAST), (25, StageConfig())])
def test_after_a_rest_every_line_equals_that_of_a_full_read(
    expert: VisionExpert, tab: Page, seed: int, config: StageConfig
) -> None:
    pictures, chance = pictures_of(tab, seed, 8), random.Random(seed)
    rests = [chance.random() < 0.4 for _ in pictures[1:]]
    kept, full = (
        last_state(expert, shown, config, [*when, True]) for shown, when in ((pictures, rests), (pictures[-1:], []))
    )
    assert_same_lines(kept.regions, full.regions, 1.0)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_after_a_video_the_kept_screen_equals_a_full_read(expert: VisionExpert, tab: Page, codec: str) -> None:
    screen = Screen(tab, 31, STYLES[0])
    pictures = [screen.picture()]
    for act in (screen.type, lambda: screen.scroll(100), screen.type, lambda: screen.scroll(53), screen.blink):
        act()
        pictures.append(screen.picture())
    shown = through_codec(pictures, codec, repeat=8)
    assert_equals_a_full_read(expert, shown)
    rests = [False, True, False, False, True]
    kept = last_state(expert, shown, rests=[*rests, True])
    # Lines that were read of an earlier picture, with other noise, were read again.
    assert_same_lines(kept.regions, last_state(expert, shown[-1:]).regions, 1.0)


def test_what_a_sharper_picture_shows_is_read_after_a_rest_and_once(expert: VisionExpert, tab: Page) -> None:
    sharp = Screen(tab, 33, STYLES[0]).picture()
    first, later = (
        decode_image(cv2.imencode(".jpg", sharp, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
        for quality in (45, 95)
    )
    models = Counted(expert)
    stage = VisionStage(models, ("ocr",), "fast", FAST)
    before = pushed(stage, first)
    assert before is not None and pushed(stage, later, 1) is None
    bettered = rested(stage)
    assert bettered is not None and not bettered.changes and models.wholes == 2
    same = {region.region_id for region in bettered.regions} & {region.region_id for region in before.regions}
    assert len(same) >= 0.9 * len(before.regions)
    full = last_state(expert, [later])
    assert_same_lines(bettered.regions, full.regions, 1.0)
    assert [r.text for r in before.regions] != [r.text for r in full.regions]
    assert stage.rest(is_long=True) is None and pushed(stage, later, 2) is None
    assert stage.rest(is_long=True) is None and stage.flush() == [] and models.wholes == 2


def test_what_is_read_as_before_of_a_sharper_picture_stays_read_accurately(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw([("The release is on Tuesday", 40, 60), ("std::vector<int>", 40, 200)])
    stage = expert.open_stage(StageConfig())
    assert isinstance(stage, RestingStage)
    pushed(stage, pixels)
    said: Sequence[Percept] | None = []
    while not said:
        said = stage.rest(is_long=False)
    assert isinstance(said[0], ScreenState) and "std::vector<int>" in [region.text for region in said[0].regions]
    noisy = np.clip(pixels.astype(int) + np.random.default_rng(0).integers(-3, 4, pixels.shape), 0, 255)
    assert pushed(stage, noisy.astype(np.uint8), 1) is None
    said = stage.rest(is_long=True)
    assert said and stage.rest(is_long=True) is None
    # nothing waits to be read accurately; boxes may be a little better
    texts = [{region.text for region in percept.regions} for percept in said if isinstance(percept, ScreenState)]
    assert all("std::vector<int>" in each for each in texts)
    assert stage.flush() == []


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
    """An expert's models; counts the pictures that the detector is shown, in parts or as a whole."""

    def __init__(self, expert: VisionExpert) -> None:
        self._expert = expert
        self.recognizer, self.objects, self.gui = expert.recognizer, expert.objects, expert.gui
        self.parts = self.wholes = 0
        self.shown: list[Pixels] = []

    def detector(self) -> "Counted":
        return self

    def detect(self, pixels: Pixels) -> list[TextBox]:
        is_whole = pixels.shape[:2] == (HEIGHT_PX, WIDTH_PX)
        self.wholes, self.parts = self.wholes + is_whole, self.parts + (not is_whole)
        self.shown.append(pixels)
        return self._expert.detector().detect(pixels)


def test_a_look_that_grows_at_one_place_does_not_look_at_the_other_again(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw([("A line that is much longer than the place that changed", 40, 60), ("Far away", 40, 290)])
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[40:60, 240:250] = mask[270:290, 40:100] = 1
    models, text = Counted(expert), ScreenText()
    change = Change(mask, ((224, 32, 256, 64), (32, 256, 128, 320)))
    list(text.update(pixels, change, models, expert.recognizer(TINY)))
    assert [line.line.text for line in text.lines] == [
        "A line that is much longer than the place that changed",
        "Far away",
    ]
    # Both places once; the first again, grown, until the line ends in it.
    shapes = [shown.shape for shown in models.shown]
    assert len(shapes) > 2 and len(set(shapes)) == len(shapes)


def blinking(tab: Page, seed: int) -> tuple[Pixels, Pixels]:
    screen = Screen(tab, seed, STYLES[0])
    on = screen.picture()
    screen.blink()
    return on, screen.picture()


def test_a_place_that_blinks_is_read_once_in_each_look(expert: VisionExpert, tab: Page) -> None:
    models, pictures = Counted(expert), blinking(tab, 51)
    stage = VisionStage(models, ("ocr",), "fast", FAST)
    looks = []
    for number in range(7):
        pushed(stage, pictures[number % 2], number)
        looks.append((stage.is_still, models.parts))
    assert [is_still for is_still, _ in looks] == [False, False, False, True, True, True, True]
    assert looks[2][1] == looks[-1][1] and models.wholes == 1


def test_a_place_that_blinks_at_rest_is_checked_once_in_each_look(expert: VisionExpert, tab: Page) -> None:
    models, pictures = Counted(expert), blinking(tab, 51)
    stage = VisionStage(models, ("ocr",), "fast", FAST)
    wholes = []
    for number in range(8):
        pushed(stage, pictures[number % 2], number)
        rested(stage)
        wholes.append(models.wholes)
    assert wholes[:3] == [1, 2, 3] and wholes[3:] == [wholes[2]] * 5


def test_typing_is_checked_when_nothing_came_for_long_or_much_was_looked_at(expert: VisionExpert, tab: Page) -> None:
    screen, models = Screen(tab, 61, STYLES[0]), Counted(expert)
    stage = VisionStage(models, ("ocr",), "fast", FAST)
    pushed(stage, screen.picture())
    screen.type()
    pushed(stage, screen.picture(), 1)
    assert stage.rest(is_long=False) is None and models.wholes == 1
    rested(stage)
    assert models.wholes == 2 and stage.rest(is_long=True) is None
    for number in range(2, 40):
        screen.type()
        pushed(stage, screen.picture(), number)
        if stage.rest(is_long=False) is not None:
            break
    assert models.wholes == 3 and number > 3


def test_what_a_rest_betters_is_no_change_whenever_it_is_told(expert: VisionExpert, tab: Page) -> None:
    screen = Screen(tab, 22, STYLES[0])
    stage = expert.open_stage(StageConfig())
    assert isinstance(stage, RestingStage)
    first = pushed(stage, screen.picture())
    screen.scroll(93)
    scrolled = pushed(stage, screen.picture(), 16_000)
    bettered = rested(stage)
    assert first is not None and scrolled is not None and bettered is not None
    assert scrolled.changes and not bettered.changes and bettered.slide_id == scrolled.slide_id
    same = {region.region_id for region in scrolled.regions} & {region.region_id for region in bettered.regions}
    assert len(same) >= 0.9 * len(scrolled.regions)


def test_a_stage_resumed_before_a_rest_is_bettered_as_the_first_one_was(expert: VisionExpert, tab: Page) -> None:
    screen = Screen(tab, 23, STYLES[0])
    pictures = [screen.picture()]
    screen.scroll(77)
    pictures.append(screen.picture())
    stage = expert.open_stage(FAST)
    for number, pixels in enumerate(pictures):
        checkpoint = stage.push_frame(Frame(pixels, number))[-1]
    assert isinstance(checkpoint, Checkpoint) and isinstance(stage, RestingStage)
    again = expert.open_stage(StageConfig(resume_state=checkpoint.state, start_sample=1, options={"quality": "fast"}))
    assert again.push_frame(Frame(pictures[-1], 1)) == [] and isinstance(again, RestingStage)
    said, same = stage.rest(is_long=True), again.rest(is_long=True)
    assert said and said == same and isinstance(said[-1], Checkpoint)
    assert stage.flush() == again.flush() == []
    # And so is what is read behind it, from the checkpoint of the rest.
    later = expert.open_stage(StageConfig(resume_state=said[-1].state, start_sample=1, options={"quality": "fast"}))
    screen.scroll(41)
    moved = screen.picture()
    later.push_frame(Frame(pictures[-1], 1))
    assert later.push_frame(Frame(moved, 2)) == stage.push_frame(Frame(moved, 2))
