"""Characters of drawn lines that are misread: by the package's recogniser, and by ours in float32 and in eight bits."""

import time
import unicodedata
from pathlib import Path

import cv2
from rapidfuzz.distance import Levenshtein

from engines.backends.onnxruntime import OnnxRuntimeEngine
from engines.models import model_file
from services.vision.text_detection import TextBox
from services.vision.text_recognition import TextRecognizer, read_keys
from tools.train_ocr.lines import Line, read_lines
from tools.train_ocr.start import GRAPH, MODEL

_WIDEST_PX = 1600


def measure(lines: Path, package: Path) -> None:
    """Print errors in percent and processor milliseconds a line; `lines` is a folder never trained on."""
    cv2.setNumThreads(1)
    drawn = [line for path in sorted(lines.glob("*.npz")) for line in read_lines(path)]
    drawn = [line for line in drawn if line.pixels.shape[1] <= _WIDEST_PX]
    eight_bits = model_file(MODEL, GRAPH.replace(".onnx", ".int8.onnx"))
    for name, path in (("package", package), ("float32", model_file(MODEL, GRAPH)), ("eight bits", eight_bits)):
        print(name, _errors(path, drawn), flush=True)


def _errors(graph: Path, lines: list[Line]) -> str:
    recogniser = TextRecognizer(OnnxRuntimeEngine(graph, threads=1), read_keys(model_file(MODEL, "keys.txt")))
    wrong, said = {True: 0, False: 0}, {True: 0, False: 0}
    began = time.process_time()
    for line in lines:
        text = recogniser.read(line.pixels, [_whole(line)])[0].text
        has_ideographs = any(unicodedata.east_asian_width(char) in "WF" for char in line.text)
        wrong[has_ideographs] += Levenshtein.distance(text, line.text)
        said[has_ideographs] += len(line.text)
    cpu_ms = 1000 * (time.process_time() - began) / len(lines)
    shares = (f"{100 * wrong[kind] / max(1, said[kind]):.2f} % of {said[kind]}" for kind in (False, True))
    return "Latin {}, lines with ideographs {}, CPU {:.1f} ms a line".format(*shares, cpu_ms)


def _whole(line: Line) -> TextBox:
    height, width = line.pixels.shape[:2]
    return TextBox(width / 2, height / 2, width, height, 0.0, 1.0)
