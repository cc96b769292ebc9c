"""`python -m tools.train_icon`: fetch and draw icon sets, train, export, measure; then calibrate queries."""

import argparse
from pathlib import Path

_STEPS = {
    "fetch": ("download the icon sets", ("packages",)),
    "draw": ("draw all icons", ("packages", "drawn")),
    "texts": ("put their names into MiniLM's space, with the product's environment", ("drawn", "texts")),
    "train": ("train for some minutes of processor time", ("drawn", "texts", "weights")),
    "export": ("write the ONNX graph and its recorded run", ("weights", "graph", "golden")),
    "measure": ("name icons of the set that is held out, with the installed weights", ("drawn", "texts")),
    "pages": ("draw pages with icons of the held-out set", ("packages", "pages")),
    "coverage": ("which words are taken for classes of COCO", ()),
    "calibrate": ("weights of scores, from drawn pages", ("pages",)),
    "answers": ("how good answers and scores are on other pages", ("pages",)),
}


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_icon", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for step, (help_text, paths) in _STEPS.items():
        step_parser = steps.add_parser(step, help=help_text)
        for path in paths:
            step_parser.add_argument(f"--{path}", type=Path, required=True)
        if step == "train":
            step_parser.add_argument("--minutes", type=float, required=True)
        if step == "pages":
            step_parser.add_argument("--first", type=int, required=True, help="seed of the first page")
            step_parser.add_argument("--count", type=int, default=30)
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "fetch":
        from tools.train_icon.material import fetch

        fetch(chosen.packages)
    elif chosen.step == "draw":
        from tools.train_icon.draw import draw

        print(draw(chosen.packages, chosen.drawn), "icons drawn")
    elif chosen.step == "texts":
        from tools.train_icon.texts import embed

        print(embed(chosen.drawn, chosen.texts), "texts")
    elif chosen.step == "train":
        from tools.train_icon.train import train

        train(chosen.drawn, chosen.texts, chosen.weights, minutes=chosen.minutes)
    elif chosen.step == "export":
        from tools.train_icon.export import export

        print(export(chosen.weights, chosen.graph, chosen.golden), "parameters")
    elif chosen.step == "measure":
        from tools.train_icon.measure import measure

        measure(chosen.drawn, chosen.texts)
    elif chosen.step == "pages":
        from tools.train_icon.pages import draw as draw_pages

        seeds = range(chosen.first, chosen.first + chosen.count)
        print(draw_pages(chosen.packages, chosen.pages, seeds), "pages drawn")
    elif chosen.step == "coverage":
        from tools.train_icon.coverage import measure as measure_coverage

        measure_coverage()
    else:
        from tools.train_icon import calibrate

        (calibrate.calibrate if chosen.step == "calibrate" else calibrate.measure)(chosen.pages)


if __name__ == "__main__":
    main()
