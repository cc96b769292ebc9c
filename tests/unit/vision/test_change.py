import cv2
import numpy as np

from services.vision.change import ReferenceFrame
from tests.unit.vision.conftest import Draw, Pixels

LINES = (("Quarterly review", 40, 60), ("Revenue grew in March", 40, 140))


def test_a_first_picture_and_a_resized_one_are_all_change(draw: Draw) -> None:
    reference = ReferenceFrame()
    for pixels in (draw(LINES), draw(LINES)[:200]):
        change = reference.compare(pixels)
        assert change is not None and change.areas == ((0, 0, pixels.shape[1], pixels.shape[0]),)


def test_equal_pictures_have_no_change(draw: Draw) -> None:
    reference = ReferenceFrame()
    reference.compare(draw(LINES))
    assert reference.compare(draw(LINES)) is None


def test_a_full_stop_is_a_change_and_lies_in_its_area(draw: Draw) -> None:
    reference = ReferenceFrame()
    pixels = draw(LINES)
    reference.compare(pixels)
    pixels[301:303, 201:203] = 90
    change = reference.compare(pixels)
    assert change is not None and change.areas == ((192, 288, 224, 320),)
    assert change.within((200, 300, 204, 304)) and not change.within((0, 0, 200, 300))


def test_a_slow_fade_is_seen_once_it_adds_up(draw: Draw) -> None:
    reference = ReferenceFrame()
    pixels = draw(LINES)
    reference.compare(pixels)
    seen = []
    for level in range(1, 6):
        faded = pixels.copy()
        faded[100:150, 400:500] = 255 - 4 * level
        seen.append(reference.compare(faded) is not None)
    assert seen[0] is False and seen[-1] is True


def test_what_was_accepted_is_no_change_any_more_except_what_was_kept(draw: Draw) -> None:
    reference = ReferenceFrame()
    pixels = draw(LINES)
    reference.compare(pixels)
    changed = pixels.copy()
    changed[250:260, 100:110] = 0
    changed[250:260, 140:150] = 0
    assert reference.compare(changed) is not None
    reference.accept((96, 224, 192, 288), [(130.0, 240.0, 160.0, 270.0)])
    again = reference.compare(changed)
    assert again is not None and again.within((140, 250, 150, 260)) and not again.within((100, 250, 110, 260))


def test_recompression_is_no_change_but_a_new_word_is(draw: Draw) -> None:
    def recompressed(pixels: Pixels, quality: int) -> Pixels:
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    reference = ReferenceFrame()
    reference.compare(recompressed(draw(LINES), 80))
    assert reference.compare(recompressed(draw(LINES), 90)) is None
    change = reference.compare(recompressed(draw((*LINES, ("new", 40, 250))), 90))
    assert change is not None and len(change.areas) == 1 and change.within((40, 230, 100, 260))
