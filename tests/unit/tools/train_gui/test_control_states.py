"""What a page of a form shows of its controls' states is told of the picture of it alone."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from engines.fetch import fetch
from services.vision.control_states import ControlStates
from services.vision.gui import Control, GuiDetector

FORM = """<!doctype html><style>body { margin: 40px; font: 16px sans-serif; background: #fff }
h1 { font-size: 24px } input { display: block; width: 300px; height: 24px; margin: 14px 0; padding: 6px 12px;
  font: inherit; border: 1px solid #bbb; border-radius: 6px }
button { padding: 9px 18px; margin-right: 12px; font: inherit; color: #fff; background: #0b5ed7;
  border: 0; border-radius: 6px }
:disabled { opacity: .45 } :focus { outline: 2px solid #000; outline-offset: 2px }</style>
<h1>Room booking</h1><input value="Conference room 4"><input value="12 March 2027"><input value="09:30">
<button>Check</button><button>Reserve</button><button>Print plan</button><button>Cancel</button>"""


@pytest.fixture(scope="module", autouse=True)
def ready(tab: Page) -> None:
    fetch(["gui-elements", "control-states"])
    tab.set_viewport_size({"width": 900, "height": 500})


def seen(tab: Page) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(tab.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture.astype(np.uint8, copy=False)


def said(tab: Page, state: str) -> list[tuple[int, int]]:
    """Middles of the controls that are told to be in a state."""
    pixels = seen(tab)
    controls: list[Control] = ControlStates().add(pixels, GuiDetector().detect(pixels))
    boxes = [control.box for control in controls if state in control.states]
    return sorted((round((x0 + x1) / 2), round((y0 + y1) / 2)) for x0, y0, x1, y1 in boxes)


def middle(tab: Page, selector: str) -> tuple[int, int]:
    box = tab.locator(selector).bounding_box()
    assert box is not None
    return round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)


def near(one: tuple[int, int], other: tuple[int, int]) -> bool:
    # The detector's box of a wide field may be some pixels short.
    return abs(one[0] - other[0]) <= 20 and abs(one[1] - other[1]) <= 6


def test_a_form_as_it_is_has_nothing_disabled_or_focused(tab: Page) -> None:
    tab.set_content(FORM)
    assert said(tab, "disabled") == said(tab, "focused") == []


def test_a_button_that_is_paler_than_the_others_is_disabled(tab: Page) -> None:
    tab.set_content(FORM)
    tab.evaluate("() => { document.querySelectorAll('button')[1].disabled = true }")
    (found,) = said(tab, "disabled")
    assert near(found, middle(tab, "button:nth-of-type(2)"))


def test_the_field_with_a_ring_is_focused(tab: Page) -> None:
    tab.set_content(FORM)
    tab.evaluate("() => document.querySelectorAll('input')[2].focus()")
    (found,) = said(tab, "focused")
    assert near(found, middle(tab, "input:nth-of-type(3)"))


def test_no_control_is_no_state(tab: Page) -> None:
    assert ControlStates().add(np.full((300, 400, 3), 255, np.uint8), []) == []
