import cv2
import numpy as np

from engines.manifest import manifest
from services.vision.objects import CLASS_NAMES, suppress
from services.vision.service import VisionExpert


def test_the_classes_are_coco_80() -> None:
    assert len(set(CLASS_NAMES)) == 80
    assert (CLASS_NAMES[0], CLASS_NAMES[62], CLASS_NAMES[79]) == ("person", "tv", "toothbrush")


def test_overlapping_boxes_of_one_class_are_one() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.5, 0.9, 0.6, 0.4], np.float32)
    assert suppress(boxes, scores, np.array([3, 3, 7, 3])).tolist() == [1, 2, 3]


def test_a_drawn_stop_sign_is_found_where_it_is(expert: VisionExpert) -> None:
    picture = np.full((480, 640, 3), (200, 180, 150), np.uint8)
    corners = [(300 + 90 * np.cos(a), 200 + 90 * np.sin(a)) for a in np.pi / 8 + np.arange(8) * np.pi / 4]
    octagon = np.array(corners, np.int32)
    cv2.fillPoly(picture, [octagon], (30, 20, 190))
    cv2.polylines(picture, [octagon], True, (255, 255, 255), 6)
    cv2.putText(picture, "STOP", (230, 222), (255, 255, 255), cv2.FontFace("sans"), 60, 800)
    cv2.rectangle(picture, (294, 290), (306, 479), (120, 120, 120), -1)
    best = expert.objects().detect(picture)[0]
    assert (best.class_name, best.class_id) == ("stop sign", 11)
    assert np.abs(np.subtract(best.box, (217, 117, 383, 283))).max() < 25


def test_boxes_stay_inside_the_picture(expert: VisionExpert) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (90, 700, 3), np.uint8)
    for thing in expert.objects().detect(noise):
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 <= x1 <= 700 and 0 <= y0 <= y1 <= 90


def test_the_detectors_source_and_licence_are_named() -> None:
    model = manifest("nanodet-g")
    assert model.licence == "Apache-2.0" and "CenterNet" in model.notes
