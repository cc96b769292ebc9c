"""The detector of GUI elements: trained here, so its graph lies in this repository (docs/gui.md)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "weights" / "gui-elements.onnx"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Copy gui-elements.onnx: it needs no package."""
    shutil.copyfile(WEIGHTS, out / "gui-elements.onnx")
