"""What training begins with: the package's recogniser, folded and equalised, and the ranges of its values."""

import json
import tempfile
from pathlib import Path

import onnx

from engines.export.eight_bits import Feeds, spans
from engines.export.ppocr import folded
from engines.models import model_file
from services.vision.text_recognition import as_input, read_keys
from tools.train_ocr.equalise import equalised
from tools.train_ocr.lines import read_lines
from tools.train_ocr.network import Ranges

MODEL = "ppocrv6-tiny"
GRAPH = "rec.onnx"
# What loses much and saves little in eight bits: the first convolution, gates on channels, the head.
IN_FLOAT = (
    *("Conv.0", "Conv.3", "Conv.4", "Conv.14", "Conv.15", "Conv.25", "Conv.26"),
    *("Conv.35", "Conv.36", "MatMul.0", "MatMul.1"),
)
# Of a file of lines every so many-th tells how large values are.
_EVERY = 8


def classes() -> dict[str, int]:
    """Characters -> their number among the recogniser's classes."""
    return {key: number for number, key in enumerate(["", *read_keys(model_file(MODEL, "keys.txt"))])}


def start(package: Path, lines: Path, out: Path) -> None:
    """Write `out`, the package's graph equalised on a file of lines, and the ranges of its values beside it."""
    model = folded(onnx.load(package))
    name = model.graph.input[0].name
    feeds: list[Feeds] = [{name: as_input([line.pixels])} for line in list(read_lines(lines))[::_EVERY]]
    with tempfile.TemporaryDirectory() as scratch:
        onnx.save(equalised(model, feeds, Path(scratch) / "graph.onnx"), out)
    ranges_of(out).write_text(json.dumps(spans(out, feeds), indent=0) + "\n")


def ranges_of(graph: Path) -> Path:
    """Where the ranges of such a graph lie."""
    return graph.with_suffix(".json")


def started(graph: Path) -> tuple[onnx.ModelProto, Ranges]:
    """The graph and its ranges."""
    return onnx.load(graph), json.loads(ranges_of(graph).read_text())
