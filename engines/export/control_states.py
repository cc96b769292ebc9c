"""The network that compares controls: trained here, so its graph lies in this repository (docs/gui.md)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "weights" / "control-states.onnx"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Copy control-states.onnx: it needs no package."""
    shutil.copyfile(WEIGHTS, out / "control-states.onnx")
