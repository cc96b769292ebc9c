"""The likeliest next token, found where the logits are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.engine import Reduced, Workplace
from engines.kernels import heads


@dataclass(frozen=True, slots=True)
class Choice:
    """One greedily chosen token and the natural log of its probability."""

    token: int
    log_probability: float


def greedy(logits: NDArray[np.float32]) -> Choice:
    """The likeliest next token of logits (V,); the lowest id among equals."""
    token = int(np.argmax(logits))
    shifted = logits.astype(np.float64) - float(logits[token])
    return Choice(token, -float(np.log(np.exp(shifted).sum())))


@dataclass(frozen=True, slots=True)
class Likeliest(Reduced):
    """`greedy` of each row of logits (1, rows, V): `tokens` (rows,) int32 and `log_probabilities` (rows,) float32."""

    outputs: tuple[str, ...] = ("logits",)

    def on_host(self, values: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """By numpy."""
        (logits,) = values
        choices = [greedy(row) for row in logits[0]]
        return {
            "tokens": np.array([choice.token for choice in choices], np.int32),
            "log_probabilities": np.array([choice.log_probability for choice in choices], np.float32),
        }

    def on_card(self, values: Sequence[Any], workplace: Workplace) -> dict[str, Any]:
        """By the kernel; the logits, 197 kB a row, stay."""
        (logits,) = values
        _, rows, vocabulary = logits.shape
        made = {
            "tokens": workplace.empty("tokens", (rows,), "int32"),
            "log_probabilities": workplace.empty("log_probabilities", (rows,), "float32"),
        }
        workplace.run(heads.best_class(logits.reshape((rows, vocabulary)), *made.values()))
        return made
