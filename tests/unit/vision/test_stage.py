from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from engines.interruption import InterruptedRunError, Interruption
from services.runtime.image import decode_image
from services.runtime.percept import Checkpoint, Percept, ScreenState
from services.runtime.stage import Frame, MediaError, Stage, StageConfig
from services.vision.service import VisionExpert, new_expert
from services.vision.stage import VisionStage
from tests.unit.vision.conftest import Draw, Pixels

FAST = StageConfig(options={"quality": "fast"})
SLIDE = (("Quarterly review", 40, 60), ("Revenue grew in March", 40, 140), ("Questions to Priya", 40, 220))


def screen(percepts: Sequence[Percept]) -> ScreenState:
    states = [percept for percept in percepts if isinstance(percept, ScreenState)]
    assert len(states) == 1
    return states[0]


def texts(state: ScreenState) -> list[str]:
    return [region.text for region in state.regions]


def play(stage: Stage, frames: Sequence[Pixels]) -> list[ScreenState]:
    out: list[Percept] = []
    for number, pixels in enumerate(frames):
        out += stage.push_frame(Frame(pixels, number * 16_000, f"f{number}"))
    return [percept for percept in [*out, *stage.flush()] if isinstance(percept, ScreenState)]


def rest_of(stage: VisionStage) -> list[ScreenState]:
    """What it says while nothing more comes."""
    out: list[Percept] = []
    while (percepts := stage.rest(is_long=True)) is not None:
        out += percepts
    return [percept for percept in out if isinstance(percept, ScreenState)]


def assert_same_screen(kept: ScreenState, fresh: ScreenState) -> None:
    assert texts(kept) == texts(fresh)
    for a, b in zip(kept.regions, fresh.regions, strict=True):
        assert np.abs(np.subtract(a.box, b.box)).max() <= 3


def test_a_slide_is_read_in_order_with_boxes(expert: VisionExpert, draw: Draw) -> None:
    state = screen(expert.open_stage(FAST).push_frame(Frame(draw(SLIDE), 320, "f")))
    assert texts(state) == [text for text, _, _ in SLIDE]
    assert (state.start_sample, state.frame_id, state.width_px, state.height_px) == (320, "f", 640, 360)
    for region, (_, x, y) in zip(state.regions, SLIDE, strict=True):
        x0, y0, x1, y1 = region.box
        assert x0 < x + 5 < x1 and y0 < y - 5 < y1
        assert region.confidence is not None and region.confidence > 0.9 and region.script == "Latn"
    assert len({region.region_id for region in state.regions}) == 3


def test_a_slide_as_people_show_it_is_read_without_a_wrong_word(expert: VisionExpert, slide_png: bytes) -> None:
    state = screen(expert.open_stage(FAST).push_frame(Frame(decode_image(slide_png), 0)))
    assert texts(state) == [
        "Lobster à la Newberg",
        *("Ingredient", "Quantity"),
        *("Lobster meat", "1 pound"),
        *("Butter", "1 teaspoonful"),
        *("Cream", "1/2 pint"),
        *("Yolks of eggs", "4"),
        *("Sherry", "1 wine glass"),
        "Monday reading circle",
    ]


def test_an_unchanged_screen_says_nothing(expert: VisionExpert, draw: Draw) -> None:
    stage = expert.open_stage(FAST)
    assert len(stage.push_frame(Frame(draw(SLIDE), 0))) == 2
    assert stage.push_frame(Frame(draw(SLIDE), 16_000)) == []
    assert stage.flush() == []


def test_after_typing_the_screen_equals_a_full_read_and_other_lines_keep_their_ids(
    expert: VisionExpert, draw: Draw
) -> None:
    typed = "status of the new release"
    frames = [draw((*SLIDE, (typed[:end], 40, 300))) for end in range(6, len(typed) + 1, 6)]
    frames.append(draw((*SLIDE, (typed, 40, 300))))
    states = play(expert.open_stage(FAST), frames)
    assert_same_screen(states[-1], screen(expert.open_stage(FAST).push_frame(Frame(frames[-1], 0))))
    assert texts(states[-1])[-1] == typed
    assert {state.slide_id for state in states} == {"s1"}
    last_line = states[-1].regions[-1].region_id
    assert [(c.kind.value, c.region_ids) for c in states[-1].changes] == [("changed", (last_line,))]
    first, last = ([region.region_id for region in state.regions] for state in (states[0], states[-1]))
    assert first == last


def test_after_a_new_slide_the_screen_equals_a_full_read_and_ids_are_new(expert: VisionExpert, draw: Draw) -> None:
    other = draw((("Hiring plan for autumn", 60, 80), ("Two engineers in Lisbon", 60, 160)))
    states = play(expert.open_stage(FAST), [draw(SLIDE), other])
    assert_same_screen(states[-1], screen(expert.open_stage(FAST).push_frame(Frame(other, 0))))
    assert not {r.region_id for r in states[0].regions} & {r.region_id for r in states[-1].regions}
    assert [state.slide_id for state in states] == ["s1", "s2"]
    assert [change.kind.value for change in states[-1].changes] == ["appeared", "gone"]


def test_a_line_that_loses_its_middle_becomes_two(expert: VisionExpert, draw: Draw) -> None:
    whole, parts = (
        draw((("alpha bravo charlie delta echo", 40, 100),)),
        draw((("alpha", 40, 100), ("echo", 400, 100))),
    )
    states = play(expert.open_stage(FAST), [whole, parts])
    assert texts(states[-1]) == ["alpha", "echo"]


def test_a_blinking_cursor_leaves_the_other_lines_alone(expert: VisionExpert, draw: Draw) -> None:
    plain = draw(SLIDE)
    cursor = plain.copy()
    cursor[200:226, 240:242] = 0
    states = play(expert.open_stage(FAST), [plain, cursor, plain, cursor, plain])
    assert_same_screen(states[-1], screen(expert.open_stage(FAST).push_frame(Frame(plain, 0))))
    assert {tuple(r.region_id for r in state.regions[:2]) for state in states} == {("r000001", "r000002")}


def test_codec_noise_is_no_change(expert: VisionExpert, draw: Draw) -> None:
    stage = expert.open_stage(FAST)
    for number, quality in enumerate((70, 90, 80)):
        _, data = cv2.imencode(".jpg", draw(SLIDE), [cv2.IMWRITE_JPEG_QUALITY, quality])
        said = stage.push_frame(Frame(decode_image(data.tobytes()), number))
        assert bool(said) == (number == 0)


def test_rest_and_end_bring_the_accurate_reading_under_the_same_ids(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw((*SLIDE, ("std::vector<int>", 40, 300)))
    stage = expert.open_stage(StageConfig())
    first = screen(stage.push_frame(Frame(pixels, 0)))
    assert "std::vector<int>" not in texts(first)
    final = [percept for percept in stage.flush() if isinstance(percept, ScreenState)]
    last = final[-1] if final else first
    assert [r.region_id for r in first.regions] == [r.region_id for r in last.regions]
    assert last.changes == () and last.slide_id == first.slide_id
    assert stage.flush() == []
    assert "std::vector<int>" in texts(last)
    rested = expert.open_stage(StageConfig())
    rested.push_frame(Frame(pixels, 0))
    (said,) = rest_of(rested)
    assert texts(said) == texts(last) and [r.region_id for r in said.regions] == [r.region_id for r in last.regions]
    assert rested.push_frame(Frame(pixels, 16_000)) == [] == rested.flush()


def test_a_picture_that_comes_while_lines_are_read_again_is_read_at_once(expert: VisionExpert, draw: Draw) -> None:
    stage = expert.open_stage(StageConfig())
    stage.push_frame(Frame(draw(SLIDE), 0))
    assert stage.rest(is_long=True) == []
    both = draw((*SLIDE, ("one more thing", 40, 300)))
    assert "one more thing" in texts(screen(stage.push_frame(Frame(both, 16_000))))
    whole = expert.open_stage(StageConfig())
    first = screen(whole.push_frame(Frame(both, 0)))
    assert texts((rest_of(stage) or [first])[-1]) == texts((rest_of(whole) or [first])[-1])


def test_a_re_reading_that_is_broken_off_is_as_if_it_had_not_begun(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw((*SLIDE, ("std::vector<int>", 40, 300)))
    broken, whole = expert.open_stage(StageConfig()), expert.open_stage(StageConfig())
    for stage in (broken, whole):
        stage.push_frame(Frame(pixels, 0))
    work = Interruption()
    work.ask()
    with pytest.raises(InterruptedRunError):
        work.run(lambda: broken.rest(is_long=True))
    assert rest_of(broken) == rest_of(whole)


def test_a_stage_resumed_from_a_checkpoint_goes_on_as_if_nothing_had_happened(expert: VisionExpert, draw: Draw) -> None:
    frames = [draw(SLIDE), draw((*SLIDE, ("one more thing", 40, 300)))]
    stage = expert.open_stage(FAST)
    checkpoint = stage.push_frame(Frame(frames[0], 0))[-1]
    assert isinstance(checkpoint, Checkpoint) and checkpoint.resume_sample == 0
    expected = stage.push_frame(Frame(frames[1], 16_000))
    again = expert.open_stage(StageConfig(resume_state=checkpoint.state, start_sample=0, options={"quality": "fast"}))
    assert again.push_frame(Frame(frames[0], 0)) == []
    assert list(again.push_frame(Frame(frames[1], 16_000))) == list(expected)


def test_a_foreign_resume_state_is_refused(expert: VisionExpert) -> None:
    for state in (b"\xff\xfe", b"{}", b"[1]", b'{"lines": [3], "objects": []}'):
        with pytest.raises(MediaError, match="resume state"):
            expert.open_stage(StageConfig(resume_state=state))


def test_a_resized_screen_is_read_anew(expert: VisionExpert, draw: Draw) -> None:
    small = draw(SLIDE)
    large = np.full((480, 800, 3), 255, np.uint8)
    large[:360, :640] = small
    states = play(expert.open_stage(FAST), [small, large])
    assert [(state.width_px, state.height_px) for state in states] == [(640, 360), (800, 480)]
    assert texts(states[0]) == texts(states[1])


def a_page(draw: Draw, first: int = 0) -> Pixels:
    """More lines than a piece."""
    lines = [f"{number} lines of this page were read again on Tuesday" for number in range(first, first + 20)]
    halves = lines[:10], lines[10:]
    return np.vstack([draw([(text, 40, 30 + 34 * row) for row, text in enumerate(half)]) for half in halves])


def test_a_long_page_is_said_in_pieces_and_the_last_says_what_a_whole_read_says(
    expert: VisionExpert, draw: Draw
) -> None:
    stage, whole = expert.open_stage(FAST), expert.open_stage(FAST)
    for number, first in enumerate((0, 50)):
        frame = Frame(a_page(draw, first), 16_000 * number, "f")
        _, *pieces, last = stage.push_frame_in_pieces(frame)
        assert last == whole.push_frame(frame) and not screen(last).is_partial
        assert pieces
        for partial in map(screen, pieces):
            assert partial.is_partial and partial.frame_id == "f" and not partial.changes
            assert 0 < len(partial.regions) < len(screen(last).regions)
            assert [region for region in screen(last).regions if region in partial.regions] == list(partial.regions)
        assert screen(pieces[0]).regions[0] == screen(last).regions[0]


def test_the_first_lines_of_another_page_are_said_before_all_of_it_is_looked_at(
    expert: VisionExpert, draw: Draw
) -> None:
    stage = expert.open_stage(FAST)
    for number, start in enumerate((0, 50)):
        first, *_, last = map(screen, stage.push_frame_in_pieces(Frame(a_page(draw, start), 16_000 * number)))
        assert first.is_partial and len(first.regions) < len(last.regions) / 4
        for early, late in zip(first.regions, last.regions, strict=False):
            assert (early.region_id, early.text) == (late.region_id, late.text)
            assert np.abs(np.subtract(early.box, late.box)).max() <= 8


def test_lines_that_stay_are_among_the_first_that_are_said_of_what_came(expert: VisionExpert, draw: Draw) -> None:
    stage, page, other = expert.open_stage(FAST), a_page(draw), a_page(draw, 50)
    stage.push_frame(Frame(page, 0))
    # The heading is as it was.
    other[:41] = page[:41]
    first, *_, last = map(screen, stage.push_frame_in_pieces(Frame(other, 16_000)))
    assert texts(first) == texts(last)[: len(first.regions)]
    assert texts(first)[0].startswith("0 lines") and any(text.startswith("5") for text in texts(first))


def test_lines_that_are_known_are_not_said_in_pieces(expert: VisionExpert, draw: Draw) -> None:
    stage, page = expert.open_stage(FAST), a_page(draw)
    stage.push_frame(Frame(page, 0))
    *pieces, _ = stage.push_frame_in_pieces(Frame(np.asarray(page * 0.8, np.uint8), 16_000))
    assert pieces and not any(pieces)


def test_what_is_soon_read_is_said_at_once(expert: VisionExpert, draw: Draw) -> None:
    (said,) = expert.open_stage(FAST).push_frame_in_pieces(Frame(draw(SLIDE), 0))
    assert texts(screen(said)) == [text for text, _, _ in SLIDE]


def test_a_large_screen_is_read_within_the_detector_bound(expert: VisionExpert, draw: Draw) -> None:
    large = np.asarray(cv2.resize(draw(SLIDE), (3840, 2160), interpolation=cv2.INTER_CUBIC), np.uint8)
    state = screen(expert.open_stage(FAST).push_frame(Frame(large, 0)))
    assert texts(state) == [text for text, _, _ in SLIDE]
    assert state.regions[0].box[2] > 900


@pytest.mark.parametrize("shape", [(8, 8), (8, 640), (640, 8), (33, 31)])
def test_any_allowed_size_is_read_or_empty(expert: VisionExpert, shape: tuple[int, int]) -> None:
    stage = expert.open_stage(StageConfig(tasks=("ocr", "objects")))
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    states = play(stage, [noise, 255 - noise])
    for box in [region.box for state in states for region in state.regions]:
        assert 0 <= box[0] < box[2] <= shape[1] and 0 <= box[1] < box[3] <= shape[0]


def test_only_the_models_of_the_asked_tasks_are_opened(draw: Draw, expert: VisionExpert) -> None:
    lone, read = new_expert(), {"ppocrv6-tiny", "line-script", "line-ends"}
    assert not any(model.is_loaded for model in lone.models())
    screen(lone.open_stage(StageConfig(tasks=("objects",))).push_frame(Frame(draw(SLIDE), 0)))
    assert {model.name for model in lone.models() if model.is_loaded} == {"nanodet-g"}
    screen(lone.open_stage(FAST).push_frame(Frame(draw(SLIDE), 0)))
    assert {model.name for model in lone.models() if model.is_loaded} == read | {"nanodet-g"}
    screen(lone.open_stage(StageConfig(tasks=("gui",))).push_frame(Frame(draw(SLIDE), 0)))
    assert {model.name for model in lone.models() if model.is_loaded} == read | {
        "nanodet-g",
        "gui-elements",
        "control-states",
    }


@pytest.mark.parametrize(
    "config",
    [
        StageConfig(tasks=("smell",)),
        StageConfig(options={"colour": "red"}),
        StageConfig(options={"quality": "best"}),
    ],
)
def test_unknown_tasks_and_options_are_refused(expert: VisionExpert, config: StageConfig) -> None:
    with pytest.raises(MediaError, match=r"smell|colour|best"):
        expert.open_stage(config)


def test_audio_is_refused(expert: VisionExpert) -> None:
    with pytest.raises(MediaError, match="frames"):
        expert.open_stage(FAST).push_audio(np.zeros(10, np.float32))
