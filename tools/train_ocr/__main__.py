"""`python -m tools.train_ocr`: draw lines, begin with the package's recogniser, train, export, measure."""

import argparse
from pathlib import Path

_STEPS = {
    "draw": ("draw pages and cut their lines out", ("fonts", "lines")),
    "start": (
        "equalise the package's graph on a file of lines, find the ranges of its values",
        ("package", "file", "graph"),
    ),
    "train": ("train for some minutes of processor time", ("graph", "lines", "package", "checkpoint")),
    "export": ("write the weights, ranges and a recorded run", ("graph", "checkpoint", "file", "golden")),
    "measure": ("errors on lines never trained on, with the installed weights", ("lines", "package")),
}


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_ocr", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for step, (help_text, paths) in _STEPS.items():
        step_parser = steps.add_parser(step, help=help_text)
        for path in paths:
            step_parser.add_argument(f"--{path}", type=Path, required=True)
        if step == "draw":
            step_parser.add_argument("--first", type=int, required=True, help="seed of the first page")
            step_parser.add_argument("--pages", type=int, required=True)
        if step == "train":
            step_parser.add_argument("--minutes", type=float, required=True)
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "draw":
        from tools.train_gui.sources import fetch
        from tools.train_ocr.render import FONTS, draw_all

        fetch(chosen.fonts, FONTS)
        draw_all(chosen.lines, chosen.fonts, first=chosen.first, pages=chosen.pages)
    elif chosen.step == "start":
        from tools.train_ocr.start import start

        start(chosen.package, chosen.file, chosen.graph)
    elif chosen.step == "train":
        from engines.backends.onnxruntime import OnnxRuntimeEngine
        from tools.train_ocr.network import Recogniser
        from tools.train_ocr.start import IN_FLOAT, classes, started
        from tools.train_ocr.train import train

        network = Recogniser(*started(chosen.graph), IN_FLOAT)
        teacher = OnnxRuntimeEngine(chosen.package, threads=1)
        train(network, teacher, chosen.lines, classes(), chosen.checkpoint, minutes=chosen.minutes)
    elif chosen.step == "export":
        from tools.train_ocr.export import export

        print(export(chosen.graph, chosen.checkpoint, chosen.file, chosen.golden), "weights")
    else:
        from tools.train_ocr.measure import measure

        measure(chosen.lines, chosen.package)


if __name__ == "__main__":
    main()
