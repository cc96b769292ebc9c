"""`python -m tools.train_ends`: draw pages and lines, train, export."""

import argparse
from pathlib import Path


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_ends", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    draw = steps.add_parser("draw", help="draw pages, and lines of every script, and keep the ends of their lines")
    draw.add_argument("--packages", type=Path, required=True, help="of `python -m tools.train_gui fetch`")
    draw.add_argument("--out", type=Path, required=True)
    draw.add_argument("--pages", type=int, required=True)
    draw.add_argument("--lines", type=int, default=0, help="lines of each script, in which there are no icons")
    draw.add_argument("--texts", type=Path, help="lines of `python -m tools.train_ocr draw`: nor in these")
    draw.add_argument("--first", type=int, default=0, help="seed of the first page and line")
    draw.add_argument("--held-out", action="store_true", help="a framework, icons and fonts never trained on")
    train = steps.add_parser("train", help="train, and say after each round what is right")
    train.add_argument("--ends", type=Path, nargs="+", required=True)
    train.add_argument("--held", type=Path, required=True)
    train.add_argument("--weights", type=Path, required=True)
    train.add_argument("--rounds", type=int, default=12)
    export = steps.add_parser("export", help="write the ONNX graph and its recorded run")
    export.add_argument("--weights", type=Path, required=True)
    export.add_argument("--graph", type=Path, required=True)
    export.add_argument("--golden", type=Path, required=True)
    measure = steps.add_parser("measure", help="what the exported graph says of drawn ends")
    measure.add_argument("--ends", type=Path, required=True)
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "draw":
        from tools.train_ends.material import draw as write_ends
        from tools.train_script.fonts import PACKAGES, missing

        if chosen.lines and (lacking := missing()):
            raise SystemExit(f"{len(lacking)} fonts are missing, such as {lacking[0]}: apt-get install {PACKAGES}")
        pages, lines = (range(chosen.first, chosen.first + count) for count in (chosen.pages, chosen.lines))
        write_ends(chosen.out, chosen.packages, pages, lines, chosen.texts, held_out=chosen.held_out)
    elif chosen.step == "train":
        from tools.train_ends.train import train as fit

        fit(chosen.ends, chosen.held, chosen.weights, rounds=chosen.rounds)
    elif chosen.step == "export":
        from tools.train_ends.train import export as write

        print(write(chosen.weights, chosen.graph, chosen.golden), "parameters")
    else:
        from tools.train_ends.measure import measure as figures

        figures(chosen.ends)


if __name__ == "__main__":
    main()
