"""Writes what was learnt: the weights, the ranges of their eight bits, and a recorded run."""

from pathlib import Path

import numpy as np
import torch

from engines.export.ppocr import WEIGHTS
from engines.plain_graphs import spans_file
from services.vision.text_recognition import as_input
from tools.train_ocr.lines import read_lines
from tools.train_ocr.network import Recogniser
from tools.train_ocr.start import GRAPH, IN_FLOAT, MODEL, ranges_of, started

_WIDEST_RECORDED_PX = 128


def export(graph: Path, checkpoint: Path, lines: Path, golden: Path) -> int:
    """Write engines/weights/line-reader.npz and its ranges, a run on a short line; returns how many weights."""
    model, ranges = started(graph)
    network = Recogniser(model, ranges, IN_FLOAT)
    network.load_state_dict(torch.load(checkpoint)["model"])
    learnt = {name: value.astype(np.float16) for name, value in network.learnt().items()}
    np.savez_compressed(WEIGHTS, **learnt)  # type: ignore[arg-type]  # its stub takes **arrays for allow_pickle
    spans_file(MODEL, GRAPH).write_text(ranges_of(graph).read_text())
    # The recorded run is of the weights as they are kept.
    narrow = {name.replace(".", "_"): torch.from_numpy(value.astype(np.float32)) for name, value in learnt.items()}
    exact = Recogniser(model)
    exact.load_state_dict(narrow, strict=False)
    short = next(line for line in read_lines(lines) if line.pixels.shape[1] <= _WIDEST_RECORDED_PX)
    image = as_input([short.pixels])
    with torch.no_grad():
        probabilities = exact(torch.from_numpy(image)).exp().numpy()
    recorded = {f"in:{model.graph.input[0].name}": image, f"out:{model.graph.output[0].name}": probabilities}
    np.savez_compressed(golden, **recorded)
    return sum(value.size for value in learnt.values())
