"""Queries: what is understood of them, which tasks they need, and what is answered about a drawn page."""

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engines.fetch import fetch
from engines.manifest import manifest
from services.runtime.percept import Checkpoint, Coverage, Percept, QueryAnswer, ScreenState
from services.runtime.stage import Frame, MediaError, StageConfig
from services.vision.icons import ICON_PX, ink_of
from services.vision.service import VisionExpert, new_expert
from tests.conftest import DATA

Pixels = NDArray[np.uint8]
FAST = {"quality": "fast"}


@pytest.fixture(scope="module")
def finder(expert: VisionExpert) -> VisionExpert:
    fetch(["minilm", "icon-encoder"])
    return expert


@pytest.fixture(scope="module")
def page() -> Pixels:
    return np.asarray(cv2.imread(str(DATA / "gui.png")), np.uint8)


def answers(percepts: Sequence[Percept]) -> tuple[QueryAnswer, ...]:
    (state,) = (percept for percept in percepts if isinstance(percept, ScreenState))
    return state.answers


def asked(finder: VisionExpert, pixels: Pixels, *queries: str) -> tuple[QueryAnswer, ...]:
    stage = finder.open_stage(StageConfig(queries=queries, options=FAST))
    return answers(stage.push_frame(Frame(pixels, 0)))


@pytest.mark.parametrize(
    ("query", "kind", "content", "thing"),
    [
        ("the submit button", "button", "submit", ""),
        ("Find all check boxes", "checkbox", "", ""),
        ("gear icon", "icon", "gear", ""),
        ('button labelled "Save as"', "button", "save as", ""),
        ('text "Total amount"', "text", "total amount", ""),
        ("person", "", "person", "person"),
        ("two-wheeler", "", "two-wheeler", ""),
        ("a photo of a dog", "", "dog", "dog"),
        ("people", "", "people", "person"),
        ("sofa", "", "sofa", "couch"),
        ("a cat's mood", "", "cat's mood", ""),
        ("dragon", "", "dragon", ""),
        ("the heading", "", "heading", ""),
        ("red car", "", "red car", ""),
    ],
)
def test_a_query_is_a_control_a_text_a_thing_of_coco_or_a_bare_word(
    finder: VisionExpert, query: str, kind: str, content: str, thing: str
) -> None:
    wish = finder.vocabulary().understand(query)
    assert (wish.kind, wish.content, wish.object_class) == (kind, content, thing)


@pytest.mark.parametrize(
    ("query", "tasks"),
    [
        ("person", ("objects",)),
        ("gear icon", ("gui",)),
        ("slider", ("gui",)),
        ("the submit button", ("ocr", "gui")),
        ("dragon", ("ocr",)),
    ],
)
def test_only_the_tasks_that_could_find_it_run(finder: VisionExpert, query: str, tasks: tuple[str, ...]) -> None:
    assert finder.vocabulary().understand(query).tasks == tasks


def test_a_thing_of_coco_opens_its_detector_alone(finder: VisionExpert) -> None:
    expert = new_expert()
    asked(expert, np.full((240, 320, 3), 255, np.uint8), "person")
    assert [model.name for model in expert.models() if model.is_loaded] == ["nanodet-g"]


def test_what_no_detector_covers_is_said_and_not_guessed(finder: VisionExpert, page: Pixels) -> None:
    for answer in asked(finder, page, "dragon", "a cat's mood", "the meaning of this page"):
        assert answer.coverage is Coverage.NOT_COVERED and not answer.matches and answer.reason


def test_a_covered_thing_that_is_not_there_is_not_found(finder: VisionExpert) -> None:
    empty = np.full((240, 320, 3), 255, np.uint8)
    coverages = [answer.coverage for answer in asked(finder, empty, "giraffe", "save button", "gear icon", 'text "hi"')]
    assert coverages == [Coverage.NOT_FOUND] * 4


def test_buttons_are_found_where_they_are(finder: VisionExpert, page: Pixels) -> None:
    truth = [entry[1:5] for entry in json.loads((DATA / "gui.json").read_text()) if entry[0] == "button"]
    (answer,) = asked(finder, page, "every button")
    assert answer.coverage is Coverage.FOUND and answer.tasks == ("gui",)
    inside = [
        any(x0 <= (m.box[0] + m.box[2]) / 2 <= x1 and y0 <= (m.box[1] + m.box[3]) / 2 <= y1 for x0, y0, x1, y1 in truth)
        for m in answer.matches
    ]
    assert 2 * sum(inside) > len(inside)
    assert [m.score for m in answer.matches] == sorted((m.score for m in answer.matches), reverse=True)


def test_a_control_is_found_by_its_words_and_no_other_is_taken_for_it(finder: VisionExpert, page: Pixels) -> None:
    drafts, missing = asked(finder, page, "the drafts button", "the launch rockets button")
    assert [match.name for match in drafts.matches] == ["button Drafts"] and drafts.tasks == ("ocr", "gui")
    assert missing.coverage is Coverage.NOT_FOUND and not missing.matches


def test_a_bare_word_that_stands_on_the_screen_is_found_there(finder: VisionExpert) -> None:
    pixels = np.full((240, 480, 3), 255, np.uint8)
    cv2.putText(pixels, "The dragon sleeps", (20, 120), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2)
    found, unknown = asked(finder, pixels, 'text "the dragon sleeps"', "unicorn")
    assert [match.source for match in found.matches] == ["text"] and unknown.coverage is Coverage.NOT_COVERED


@pytest.mark.parametrize("queries", [("",), ("  ",), ("a" * 201,), ("person",) * 17])
def test_empty_long_and_many_queries_are_refused(finder: VisionExpert, queries: tuple[str, ...]) -> None:
    with pytest.raises(MediaError, match="quer"):
        finder.open_stage(StageConfig(queries=queries))


def test_answers_survive_a_checkpoint(finder: VisionExpert, page: Pixels) -> None:
    config = StageConfig(queries=("every button", "dragon"), options=FAST)
    stage = finder.open_stage(config)
    percepts = stage.push_frame(Frame(page, 0))
    (checkpoint,) = (percept for percept in percepts if isinstance(percept, Checkpoint))
    resumed = finder.open_stage(StageConfig(queries=config.queries, options=FAST, resume_state=checkpoint.state))
    assert not resumed.push_frame(Frame(page, 0))
    changed = page.copy()
    changed[300:700, :] = 255
    after, expected = (answers(each.push_frame(Frame(changed, 1))) for each in (resumed, stage))
    assert after == expected


def test_other_queries_are_answered_about_the_same_picture_and_their_tasks_come_and_go(
    finder: VisionExpert, page: Pixels
) -> None:
    stage = finder.open_stage(StageConfig(tasks=("ocr",), options=FAST))
    (before,) = (p for p in stage.push_frame(Frame(page, 0)) if isinstance(p, ScreenState))
    stage.update({"queries": "every button\ndragon"})
    (asked_anew,) = (p for p in stage.push_frame(Frame(page, 1)) if isinstance(p, ScreenState))
    assert [answer.coverage for answer in asked_anew.answers] == [Coverage.FOUND, Coverage.NOT_COVERED]
    assert asked_anew.regions == before.regions and asked_anew.elements and not before.elements
    assert not stage.push_frame(Frame(page, 2))
    stage.update({"queries": ""})
    (after,) = (p for p in stage.push_frame(Frame(page, 3)) if isinstance(p, ScreenState))
    assert not after.answers and not after.elements
    for options, what in (({"quality": "fast"}, "cannot change"), ({"queries": "a" * 201}, "201 characters")):
        with pytest.raises(MediaError, match=what):
            stage.update(options)


def test_a_stream_that_goes_on_with_other_queries_answers_them(finder: VisionExpert, page: Pixels) -> None:
    stage = finder.open_stage(StageConfig(tasks=("ocr",), options=FAST))
    (checkpoint,) = (p for p in stage.push_frame(Frame(page, 0)) if isinstance(p, Checkpoint))
    options = {**FAST, "queries": "every button"}
    resumed = finder.open_stage(StageConfig(tasks=("ocr",), options=options, resume_state=checkpoint.state))
    (answer,) = answers(resumed.push_frame(Frame(page, 0)))
    stage.update({"queries": "every button"})
    assert (answer,) == answers(stage.push_frame(Frame(page, 0)))


def test_what_needs_a_model_that_is_not_there_is_not_covered_and_the_rest_is_answered(
    finder: VisionExpert, page: Pixels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert = new_expert()
    stage = expert.open_stage(StageConfig(tasks=("ocr",), options=FAST))
    monkeypatch.setenv("SENSORIUM_MODELS", str(tmp_path))
    stage.update({"queries": "person\nevery button"})
    person, button = answers(stage.push_frame(Frame(page, 0)))
    assert person.coverage is button.coverage is Coverage.NOT_COVERED
    assert "nanodet-g" in person.reason and "sensorium models fetch" in person.reason


def test_ink_is_the_same_on_dark_and_light_and_wherever_the_icon_lies() -> None:
    light = np.full((24, 24), 250, np.uint8)
    cv2.line(light, (4, 4), (15, 15), 10, 2)
    moved = np.roll(light, (4, 5), (0, 1))
    inks = [ink_of(light), ink_of(255 - light), ink_of(moved)]
    assert all(ink is not None and ink.shape == (ICON_PX, ICON_PX) for ink in inks)
    assert np.allclose(inks[0], inks[1], atol=0.05) and np.allclose(inks[0], inks[2])  # type: ignore[arg-type]
    assert ink_of(np.full((9, 9), 77, np.uint8)) is None


def test_an_icon_is_nearer_to_its_name_than_to_others(finder: VisionExpert) -> None:
    plus = np.full((24, 24, 3), 255, np.uint8)
    plus[11:13, 4:20] = plus[4:20, 11:13] = 0
    (vector,) = finder.icons().encode([plus])
    names = ["plus", "trash", "envelope", "user", "camera", "battery"]
    assert names[int((finder.sentences().encode(names) @ vector).argmax())] == "plus"
    assert manifest("icon-encoder").parameters <= 2_000_000 and not manifest("icon-encoder").package
