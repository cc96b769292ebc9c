"""Controls on a drawn page of a CSS framework and icons that were never trained on (tools/train_gui, seed 700007)."""

import json

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.manifest import manifest
from services.runtime.percept import Checkpoint, ScreenState, UiElement
from services.runtime.stage import Frame, StageConfig
from services.vision.gui import CLASS_NAMES, STATE_NAMES, Control
from services.vision.ocr import TextLine
from services.vision.screen_elements import ScreenElements
from services.vision.service import VisionExpert
from services.vision.text_detection import TextBox
from tests.conftest import DATA

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def page() -> Pixels:
    pixels = cv2.imread(str(DATA / "gui.png"))
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, width) * max(0.0, height)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def screen(percepts: object) -> ScreenState:
    (state,) = (percept for percept in percepts if isinstance(percept, ScreenState))  # type: ignore[attr-defined]
    return state


def control(x: float, y: float, name: str = "button", *states: str) -> Control:
    return Control(name, (x, y, x + 80, y + 30), 0.9, states)


def line(text: str, x0: float, y0: float, x1: float, y1: float) -> TextLine:
    box = TextBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0, 0.9)
    return TextLine(text, (x0, y0, x1, y1), box, 0.99, "Latin")


def test_most_controls_of_an_unseen_framework_are_found_where_they_are(expert: VisionExpert, page: Pixels) -> None:
    truth = json.loads((DATA / "gui.json").read_text())
    found = [each for each in expert.gui().detect(page) if each.confidence >= 0.3]
    there = [entry for entry in truth if any(iou(each.box, entry[1:5]) >= 0.5 for each in found)]
    right = [each for each in found if any(iou(each.box, entry[1:5]) >= 0.5 for entry in truth)]
    assert len(there) >= 0.7 * len(truth) and len(right) >= 0.5 * len(found)


def test_the_network_is_a_plain_graph_of_ten_classes_and_four_states() -> None:
    model = manifest("gui-elements")
    shapes = {output.name: output.shape[2] for output in model.graph[0].output}
    assert shapes["scores_8"] == len(CLASS_NAMES) + len(STATE_NAMES) and shapes["edges_32"] == 4
    assert model.licence == "Apache-2.0" and not model.package


@pytest.mark.parametrize("shape", [(8, 8), (8, 640), (640, 8), (33, 31), (1100, 2100)])
def test_boxes_of_any_picture_stay_inside_it(expert: VisionExpert, shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (*shape, 3), np.uint8)
    for each in expert.gui().detect(noise):
        x0, y0, x1, y1 = each.box
        assert 0 <= x0 <= x1 <= shape[1] and 0 <= y0 <= y1 <= shape[0]


def test_a_control_keeps_its_id_and_box_while_it_stays() -> None:
    shown = ScreenElements()
    shown.update([control(10, 10), control(200, 10, "tab")])
    first = shown.with_text([])
    shown.update([control(202, 11, "tab"), control(11, 10), control(10, 100)])
    second = shown.with_text([])
    assert [(e.element_id, e.box) for e in second[:2]] == [(e.element_id, e.box) for e in first]
    assert second[2].element_id not in {e.element_id for e in first}


def test_another_class_or_state_is_news() -> None:
    shown = ScreenElements()
    shown.update([control(10, 10, "checkbox")])
    (before,) = shown.with_text([])
    shown.update([control(10, 10, "checkbox", "checked")])
    (after,) = shown.with_text([])
    assert (before.element_id, before.states, after.states) == (after.element_id, (), ("checked",))
    shown.update([control(10, 10, "button")])
    assert shown.with_text([])[0].element_id != before.element_id


def test_each_control_has_the_words_inside_it_and_a_check_box_the_label_beside_it() -> None:
    shown = ScreenElements()
    tabs = [control(0, 0, "tab"), control(80, 0, "tab")]
    box = Control("checkbox", (10, 60, 24, 74), 0.8)
    shown.update([*tabs, box])
    lines = [
        line("Home Contact", 20, 5, 140, 25),
        line("Remember me", 30, 59, 120, 75),
        line("else", 300, 300, 330, 315),
    ]
    assert [element.text for element in shown.with_text(lines)] == ["Home", "Contact", "Remember me"]


def test_controls_come_with_the_screen_and_survive_a_checkpoint(expert: VisionExpert, page: Pixels) -> None:
    stage = expert.open_stage(StageConfig(tasks=("ocr", "gui"), options={"quality": "fast"}))
    percepts = stage.push_frame(Frame(page, 0))
    state = screen(percepts)
    assert any(element.text for element in state.elements)
    (checkpoint,) = (percept for percept in percepts if isinstance(percept, Checkpoint))
    config = StageConfig(tasks=("ocr", "gui"), options={"quality": "fast"}, resume_state=checkpoint.state)
    resumed = expert.open_stage(config)
    assert not resumed.push_frame(Frame(page, 0))
    changed = page.copy()
    changed[500:540, 600:760] = 0
    after, expected = (screen(each.push_frame(Frame(changed, 1))) for each in (resumed, stage))
    assert after == expected
    kept: dict[str, UiElement] = {element.element_id: element for element in state.elements}
    assert len(kept.keys() & {element.element_id for element in after.elements}) >= len(kept) // 2
