"""`python -m tools.train_script`: draw lines, train, export, measure."""

import argparse
from pathlib import Path


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_script", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    draw = steps.add_parser("draw", help="draw lines of every script")
    draw.add_argument("--out", type=Path, required=True)
    draw.add_argument("--each", type=int, required=True, help="lines of each script")
    draw.add_argument("--first", type=int, default=0, help="seed of the first line")
    draw.add_argument("--held-out", action="store_true", help="words and fonts that are never trained on")
    train = steps.add_parser("train", help="train and say after each round what is right")
    train.add_argument("--lines", type=Path, required=True)
    train.add_argument("--held", type=Path, required=True)
    train.add_argument("--weights", type=Path, required=True)
    train.add_argument("--rounds", type=int, default=5)
    export = steps.add_parser("export", help="write the ONNX graph and its recorded run")
    export.add_argument("--weights", type=Path, required=True)
    export.add_argument("--graph", type=Path, required=True)
    export.add_argument("--golden", type=Path, required=True)
    measure = steps.add_parser("measure", help="character errors of the product on lines of every script")
    measure.add_argument("--each", type=int, default=20)
    measure.add_argument("--first", type=int, default=900_000)
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "draw":
        from tools.train_script.fonts import PACKAGES, missing
        from tools.train_script.render import draw as write_lines

        if lacking := missing():
            raise SystemExit(f"{len(lacking)} fonts are missing, such as {lacking[0]}: apt-get install {PACKAGES}")
        print(write_lines(chosen.out, chosen.each, first=chosen.first, held_out=chosen.held_out), "lines drawn")
    elif chosen.step == "train":
        from tools.train_script.train import train as fit

        fit(chosen.lines, chosen.held, chosen.weights, rounds=chosen.rounds)
    elif chosen.step == "export":
        from tools.train_script.export import export as write

        print(write(chosen.weights, chosen.graph, chosen.golden), "parameters")
    else:
        from tools.train_script.measure import measure as figures

        figures(chosen.each, chosen.first)


if __name__ == "__main__":
    main()
