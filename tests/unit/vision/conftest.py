"""Screens drawn on the spot, and the expert with real weights."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from benchmarks.screens import new_tab
from engines.fetch import fetch
from services.vision.service import VisionExpert, new_expert

Pixels = NDArray[np.uint8]
Draw = Callable[[Sequence[tuple[str, int, int]]], Pixels]


@pytest.fixture(scope="session")
def expert() -> VisionExpert:
    """The expert; its models load with the first test that needs them."""
    fetch(["ppocrv6-tiny", "ppocrv6-small", "line-script", "line-ends", "nanodet-g", "gui-elements", "control-states"])
    return new_expert()


@pytest.fixture(scope="session")
def draw() -> Draw:
    """A white 640x360 screen with lines of text, each given with its left end and baseline."""
    font = cv2.FontFace("sans")

    def screen(lines: Sequence[tuple[str, int, int]]) -> Pixels:
        pixels = np.full((360, 640, 3), 255, np.uint8)
        for text, x, y in lines:
            cv2.putText(pixels, text, (x, y), (0, 0, 0), font, 20, 500)
        return pixels

    return screen


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """A page of a real browser."""
    with new_tab() as tab:
        yield tab
