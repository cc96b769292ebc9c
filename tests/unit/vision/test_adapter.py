"""What controls without words look like goes beside the state of the screen, where a stream asks for it."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.fetch import fetch
from services.runtime import sentence
from services.runtime.percept import Checkpoint, Percept, ScreenState, TokenSpan, UiElement
from services.runtime.stage import Frame, MediaError, Stage, StageConfig
from services.vision.adapter import VisionAdapter
from services.vision.service import VisionExpert
from tests.conftest import DATA

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def seer(expert: VisionExpert) -> VisionExpert:
    fetch(["icon-encoder", "minilm"])
    return expert


@pytest.fixture(scope="module")
def page() -> Pixels:
    return np.asarray(cv2.imread(str(DATA / "gui.png")), np.uint8)


def opened(seer: VisionExpert, **options: str) -> Stage:
    return seer.open_stage(StageConfig(tasks=("gui",), options={"quality": "fast"} | options))


def spans(percepts: list[Percept]) -> list[TokenSpan]:
    return [percept for percept in percepts if isinstance(percept, TokenSpan)]


def test_it_is_off_unless_a_stream_asks_for_it(seer: VisionExpert, page: Pixels) -> None:
    assert not spans(list(opened(seer).push_frame(Frame(page, 0))))


def test_each_control_without_words_has_a_unit_vector_before_the_checkpoint(seer: VisionExpert, page: Pixels) -> None:
    percepts = list(opened(seer, embeddings="on").push_frame(Frame(page, 160, "f")))
    assert isinstance(percepts[0], ScreenState) and isinstance(percepts[-1], Checkpoint)
    wordless = {e.element_id: e.box for e in percepts[0].elements if e.class_name in ("icon", "button") and not e.text}
    assert spans(percepts)
    for span in spans(percepts):
        assert span.box == wordless[span.source_id]
        assert (span.modality, span.start_sample, span.frame_id) == ("screen", 160, "f")
        assert (span.space_id, span.dimension, span.rows) == (sentence.space_id(), 384, 1)
        assert np.linalg.norm(np.frombuffer(span.values, "<f2").astype(np.float32)) == pytest.approx(1, abs=0.01)


def test_a_picture_is_told_once_and_again_when_it_looks_otherwise(seer: VisionExpert) -> None:
    boxes = {"a": (10.0, 10.0, 42.0, 42.0), "b": (60.0, 10.0, 92.0, 42.0), "worded": (110.0, 10.0, 142.0, 42.0)}
    elements = tuple(
        UiElement(name, "button", box, text="Save" if name == "worded" else "") for name, box in boxes.items()
    )
    pixels = np.full((60, 160, 3), 255, np.uint8)
    for x0, *_ in boxes.values():
        cv2.circle(pixels, (int(x0) + 16, 26), 12, (0, 0, 0), 2)
    adapter = VisionAdapter(seer.icons)

    def told(sample: int) -> list[str]:
        return [s.source_id for s in adapter.spans(ScreenState(sample, 160, 60, elements=elements), pixels)]

    assert told(0) == ["a", "b"]
    assert told(1) == []
    cv2.rectangle(pixels, (60, 10), (92, 42), (255, 255, 255), -1)
    cv2.arrowedLine(pixels, (64, 26), (88, 26), (0, 0, 0), 3)
    assert told(2) == ["b"]
    cv2.rectangle(pixels, (60, 10), (92, 42), (200, 200, 200), -1)
    assert told(3) == []


def test_another_value_than_on_and_off_is_refused(seer: VisionExpert) -> None:
    with pytest.raises(MediaError, match="must be on or off"):
        opened(seer, embeddings="1")
