"""Other readers of pictures, each on one thread, those that are installed.

rapidocr runs our live recogniser in float32, faster-paddle the package's weights; the third is the `tesseract` command.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import model_file
from services.runtime.percept import BoxXyxy
from services.vision.ocr import TINY

# In the table that tesseract prints.
_WORD_LEVEL = "5"

# A line that was read, with its box.
TextLine = tuple[str, BoxXyxy]
Reader = Callable[[NDArray[np.uint8]], list[TextLine]]


def installed() -> Mapping[str, Reader]:
    """The readers by name: BGR pixels (h, w, 3) -> lines."""
    found: dict[str, Reader] = {}
    if find_spec("rapidocr"):
        found["rapidocr"] = _rapidocr()
    if find_spec("faster_paddle"):
        found["faster-paddle"] = _faster_paddle()
    if command := shutil.which("tesseract"):
        found["tesseract"] = _tesseract(command)
    return found


def cpu_s() -> float:
    """Processor seconds of this process and of the children that ended."""
    return sum(os.times()[:4])


def _rapidocr() -> Reader:
    from rapidocr import RapidOCR

    engine = RapidOCR(
        params={
            "Global.use_cls": False,
            "Global.log_level": "error",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            "Det.model_path": str(model_file(TINY, "det.onnx")),
            "Rec.model_path": str(model_file(TINY, "rec.onnx")),
            "Rec.rec_keys_path": str(model_file(TINY, "keys.txt")),
        }
    )

    def read(pixels: NDArray[np.uint8]) -> list[TextLine]:
        result, lines = engine(pixels), []
        for text, corners in zip(result.txts or (), result.boxes if result.txts else (), strict=True):
            (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
            lines.append((str(text), (left, top, right, bottom)))
        return lines

    return read


def _faster_paddle() -> Reader:
    from faster_paddle import OcrEngine

    engine = OcrEngine("tiny", threads=1)

    def read(pixels: NDArray[np.uint8]) -> list[TextLine]:
        lines = engine.ocr(_bmp(pixels))["bounds"].values()
        return [(line["text"], (*line["topLeftCoord"], *line["bottomRightCoord"])) for line in lines]

    return read


def _tesseract(command: str) -> Reader:
    def read(pixels: NDArray[np.uint8]) -> list[TextLine]:
        arguments = [command, "stdin", "stdout", "--psm", "11", "tsv"]
        environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
        result = subprocess.run(arguments, input=_bmp(pixels), capture_output=True, check=True, env=environment)
        lines: dict[tuple[str, ...], list[TextLine]] = {}
        for row in result.stdout.decode().splitlines()[1:]:
            level, _, *place, _, left, top, width, height, _, text = row.split("\t", 11)
            if level == _WORD_LEVEL and text.strip():
                x, y = float(left), float(top)
                lines.setdefault(tuple(place), []).append((text, (x, y, x + float(width), y + float(height))))
        return [_joined(words) for words in lines.values()]

    return read


def _joined(words: Sequence[TextLine]) -> TextLine:
    left, top, right, bottom = zip(*(box for _, box in words), strict=True)
    return " ".join(text for text, _ in words), (min(left), min(top), max(right), max(bottom))


def _bmp(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".bmp", pixels)[1].tobytes()
