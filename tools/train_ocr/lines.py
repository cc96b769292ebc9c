"""Drawn lines on the disk: pictures as PNG, one behind the other, and what they say."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray


class Line(NamedTuple):
    """`pixels` (48, w, 3) uint8 BGR, cut out as the service cuts lines."""

    pixels: NDArray[np.uint8]
    text: str


def write_lines(path: Path, lines: Sequence[Line]) -> None:
    """Write a file of lines."""
    coded = [cv2.imencode(".png", line.pixels)[1].ravel() for line in lines]
    ends = np.cumsum([len(one) for one in coded])
    np.savez(path, png=np.concatenate(coded), ends=ends, texts=np.array([line.text for line in lines]))


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of a file."""
    with np.load(path) as stored:
        png, ends, texts = stored["png"], stored["ends"].tolist(), stored["texts"].tolist()
    for first, end, text in zip([0, *ends], ends, texts, strict=False):
        yield Line(np.asarray(cv2.imdecode(png[first:end], cv2.IMREAD_COLOR), np.uint8), text)
