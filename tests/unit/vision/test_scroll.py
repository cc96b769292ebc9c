import cv2
import numpy as np
import pytest

from services.runtime.percept import UiElement
from services.vision.change import Change, ReferenceFrame
from services.vision.gui import Control
from services.vision.screen_elements import ScreenElements
from services.vision.scroll import Scroll
from tests.unit.vision.conftest import Pixels

PANE = (160, 64, 600, 352)


def page(seed: int, height: int, width: int) -> Pixels:
    """Lines of letters, no two alike."""
    random = np.random.default_rng(seed)
    pixels = np.full((height, width, 3), 255, np.uint8)
    for y in range(30, height, 34):
        text = "".join(map(chr, random.integers(ord("a"), ord("z") + 1, random.integers(8, width // 10))))
        cv2.putText(pixels, text, (12, y), (0, 0, 0), cv2.FontFace("sans"), 18, 400)
    return pixels


def window(content: Pixels, right: int = 0, down: int = 0) -> Pixels:
    """A screen with bars around a pane that shows `content` from (right, down) on."""
    x0, y0, x1, y1 = PANE
    pixels = page(99, 400, 640)
    pixels[y0:y1, x0:x1] = content[down : down + y1 - y0, right : right + x1 - x0]
    return pixels


def compared(old: Pixels, new: Pixels) -> Change:
    reference = ReferenceFrame()
    reference.compare(old)
    change = reference.compare(new)
    assert change is not None
    return change


def recompressed(pixels: Pixels, quality: int) -> Pixels:
    _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


@pytest.mark.parametrize("by_px", [1, -3, 17, -34, 68, -100, 150, -200])
def test_a_pane_that_scrolls_between_bars_is_found_to_the_pixel(by_px: int) -> None:
    content = page(1, 700, 440)
    scroll = compared(window(content, down=200), window(content, down=200 - by_px)).scroll
    assert scroll is not None and (scroll.dx_px, scroll.dy_px) == (0, by_px)
    x0, y0, x1, y1 = scroll.area
    # The bars have gaps between their lines which fit as well, so the edges are not those of the pane.
    assert abs(y0 - (PANE[1] + max(0, by_px))) <= 34 and abs(y1 - (PANE[3] + min(0, by_px))) <= 34
    assert x0 <= PANE[0] + 12 and x1 >= PANE[0] + 200


@pytest.mark.parametrize("by_px", [-40, 90])
def test_scrolling_sideways_is_found(by_px: int) -> None:
    content = page(2, 288, 900)
    scroll = compared(window(content, right=200), window(content, right=200 - by_px)).scroll
    assert scroll is not None and (scroll.dx_px, scroll.dy_px) == (by_px, 0)


def test_scrolling_is_found_through_codec_noise() -> None:
    content = page(3, 700, 440)
    old, new = recompressed(window(content, down=100), 75), recompressed(window(content, down=160), 85)
    scroll = compared(old, new).scroll
    assert scroll is not None and scroll.dy_px == -60


def test_what_scrolled_is_no_change_but_what_came_into_view_is() -> None:
    content = page(4, 700, 440)
    change = compared(window(content, down=100), window(content, down=150))
    assert not change.within((170, 70, 590, 290)) and change.within((170, 305, 590, 350))
    # The pane found is a tile wider than what changed.
    assert not change.within((0, 0, 120, 400)) and not change.within((0, 0, 640, 60))


def test_a_word_edited_while_its_line_scrolls_is_a_change() -> None:
    content = page(5, 700, 440)
    edited = content.copy()
    edited[290:310, 20:60] = 255
    change = compared(window(content, down=100), window(edited, down=150))
    assert change.scroll is not None and change.within((180, 200, 220, 226))


def test_blank_content_that_comes_into_view_is_a_change() -> None:
    content = page(6, 700, 440)
    content[388:] = 255
    change = compared(window(content, down=100), window(content, down=150))
    assert change.scroll is not None and change.within((170, 306, 590, 350))


@pytest.mark.parametrize("other", [page(8, 400, 640), np.zeros((400, 640, 3), np.uint8)])
def test_another_picture_is_all_change_and_no_scrolling(other: Pixels) -> None:
    change = compared(page(7, 400, 640), other)
    assert change.scroll is None and change.areas == ((0, 0, 640, 400),)


def test_a_pop_up_is_no_scrolling() -> None:
    old = page(9, 400, 640)
    new = old.copy()
    new[100:250, 200:500] = page(10, 150, 300)
    change = compared(old, new)
    assert change.scroll is None and len(change.areas) == 1


def test_the_exposed_strip_lies_where_content_came_from() -> None:
    for scroll, exposed in (
        (Scroll(0, 30, (0, 130, 200, 300)), (0, 100, 200, 130)),
        (Scroll(0, -30, (0, 100, 200, 270)), (0, 270, 200, 300)),
        (Scroll(20, 0, (50, 0, 200, 90)), (30, 0, 50, 90)),
        (Scroll(-20, 0, (30, 0, 180, 90)), (180, 0, 200, 90)),
    ):
        assert scroll.exposed == exposed


def test_controls_in_what_scrolled_keep_their_ids_and_others_their_places() -> None:
    elements = ScreenElements(
        [UiElement("e1", "button", (20, 150, 80, 170)), UiElement("e2", "link", (20, 10, 80, 30))]
    )
    elements.scroll(Scroll(0, -50, (0, 60, 200, 300)))
    elements.update([Control("link", (20, 10, 80, 30), 0.9), Control("button", (21, 100, 80, 120), 0.9)])
    assert [(element.element_id, element.box) for element in elements.elements] == [
        ("e2", (20, 10, 80, 30)),
        ("e1", (20, 100, 80, 120)),
    ]
