"""What controls without words look like goes beside the state of the screen, where a stream asks for it."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.fetch import fetch
from services.runtime import sentence
from services.runtime.percept import Checkpoint, Percept, ScreenState, TokenSpan
from services.runtime.stage import Frame, MediaError, Stage, StageConfig
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


def test_a_picture_is_told_once_and_again_when_it_looks_otherwise(seer: VisionExpert, page: Pixels) -> None:
    stage = opened(seer, embeddings="on")
    first = spans(list(stage.push_frame(Frame(page, 0))))
    changed = page.copy()
    x0, y0, x1, y1 = map(int, first[0].box or ())
    shown = changed[y0:y1, x0:x1].copy()
    changed[y0:y1, x0:x1] = shown[::-1, ::-1]
    cv2.line(changed, (x0, y0), (x1 - 1, y1 - 1), (0, 0, 0), 3)
    changed[-40:, -300:] = 0  # something that is surely news
    again = spans(list(stage.push_frame(Frame(changed, 16_000))))
    told = {span.source_id for span in first}
    assert not {s.source_id for s in again if s.source_id in told and s.box != first[0].box}


def test_another_value_than_on_and_off_is_refused(seer: VisionExpert) -> None:
    with pytest.raises(MediaError, match="must be on or off"):
        opened(seer, embeddings="1")
