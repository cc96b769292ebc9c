"""A task touches its own path: the models that one picture opens are counted."""

import cv2
import numpy as np
import pytest

from engines import residency
from engines.fetch import fetch
from engines.residency import Residents
from services.runtime.stage import Frame, StageConfig
from services.vision.service import new_expert
from tools.models import for_tasks

PATHS = {"objects": ["nanodet-g"], "gui": ["gui-elements", "control-states"]}


@pytest.fixture
def residents(monkeypatch: pytest.MonkeyPatch) -> Residents:
    counted = Residents(None)
    monkeypatch.setattr(residency, "process", lambda: counted)
    return counted


def models_opened(residents: Residents, task: str) -> list[str]:
    fetch(for_tasks([task]))
    picture = np.full((240, 320, 3), 255, np.uint8)
    cv2.putText(picture, "Budget 48000", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2)
    cv2.rectangle(picture, (60, 160), (180, 196), (200, 90, 30), cv2.FILLED)
    cv2.putText(picture, "Save", (95, 184), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
    stage = new_expert().open_stage(StageConfig(tasks=(task,)))
    stage.push_frame(Frame(picture, 0, "f"))
    stage.flush()
    return [name.split("/")[0] for name in residents.opened]


@pytest.mark.parametrize("task", ["objects", "gui"])
def test_one_task_opens_the_graphs_of_its_path(residents: Residents, task: str) -> None:
    assert models_opened(residents, task) == PATHS[task]


def test_reading_text_opens_no_other_task(residents: Residents) -> None:
    opened = models_opened(residents, "ocr")
    assert opened and set(opened).isdisjoint(set().union(*PATHS.values()))
    assert set(residents.opened.values()) == {1}
