"""Other readers of pictures, each on one thread, those that are installed.

rapidocr runs our live recogniser in float32, faster-paddle the package's weights; the third is the `tesseract` command.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.util import find_spec

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.models import model_file
from services.vision.ocr import TINY

Reader = Callable[[NDArray[np.uint8]], list[str]]


def installed() -> Mapping[str, Reader]:
    """The readers by name: BGR pixels (h, w, 3) -> lines of text."""
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
    return lambda pixels: list(engine(pixels).txts or ())


def _faster_paddle() -> Reader:
    from faster_paddle import OcrEngine

    engine = OcrEngine("tiny", threads=1)
    return lambda pixels: str(engine.ocr(_bmp(pixels))["text"]).splitlines()


def _tesseract(command: str) -> Reader:
    def read(pixels: NDArray[np.uint8]) -> list[str]:
        arguments = [command, "stdin", "stdout", "--psm", "11"]
        environment = os.environ | {"OMP_THREAD_LIMIT": "1"}
        result = subprocess.run(arguments, input=_bmp(pixels), capture_output=True, check=True, env=environment)
        return [line for line in result.stdout.decode().splitlines() if line]

    return read


def _bmp(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".bmp", pixels)[1].tobytes()
