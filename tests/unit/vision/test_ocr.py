import cv2
import numpy as np
import pytest

from services.runtime.percept import BoxXyxy
from services.vision.line_image import ink, line_image
from services.vision.ocr import TINY, TextLine, in_reading_order, script_of
from services.vision.service import VisionExpert
from services.vision.text_detection import TextBox, boxes_of, joined, lone_characters
from services.vision.text_recognition import ReadLine, without_icon
from tests.unit.vision.conftest import Draw, Pixels


def box(x0: float, y0: float, x1: float, y1: float, score: float = 0.9) -> TextBox:
    return TextBox((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.0, score)


def line(text: str, where: BoxXyxy) -> TextLine:
    return TextLine.of(box(*where), ReadLine(text, 0.9), (720, 1280))


def read_in(expert: VisionExpert, pixels: Pixels) -> list[str]:
    """What the lines of a picture say, from top to bottom."""
    boxes = sorted(expert.detector().detect(pixels), key=lambda found: found.center_y)
    return [read.text for read in expert.recognizer(TINY).read(pixels, boxes)]


def test_a_level_kernel_becomes_a_box_larger_by_the_unclip_distance() -> None:
    probability = np.zeros((64, 320), np.float32)
    probability[30:40, 50:250] = 0.9
    (found,) = boxes_of(probability, 0.4)
    grow = 200 * 10 * 1.4 / (2 * (200 + 10))
    assert found.xyxy == pytest.approx((50 - grow, 30 - grow, 250 + grow, 40 + grow))


def test_faint_kernels_are_left_out() -> None:
    probability = np.zeros((64, 320), np.float32)
    probability[30:40, 50:250] = 0.3
    assert boxes_of(probability, 0.4) == []


def test_boxes_that_overlap_on_one_line_are_one_and_neighbours_stay_two() -> None:
    broken = [box(10, 10, 60, 30), box(55, 11, 120, 31)]
    assert [b.xyxy for b in joined(broken)] == [pytest.approx((10, 10, 120, 31))]
    for apart in ([box(10, 10, 60, 30), box(65, 10, 90, 30)], [box(10, 10, 60, 30), box(55, 28, 90, 48)]):
        assert len(joined(apart)) == 2


def test_reading_order_is_rows_then_left_to_right() -> None:
    lines = [
        line("d", (300, 52, 400, 72)),
        line("b", (300, 8, 400, 28)),
        line("a", (10, 10, 100, 30)),
        line("c", (10, 50, 100, 70)),
    ]
    assert [item.text for item in in_reading_order(lines)] == ["a", "b", "c", "d"]


def test_the_script_is_that_of_most_letters() -> None:
    assert [script_of(text) for text in ("Hello 世", "你好", "だいじょうぶ未来", "12 + 3", "Ωμέγα")] == [
        "Latn",
        "Hani",
        "Jpan",
        "",
        "Grek",
    ]


def test_what_reaches_in_from_the_line_above_is_painted_over(draw: Draw) -> None:
    pixels = draw((("clean text", 40, 100),))
    plain = line_image(pixels, box(36, 80, 150, 108))
    pixels[80:83, 60:64] = 0  # the foot of a letter above
    assert not ink(line_image(pixels, box(36, 80, 150, 108)))[:4].any()
    assert plain.shape[0] == 48


@pytest.mark.parametrize("reach", [16, 18, 20])
def test_frames_around_words_and_rules_between_them_are_no_letters(
    expert: VisionExpert, draw: Draw, reach: int
) -> None:
    pixels = draw((("Answer", 60, 62), ("first", 40, 162), ("second", 108, 162)))
    right = int(np.flatnonzero((pixels[:100] < 128).any(axis=(0, 2)))[-1])
    for start, x in ((90, 62), (-90, right - 2)):  # the round ends of a button
        cv2.ellipse(pixels, (x, 55), (9, reach), 0, start, start + 180, (0, 0, 0), 1, cv2.LINE_AA)
    for y in (55 - reach, 55 + reach):
        cv2.line(pixels, (62, y), (right - 2, y), (0, 0, 0))
    for x in (32, 98, 184):
        cv2.line(pixels, (x, 120), (x, 200), (0, 0, 0))
    assert {word for text in read_in(expert, pixels) for word in text.split()} == {"Answer", "first", "second"}


def test_a_text_cursor_behind_a_line_is_not_read_and_letters_like_it_are(expert: VisionExpert, draw: Draw) -> None:
    said = ("Out up river", "Is it so cool", "He or I", "see (you)", "a [see] | b")
    pixels = draw([(text, 40, 40 + 60 * row) for row, text in enumerate(said)])
    cv2.line(pixels, (180, 22), (180, 46), (0, 0, 0), 2)
    assert read_in(expert, pixels) == list(said)


def test_a_line_cut_through_its_last_letter_is_read_whole(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw((("settings", 40, 100),))
    right = int(np.flatnonzero((pixels < 128).any(axis=(0, 2)))[-1])
    (read,) = expert.recognizer("ppocrv6-small").read(pixels, [box(36, 80, right - 3, 108)])
    assert read.text == "settings"


def test_a_lines_text_does_not_depend_on_the_others_in_its_batch(expert: VisionExpert, draw: Draw) -> None:
    texts = ["first line of text", "second", "a third, rather longer line of text"]
    pixels = draw([(text, 40, 60 + 60 * row) for row, text in enumerate(texts)])
    boxes = expert.detector().detect(pixels)
    recognizer = expert.recognizer("ppocrv6-tiny")
    together = recognizer.read(pixels, boxes)
    assert [one.text for one in together] == [recognizer.read(pixels, [b])[0].text for b in boxes]
    assert sorted(one.text for one in together) == sorted(texts)


def test_tilted_and_upright_lines_are_read(expert: VisionExpert, draw: Draw) -> None:
    pixels = draw((("Boarding pass", 240, 180),))
    turn = cv2.getRotationMatrix2D((320, 180), 12, 1.0)
    tilted = np.asarray(cv2.warpAffine(pixels, turn, (640, 360), borderValue=(255, 255, 255)), np.uint8)
    upright = np.ascontiguousarray(np.rot90(pixels, 3))
    for picture in (tilted, upright):
        found = expert.recognizer("ppocrv6-small").read(picture, expert.detector().detect(picture))
        assert [one.text for one in found] == ["Boarding pass"]


def test_light_on_dark_is_read(expert: VisionExpert, draw: Draw) -> None:
    pixels = 255 - draw((("dark theme", 40, 100),))
    found = expert.recognizer("ppocrv6-small").read(pixels, expert.detector().detect(pixels))
    assert [one.text for one in found] == ["dark theme"]


@pytest.mark.parametrize(("model", "stroke_px"), [("ppocrv6-tiny", 1), ("ppocrv6-small", 2)])
def test_an_icon_that_looks_like_an_ideograph_is_dropped(
    expert: VisionExpert, draw: Draw, model: str, stroke_px: int
) -> None:
    pixels = draw((("Weekly digest", 64, 100),))
    cv2.rectangle(pixels, (40, 84), (57, 100), (0, 0, 0), stroke_px)
    cv2.line(pixels, (40, 92), (57, 92), (0, 0, 0), stroke_px)
    if stroke_px > 1:
        cv2.line(pixels, (48, 84), (48, 100), (0, 0, 0), stroke_px)
    (read,) = expert.recognizer(model).read(pixels, [box(34, 76, 205, 108)])
    assert read.text == "Weekly digest"


@pytest.mark.parametrize(
    ("text", "sure", "read"),
    [
        ("O Teams", 0.76, "Teams"),
        ("8 Due date", 0.4, "Due date"),
        ("■Assignee", 0.99, "Assignee"),
        ("| agree", 0.4, "I agree"),
        ("l think so", 0.6, "I think so"),
        # What is sure, or no label follows, stays.
        ("C Major", 0.98, "C Major"),
        ("8 Due dates", 0.55, "8 Due dates"),
        ("I Robot", 0.55, "I Robot"),
        ("x = it", 0.7, "x = it"),
        ("I agree", 0.5, "I agree"),
        ("O", 0.5, "O"),
        ("O T", 0.5, "O T"),
    ],
)
def test_an_icon_before_a_label_is_dropped(text: str, sure: float, read: str) -> None:
    assert without_icon(text, [sure] + [1.0] * (len(text.replace(" ", "")) - 1)) == read


def test_ideographs_that_are_text_stay(expert: VisionExpert) -> None:
    font = cv2.FontFace("uni")
    for text in ("日本語 Weekly", "Weekly 報告"):
        pixels = np.full((80, 400, 3), 255, np.uint8)
        cv2.putText(pixels, text, (40, 50), (0, 0, 0), font, 24, 500)
        (found,) = expert.detector().detect(pixels)
        (read,) = expert.recognizer("ppocrv6-small").read(pixels, [found])
        assert read.text.replace(" ", "") == text.replace(" ", "")


def test_single_figures_are_found_without_the_network_and_no_icons(expert: VisionExpert, draw: Draw) -> None:
    figures = tuple((str(number), 60 * number, 40 * number) for number in range(1, 8))
    pixels = draw((*figures, ("in a word", 400, 60)))
    cv2.rectangle(pixels, (480, 140), (481, 160), (0, 0, 0), -1)
    cv2.polylines(pixels, [np.array([(520, 204), (526, 211), (520, 218)])], False, (0, 0, 0), 2)
    cv2.circle(pixels, (570, 280), 7, (0, 0, 0), 2)
    boxes = lone_characters(pixels, [])
    lines = [
        TextLine.of(found, read, pixels.shape)
        for found, read in zip(boxes, expert.recognizer(TINY).read(pixels, boxes), strict=True)
    ]
    assert sorted(found.text for found in lines if found.is_legible) == list("1234567")
    known = [box(*found.xyxy) for found in boxes]
    assert lone_characters(pixels, known) == []


def test_a_lone_shape_is_a_checkbox_or_a_bullet_not_text() -> None:
    lines = [line(text, (10, 10, 30, 30)) for text in ("□", "■", "●", "A", "→", "語")]
    assert [item.text for item in lines if item.is_legible] == ["A", "→", "語"]
