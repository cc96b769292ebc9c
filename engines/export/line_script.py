"""The network that tells a line's script: trained here, so its graph lies in this repository (docs/scripts.md)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "weights" / "line-script.onnx"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Copy line-script.onnx: it needs no package."""
    shutil.copyfile(WEIGHTS, out / "line-script.onnx")
