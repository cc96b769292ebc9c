"""`python -m tools.train_adapter`: hear made speech, train, export, calibrate, measure."""

import argparse
from pathlib import Path

from services.asr.adapter import SAMPLES_PER_FRAME


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_adapter", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    hear = steps.add_parser(
        "hear", help="make speech and hear it (Debian: espeak-ng flite festival festvox-kdlpc16k festvox-us-slt-hts)"
    )
    hear.add_argument("--model", choices=("moonshine-tiny-en", "whisper-base"), required=True)
    hear.add_argument("--split", choices=("train", "test"), required=True)
    hear.add_argument("--hours", type=float, required=True)
    hear.add_argument("--seed", type=int, default=0)
    hear.add_argument("--heard", type=Path, required=True, help="folder for its parts")
    train = steps.add_parser("train", help="train for some minutes of processor time (needs torch)")
    train.add_argument("--heard", type=Path, required=True)
    train.add_argument("--hours", type=float, default=1e9, help="of speech, all there is if not given")
    train.add_argument("--minutes", type=float, required=True)
    train.add_argument("--start", type=Path, help="go on from this exported graph")
    train.add_argument("--weights", type=Path, required=True)
    export = steps.add_parser("export", help="write the ONNX graph and its recorded run (needs torch)")
    for path in ("weights", "graph", "golden"):
        export.add_argument(f"--{path}", type=Path, required=True)
    calibrate = steps.add_parser("calibrate", help="fit how likely a word was said where it is heard")
    calibrate.add_argument("--adapter", choices=SAMPLES_PER_FRAME, required=True)
    measure = steps.add_parser("measure", help="find words of held-out voices with an installed graph")
    measure.add_argument("--adapter", choices=SAMPLES_PER_FRAME, required=True)
    measure.add_argument("--heard", type=Path, required=True)
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "hear":
        from tools.train_adapter.hear import hear as listen

        listen(chosen.model, chosen.split, chosen.hours, chosen.seed, chosen.heard)
    elif chosen.step == "train":
        from tools.train_adapter.train import train as learn

        learn(chosen.heard, chosen.weights, hours=chosen.hours, minutes=chosen.minutes, start=chosen.start)
    elif chosen.step == "calibrate":
        from tools.train_adapter.calibrate import calibrate as fit

        fit(chosen.adapter)
    elif chosen.step == "measure":
        from tools.train_adapter.measure import measure as look

        look(chosen.heard, chosen.adapter)
    else:
        from tools.train_adapter.export import export as write

        print(write(chosen.weights, chosen.graph, chosen.golden), "parameters")


if __name__ == "__main__":
    main()
