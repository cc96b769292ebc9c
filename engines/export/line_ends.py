"""Tells icons at the ends of lines: trained here, so its graph lies in this repository (docs/ocr.md)."""

import shutil
from collections.abc import Mapping
from pathlib import Path

WEIGHTS = Path(__file__).parent.parent / "weights" / "line-ends.onnx"


def convert(sources: Mapping[str, Path], out: Path) -> None:
    """Copy line-ends.onnx: it needs no package."""
    shutil.copyfile(WEIGHTS, out / "line-ends.onnx")
