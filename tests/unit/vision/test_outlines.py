"""Places that a line of bright colour goes around."""

import cv2
import numpy as np
import pytest

from benchmarks.calls import call, draw
from services.runtime.percept import ScreenState
from services.runtime.stage import Frame, StageConfig
from services.vision.outlines import outlined
from services.vision.service import VisionExpert
from tests.unit.vision.conftest import Pixels

BOX = (100, 60, 400, 260)
GREEN, GREY = (60, 200, 60), (120, 120, 120)


def _ground(value: int = 30) -> Pixels:
    return np.full((360, 640, 3), value, np.uint8)


def _near(found: tuple[float, ...], box: tuple[int, ...], px: int = 8) -> bool:
    return max(abs(a - b) for a, b in zip(found, box, strict=True)) <= px


@pytest.mark.parametrize("colour", [GREEN, (0, 190, 240), (235, 120, 40), (20, 20, 230), (220, 80, 150)])
@pytest.mark.parametrize(("ground", "line_px"), [(30, 2), (244, 6)])
def test_a_line_of_any_bright_colour_around_a_place_is_found_on_any_ground(
    colour: tuple[int, int, int], ground: int, line_px: int
) -> None:
    pixels = _ground(ground)
    cv2.rectangle(pixels, BOX[:2], BOX[2:], colour, line_px)
    (found,) = outlined(pixels)
    assert _near(found, BOX)
    large = cv2.resize(pixels, (1280, 720), interpolation=cv2.INTER_NEAREST)
    (found,) = outlined(large)
    assert _near(found, tuple(2 * side for side in BOX), 16)


def test_what_is_grey_filled_open_or_small_is_not_outlined() -> None:
    pixels = _ground()
    cv2.rectangle(pixels, BOX[:2], BOX[2:], GREY, 4)
    cv2.rectangle(pixels, (420, 60), (620, 260), GREEN, cv2.FILLED)
    cv2.rectangle(pixels, (20, 300), (60, 320), GREEN, 3)
    cv2.polylines(pixels, [np.array([(120, 300), (400, 300), (400, 350)], np.int32)], False, GREEN, 4)
    assert outlined(pixels) == ()


@pytest.mark.parametrize("seed", range(4))
def test_the_tile_of_who_speaks_is_found_in_a_call(seed: int) -> None:
    one = call("dev", seed)
    assert outlined(draw(one, None)) == ()
    for person, box in enumerate(one.tiles):
        (found,) = outlined(draw(one, person))
        assert _near(found, box)


def test_an_outline_that_moves_is_news_also_after_a_restart(expert: VisionExpert) -> None:
    one, config = call("dev", 0), StageConfig(options={"quality": "fast"})
    stage = expert.open_stage(config)
    states, checkpoint = [], None
    for second, person in enumerate((0, 0, 1, None)):
        for percept in stage.push_frame(Frame(draw(one, person), 16_000 * second, f"f{second}")):
            if isinstance(percept, ScreenState):
                states.append(percept)
            elif person == 1:
                checkpoint = percept
    assert [len(state.outlined) for state in states] == [1, 1, 0]
    assert _near(states[0].outlined[0], one.tiles[0]) and _near(states[1].outlined[0], one.tiles[1])
    assert checkpoint is not None
    again = expert.open_stage(StageConfig(options={"quality": "fast"}, resume_state=checkpoint.state))
    assert not again.push_frame(Frame(draw(one, 1), 32_000, "f2"))
    (gone, _) = again.push_frame(Frame(draw(one, None), 48_000, "f3"))
    assert gone.outlined == () and [r.text for r in gone.regions] == [r.text for r in states[-1].regions]
