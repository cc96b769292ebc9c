"""What a question needs before it is answered: whose percepts, which lines first, which time, which tier.

Linear heads on the question's MiniLM embedding (`tools/train_router`, docs/router.md), and exact times that a
question names ("in the last five minutes"). A route never hides a line: it only changes the order of the lines that
the search has found, and less so the less sure it is.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.decoder.lines import Line
from services.decoder.moments import mention
from services.decoder.retrieval import Hit
from services.decoder.times import named_span
from services.runtime.percept import SAMPLE_RATE
from services.runtime.sentence import SentenceEncoder

NAME = "router"
WEIGHTS = Path(__file__).parents[2] / "engines" / "weights" / "router.npz"
EXPERTS = ("asr", "diarization", "ocr", "gui", "objects")
SCOPES = ("speech", "screen", "both")
PERIODS = ("any", "recent", "beginning", "end")
TIERS = ("extract", "compose")
# "Recent" is so long; the beginning and the end are this share of the session, if that is longer.
RECENT_S = 300
EDGE_SHARE = 0.15

Float = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Route:
    """What one question needs; `*_sure` are probabilities; a span on the media clock where a time is wanted."""

    experts: tuple[str, ...]
    scope: str
    scope_sure: float
    period: str
    period_sure: float
    tier: str
    span: tuple[int, int] | None = None
    speaker: str = ""


@dataclass(frozen=True, slots=True)
class Gains:
    """What a line gains, in units of log-odds, when scope, time or speaker of a sure route are its own.

    Chosen on the "dev" part of `python -m benchmarks.router`.
    """

    scope: float = 2.0
    period: float = 1.5
    speaker: float = 0.5


DEFAULT_GAINS = Gains()


@dataclass(frozen=True, slots=True)
class Guess:
    """Probabilities of every label for one question: experts (5,), scope (3,), period (4,), tier "compose"."""

    experts: Float
    scope: Float
    period: Float
    compose: float


class Heads:
    """The linear heads: weights (384, 13) and bias (13,), already divided by their temperatures."""

    def __init__(self, weights: Float, bias: Float) -> None:
        self._weights, self._bias = weights, bias

    @property
    def parameters(self) -> int:
        """Numbers in the heads."""
        return int(self._weights.size + self._bias.size)

    def guess(self, vector: Float) -> Guess:
        """Of one embedding (384,)."""
        logits = vector @ self._weights + self._bias
        experts, scope, period, compose = np.split(logits, (5, 8, 12))
        return Guess(_sigmoid(experts), _softmax(scope), _softmax(period), float(_sigmoid(compose)[0]))


def load_heads() -> Heads:
    """The heads that the product ships."""
    with np.load(WEIGHTS) as kept:
        return Heads(kept["weights"], kept["bias"])


class Router:
    """Routes questions; shares the sentence encoder with the search. Not thread-safe."""

    def __init__(self, encoder: SentenceEncoder, heads: Heads | None = None) -> None:
        self._encoder = encoder
        self._heads = heads or load_heads()
        self.parameters = self._heads.parameters

    def route(self, question: str, names: Mapping[str, str], end_sample: int) -> Route:
        """What a question about a session needs that has `names` by speaker and is `end_sample` long."""
        guess = self._heads.guess(self._encoder.encode([question])[0])
        scope, period = int(guess.scope.argmax()), int(guess.period.argmax())
        named = named_span(question, end_sample)
        about = [who for who, name in names.items() if mention(question, name) >= 0]
        experts = tuple(name for name, sure in zip(EXPERTS, guess.experts, strict=True) if sure >= 0.5)
        return Route(
            experts=experts,
            scope=SCOPES[scope],
            scope_sure=float(guess.scope[scope]),
            period="between" if named else PERIODS[period],
            period_sure=1.0 if named else float(guess.period[period]),
            tier=TIERS[guess.compose >= 0.5],
            span=named or _span(PERIODS[period], end_sample),
            speaker=about[0] if len(about) == 1 and "diarization" in experts else "",
        )


def preferred(hits: Sequence[Hit], route: Route, gains: Gains = DEFAULT_GAINS) -> list[Hit]:
    """The same hits; what fits the route comes earlier, the more so the surer it is."""
    return sorted(hits, key=lambda hit: -(_log_odds(hit.probability) + _gain(hit.line, route, gains)))


def _gain(line: Line, route: Route, gains: Gains) -> float:
    gain = 0.0
    if route.scope == line.kind:
        gain += gains.scope * route.scope_sure
    if route.span is not None and line.start_sample <= route.span[1] and line.end_sample >= route.span[0]:
        gain += gains.period * route.period_sure
    if route.speaker and route.speaker == line.speaker:
        gain += gains.speaker
    return gain


def _log_odds(probability: float) -> float:
    kept = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(kept / (1 - kept))


def _span(period: str, end_sample: int) -> tuple[int, int] | None:
    edge = max(int(end_sample * EDGE_SHARE), 60 * SAMPLE_RATE)
    match period:
        case "recent":
            return max(0, end_sample - RECENT_S * SAMPLE_RATE), end_sample
        case "beginning":
            return 0, edge
        case "end":
            return max(0, end_sample - edge), end_sample
        case _:
            return None


def _sigmoid(values: Float) -> Float:
    return np.asarray(1 / (1 + np.exp(-values)), np.float32)


def _softmax(values: Float) -> Float:
    shifted = np.exp(values - values.max())
    return np.asarray(shifted / shifted.sum(), np.float32)
