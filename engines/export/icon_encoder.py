"""The network that tells a line's script: trained here, so its graph lies in this repository (docs/scripts.md)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "weights" / "icon-encoder.onnx"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Copy icon-encoder.onnx: it needs no package."""
    shutil.copyfile(WEIGHTS, out / "icon-encoder.onnx")
