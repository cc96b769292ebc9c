"""How often what is said of states is right, and how many of those to be seen are found."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from engines.backends.onnxruntime import OnnxRuntimeEngine
from tools.train_gui.state_sets import UNKNOWN, ControlSet, load

STATES = ("disabled", "focused")
Scored = list[tuple[ControlSet, NDArray[np.float32], NDArray[np.float32]]]


def score(graph: Path, chosen: Sequence[ControlSet]) -> Scored:
    """Each set with the probabilities of its controls, as the exported graph gives them."""
    engine = OnnxRuntimeEngine(graph)
    scored: Scored = []
    for each in chosen:
        images = np.ascontiguousarray(each.views.transpose(0, 3, 1, 2).astype(np.float32))
        out = engine.run({"views": images, "given": each.given})
        scored.append((each, out["disabled"], out["focused"]))
    return scored


def told(scored: Scored, state: str) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    """For `disabled` or `focused`: how surely it is said, whether it is right, and how many are to be seen in all."""
    sure: list[float] = []
    right: list[bool] = []
    for each, disabled, focused in scored:
        if state == "disabled":
            known = each.disabled >= 0
            sure += disabled[known].tolist()
            right += (each.disabled[known] == 1).tolist()
        elif each.focused != UNKNOWN:
            sure += focused.tolist()
            right += (np.arange(len(focused)) == each.focused).tolist()
    total = sum(each.visible[state == "focused"] for each, _, _ in scored)
    return np.array(sure, np.float32), np.array(right, bool), total


def at(scored: Scored, state: str, threshold: float) -> tuple[int, float, float, float]:
    """How many are said, the part of them that is right, of all to be seen the part found, and of those with a box."""
    sure, right, total = told(scored, state)
    said = sure >= threshold
    hits = int((said & right).sum())
    return int(said.sum()), hits / max(1, int(said.sum())), hits / max(1, total), hits / max(1, int(right.sum()))


def choose(scored: Scored, state: str, wanted: float) -> float:
    """The least threshold from which on `wanted` of what is said is right; 2 where there is none."""
    sure, right, _ = told(scored, state)
    order = np.argsort(-sure, kind="stable")
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.flatnonzero(precision >= wanted)
    return float(sure[order][enough[-1]]) if len(enough) else 2.0


def report(
    graph: Path,
    folders: Sequence[Path],
    wanted: float,
    given: Mapping[str, float | None] = MappingProxyType({}),
    *,
    chosen_on: int = 1,
) -> list[str]:
    """Lines of figures for thresholds that are given, or chosen so that `wanted` is right on the first folders."""
    scored = {folder.name: score(graph, load(folder)) for folder in folders}
    first = [each for folder in folders[:chosen_on] for each in scored[folder.name]]
    lines = []
    for state in STATES:
        told_from = given.get(state)
        threshold = choose(first, state, wanted) if told_from is None else told_from
        for name, each in scored.items():
            said, right, found, boxed = at(each, state, threshold)
            lines.append(
                f"{state} from {threshold:.3f} on, {name}: {said} said, right {right:.3f}, found {found:.3f} of "
                f"{told(each, state)[2]} to be seen, {boxed:.3f} of those with a box"
            )
    return lines
