"""What the product's network says of drawn ends of lines."""

from pathlib import Path

import numpy as np

from services.vision.line_ends import LEAST_SURE, LineEnds


def measure(ends: Path) -> None:
    """Print how many of the ends that are called icons are, and how many icons are called so."""
    data = np.load(ends)
    icons = data["icons"]
    said = LineEnds().probabilities(list(data["views"])) >= LEAST_SURE
    both = int((said & icons).sum())
    print(f"{len(icons)} ends, {icons.sum()} icons: {both / max(1, said.sum()):.4f} of what is called an icon is one, ")
    print(f"{both / max(1, icons.sum()):.4f} of the icons are called so")
