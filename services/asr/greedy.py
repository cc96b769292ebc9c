"""Greedy decoding that goes on from step to step: CTC (Graves 2006) and RNN-T (arXiv 1211.3711)."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.engine import Engine


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of the vocabulary; `step` is the encoder step that gave it, `place` of `places` in that step."""

    piece: int
    step: int
    log_prob: float
    place: int = 0
    places: int = 1


class GreedyDecoder(Protocol):
    """State of one utterance. What was given is never taken back."""

    def decode(self, encoded: NDArray[np.float32]) -> list[Token]:
        """The pieces in the next (steps, width) encoder steps."""


class GreedyCtc:
    """Best class of every step; repeats and blanks are left out."""

    def __init__(self, head: Engine, blank: int) -> None:
        self._head = head
        self._blank = blank
        self._last = blank
        self._step = 0

    def decode(self, encoded: NDArray[np.float32]) -> list[Token]:
        """The pieces in the next (steps, width) encoder steps."""
        tokens = []
        for scores in self._head.run({"encoded": encoded[None]})["log_probs"][0]:
            best = int(scores.argmax())
            if best not in (self._blank, self._last):
                tokens.append(Token(best, self._step, float(scores[best])))
            self._last = best
            self._step += 1
        return tokens


class GreedyRnnt:
    """Best symbol after the ones before, until blank, for every step; at most `max_symbols` in one."""

    def __init__(self, predictor: Engine, joint: Engine, blank: int, max_symbols: int) -> None:
        self._predictor = predictor
        self._joint = joint
        self._blank = blank
        self._max_symbols = max_symbols
        self._step = 0
        shapes = {spec.name: spec.shape for spec in predictor.inputs}
        self._states = {
            name: np.zeros((1, *(int(axis) for axis in shapes[name][1:])), np.float32)
            for name in ("state_h", "state_c")
        }
        # The blank stands for the start of the text.
        self._predicted = self._predict(blank)

    def _predict(self, piece: int) -> NDArray[np.float32]:
        result = self._predictor.run({"token": np.array([[piece]], np.int64), **self._states})
        self._states = {name: result[f"{name}_next"] for name in self._states}
        predicted: NDArray[np.float32] = result["predicted"]
        return predicted

    def decode(self, encoded: NDArray[np.float32]) -> list[Token]:
        """The pieces in the next (steps, width) encoder steps."""
        tokens: list[Token] = []
        for step in encoded:
            found: list[tuple[int, float]] = []
            while len(found) < self._max_symbols:
                feeds = {"encoded": step[None, None], "predicted": self._predicted}
                scores = self._joint.run(feeds)["log_probs"][0, 0, 0]
                best = int(scores.argmax())
                if best == self._blank:
                    break
                found.append((best, float(scores[best])))
                self._predicted = self._predict(best)
            tokens += [Token(p, self._step, score, i, len(found)) for i, (p, score) in enumerate(found)]
            self._step += 1
        return tokens
