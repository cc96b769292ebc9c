"""`python -m tools.train_gui`: fetch the packages, draw pages and windows, train, export, measure."""

import argparse
from pathlib import Path


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_gui", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    fetch = steps.add_parser("fetch", help="download the packages that pages are drawn with")
    fetch.add_argument("--packages", type=Path, required=True)
    render = steps.add_parser("render", help="draw the pages of some seeds")
    render.add_argument("--packages", type=Path, required=True)
    render.add_argument("--out", type=Path, required=True)
    render.add_argument("--first", type=int, default=0)
    render.add_argument("--count", type=int, required=True)
    render.add_argument("--held-out", action="store_true", help="the framework and icons that are never trained on")
    windows = steps.add_parser("windows", help="draw the windows of some seeds (with Debian's python3: docs/gui.md)")
    windows.add_argument("--toolkit", choices=("qt", "gtk"), default="qt", help="gtk: held out as a whole")
    windows.add_argument("--packages", type=Path, required=True)
    windows.add_argument("--out", type=Path, required=True)
    windows.add_argument("--first", type=int, default=500_000)
    windows.add_argument("--count", type=int, required=True)
    windows.add_argument("--held-out", action="store_true", help="the style and icons that are never trained on")
    programs = steps.add_parser(
        "programs", help="take pictures of Debian's programs (with Debian's python3: docs/gui.md)"
    )
    programs.add_argument("--out", type=Path, required=True)
    programs.add_argument("names", nargs="*", help="of pictures; all without any")
    train = steps.add_parser("train", help="train, or go on from the checkpoint")
    train.add_argument("--pages", type=Path, required=True)
    train.add_argument("--checkpoint", type=Path, required=True)
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--threads", type=int, default=2)
    export = steps.add_parser("export", help="write the ONNX graph and its recorded run")
    export.add_argument("--checkpoint", type=Path, required=True)
    export.add_argument("--second", type=Path, help="a training that went on from the checkpoint")
    export.add_argument("--share", type=float, default=0.0, help="how much of the second is mixed in, 0 to 1")
    export.add_argument("--graph", type=Path, required=True)
    export.add_argument("--golden", type=Path, required=True)
    measure = steps.add_parser("measure", help="average precision of the installed weights on drawn pages")
    measure.add_argument("--pages", type=Path, required=True)
    measure.add_argument("--limit", type=int)
    draw_states = steps.add_parser(
        "draw-states", help="draw pages or windows again and again with controls disabled and focused"
    )
    draw_states.add_argument(
        "--toolkit", choices=("pages", "qt", "gtk"), default="pages", help="windows with Debian's python3: docs/gui.md"
    )
    draw_states.add_argument("--packages", type=Path, required=True)
    draw_states.add_argument("--out", type=Path, required=True)
    draw_states.add_argument("--first", type=int, required=True)
    draw_states.add_argument("--count", type=int, required=True)
    draw_states.add_argument(
        "--held-out", action="store_true", help="the framework, style, themes and icons never trained on"
    )
    train_states = steps.add_parser("train-states", help="train the network that compares controls")
    train_states.add_argument("--drawings", type=Path, nargs="+", required=True)
    train_states.add_argument("--start", type=Path, help="a checkpoint to go on from")
    train_states.add_argument("--checkpoint", type=Path, required=True)
    train_states.add_argument("--minutes", type=float, required=True, help="of processor time")
    export_states = steps.add_parser("export-states", help="write its graph and its recorded run")
    export_states.add_argument("--checkpoint", type=Path, required=True)
    export_states.add_argument("--graph", type=Path, required=True)
    export_states.add_argument("--golden", type=Path, required=True)
    measure_states = steps.add_parser("measure-states", help="choose thresholds on the first drawings, report on all")
    measure_states.add_argument("--graph", type=Path, required=True)
    measure_states.add_argument("--drawings", type=Path, nargs="+", required=True)
    measure_states.add_argument("--right", type=float, default=0.9, help="part of what is said on the first")
    measure_states.add_argument("--chosen-on", type=int, default=1, help="so many of the first drawings")
    measure_states.add_argument("--disabled", type=float, help="this threshold instead of a chosen one")
    measure_states.add_argument("--focused", type=float, help="this threshold instead of a chosen one")
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "fetch":
        from tools.train_gui.sources import fetch as fetch_packages

        fetch_packages(chosen.packages)
    elif chosen.step == "render":
        from tools.train_gui.render import HELD_OUT_SIZE
        from tools.train_gui.render import render as draw

        seeds = range(chosen.first, chosen.first + chosen.count)
        size = HELD_OUT_SIZE if chosen.held_out else None
        print(draw(chosen.out, seeds, chosen.packages, held_out=chosen.held_out, size=size), "pages drawn")
    elif chosen.step == "windows":
        seeds = range(chosen.first, chosen.first + chosen.count)
        if chosen.toolkit == "gtk":
            from tools.train_gui.gtk import render as draw_gtk

            count = draw_gtk(chosen.out, seeds, chosen.packages)
        else:
            from tools.train_gui.qt import render as draw_qt

            count = draw_qt(chosen.out, seeds, chosen.packages, held_out=chosen.held_out)
        print(count, "windows drawn")
    elif chosen.step == "programs":
        from tools.train_gui.programs import take

        print(take(chosen.out, chosen.names), "pictures taken")
    elif chosen.step == "train":
        from tools.train_gui.train import train as fit

        fit(chosen.pages, chosen.checkpoint, minutes=chosen.minutes, threads=chosen.threads)
    elif chosen.step == "export":
        from tools.train_gui.export import export as write

        count = write(chosen.checkpoint, chosen.graph, chosen.golden, second=chosen.second, share=chosen.share)
        print(count, "parameters")
    elif chosen.step == "draw-states":
        seeds = range(chosen.first, chosen.first + chosen.count)
        if chosen.toolkit == "gtk":
            from tools.train_gui.gtk import render_states as draw_gtk_states

            count = draw_gtk_states(chosen.out, seeds, chosen.packages, held_out=chosen.held_out)
        elif chosen.toolkit == "qt":
            from tools.train_gui.qt import render_states as draw_qt_states

            count = draw_qt_states(chosen.out, seeds, chosen.packages, held_out=chosen.held_out)
        else:
            from tools.train_gui.states import draw as draw_page_states

            count = draw_page_states(chosen.out, seeds, chosen.packages, held_out=chosen.held_out)
        print(count, chosen.toolkit if chosen.toolkit == "pages" else "windows", "drawn")
    elif chosen.step == "train-states":
        from tools.train_gui.state_train import train as fit_states

        fit_states(chosen.drawings, chosen.checkpoint, minutes=chosen.minutes, start=chosen.start)
    elif chosen.step == "export-states":
        from tools.train_gui.state_train import export as write_states

        print(write_states(chosen.checkpoint, chosen.graph, chosen.golden), "parameters")
    elif chosen.step == "measure-states":
        from tools.train_gui.state_measure import report

        thresholds = {"disabled": chosen.disabled, "focused": chosen.focused}
        lines = report(chosen.graph, chosen.drawings, chosen.right, thresholds, chosen_on=chosen.chosen_on)
        print(*lines, sep="\n")
    else:
        from tools.train_gui.measure import measure as figures_of

        figures = figures_of(chosen.pages, chosen.limit)
        print(
            f"{figures.pages} pages, {figures.elements} elements: AP50 without classes {figures.agnostic:.3f}, "
            f"mAP50 {figures.mean:.3f}, {figures.cpu_ms:.0f} ms of one core a page"
        )
        print("AP50 " + ", ".join(f"{name} {value:.3f}" for name, value in figures.by_class.items()))
        print("states (precision, recall) " + ", ".join(f"{n} {p:.2f} {r:.2f}" for n, (p, r) in figures.states.items()))


if __name__ == "__main__":
    main()
