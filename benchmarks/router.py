"""How well questions are routed, and what that does for the search: `python -m benchmarks.router [--split test]`.

Prints one JSON object:

- heads: accuracy and expected calibration error (10 bins of equal width) of every head on generated questions of one
  split (`tools/train_router/questions.py`; no split shares a template, a cue or a word with another one);
- search: every fact was said at the beginning, shown in the middle and said again at the end of a made meeting, each
  time with another value, and is asked for with and without a cue. Share of first lines with the right value, for
  questions with a cue (of time, of kind, of both) by the gain of a fitting line; and of questions without a cue the
  share whose first line stays what it was.

The heads were fitted on "train" and tempered on "dev"; the gains were chosen on "dev"; report "test".
"""

import argparse
import json
import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engines.fetch import fetch
from services.decoder.lines import Line
from services.decoder.retrieval import Index
from services.decoder.router import EXPERTS, PERIODS, SCOPES, Gains, Router, load_heads, preferred
from services.runtime.percept import SAMPLE_RATE
from services.runtime.sentence import SentenceEncoder
from tools.train_router.questions import CUES, WORDS, questions

GAINS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
BINS = 10
LENGTH_S = 3600
# How a value of a topic is said and shown, and the cues of kind for its question.
_SAID = ("We said that {topic} will cost {value} euros.", "So {topic} comes to {value} euros now.")
_SHOWN = "{topic}: {value} EUR"
_QUESTION = "How much is {topic}{cue}?"
_KINDS = {"speech": ("according to what was said", "in the conversation"), "screen": ("on the slide", "on the screen")}
Double = NDArray[np.float64]


def calibration_error(sure: Double, right: NDArray[np.bool_]) -> float:
    """Expected calibration error of confidences (n,) and outcomes (n,)."""
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    filled = [bins == index for index in range(BINS) if (bins == index).any()]
    return float(sum(inside.mean() * abs(sure[inside].mean() - right[inside].mean()) for inside in filled))


def heads(split: str, count: int, encoder: SentenceEncoder) -> dict[str, dict[str, float]]:
    """Accuracy and calibration error of every head on generated questions."""
    asked, trained = questions(split, count, seed=1), load_heads()
    guesses = [trained.guess(vector) for vector in encoder.encode([a.text for a in asked])]
    found: dict[str, dict[str, float]] = {}

    def add(name: str, sure: Iterable[float], right: Iterable[bool]) -> None:
        outcome = np.array(list(right))
        error = calibration_error(np.array(list(sure), float), outcome)
        found[name] = {"accuracy": round(float(outcome.mean()), 4), "ece": round(error, 4)}

    for index, name in enumerate(EXPERTS):
        chances = [float(guess.experts[index]) for guess in guesses]
        is_right = [(p >= 0.5) == (name in a.experts) for p, a in zip(chances, asked, strict=True)]
        add(name, [max(p, 1 - p) for p in chances], is_right)
    for name, kinds, of in (("scope", SCOPES, "scope"), ("period", PERIODS, "period")):
        best = [int(getattr(guess, of).argmax()) for guess in guesses]
        is_right = [kinds[b] == getattr(a, of) for b, a in zip(best, asked, strict=True)]
        add(name, [float(getattr(guess, of).max()) for guess in guesses], is_right)
    composes = [guess.compose for guess in guesses]
    is_right = [(p >= 0.5) == (a.tier == "compose") for p, a in zip(composes, asked, strict=True)]
    add("tier", [max(p, 1 - p) for p in composes], is_right)
    return found


def search(split: str, encoder: SentenceEncoder, gains: Sequence[float] = GAINS) -> dict[str, Any]:
    """Share of right first lines by the gain."""
    index, values = _meeting(split, encoder)
    router, chosen = Router(encoder), random.Random(split)
    asked: list[tuple[str, str, str]] = []
    for topic in WORDS[split]["topic"]:
        for period, at in (("beginning", "first"), ("end", "last")):
            cue = f" {chosen.choice(CUES[split][period])}"
            asked.append(("time", _QUESTION.format(topic=topic, cue=cue), values[topic, at]))
            both = f" {chosen.choice(_KINDS['speech'])}{cue}"
            asked.append(("time and kind", _QUESTION.format(topic=topic, cue=both), values[topic, at]))
        cue = f" {chosen.choice(_KINDS['screen'])}"
        asked.append(("kind", _QUESTION.format(topic=topic, cue=cue), values[topic, "shown"]))
        asked.append(("none", _QUESTION.format(topic=topic, cue=""), ""))
    found = []
    for kind, question, value in asked:
        hits = index.search(question, {}, 20)
        found.append((kind, hits, router.route(question, {}, LENGTH_S * SAMPLE_RATE), value))
    result: dict[str, Any] = {}
    for gain in gains:
        by_kind: dict[str, list[bool]] = {}
        for kind, hits, route, value in found:
            first = preferred(hits, route, Gains(gain, gain))[0].line
            is_right = first is hits[0].line if kind == "none" else value in first.text
            by_kind.setdefault(kind, []).append(is_right)
        result[f"gain {gain}"] = {kind: round(float(np.mean(each)), 3) for kind, each in by_kind.items()}
    return {"questions": len(asked), **result}


def _meeting(split: str, encoder: SentenceEncoder) -> tuple[Index, dict[tuple[str, str], str]]:
    chosen, index = random.Random(f"meeting-{split}"), Index(encoder)
    values: dict[tuple[str, str], str] = {}
    topics = WORDS[split]["topic"]
    for number, topic in enumerate(topics):
        numbers = chosen.sample(range(1_000, 99_000), 3)
        spans = (
            ("first", 10 + 5 * number),
            ("shown", LENGTH_S // 2 + 5 * number),
            ("last", LENGTH_S - 200 + 5 * number),
        )
        for (which, start_s), value in zip(spans, numbers, strict=True):
            template = _SHOWN if which == "shown" else chosen.choice(_SAID)
            text = template.format(topic=topic, value=value)
            kind, start = "screen" if which == "shown" else "speech", start_s * SAMPLE_RATE
            line = Line(f"{kind}:{start_s}", kind, text, "", start, start + 4 * SAMPLE_RATE, str(start_s))
            index.replace(line.line_id, [line])
            values[topic, which] = str(value)
    return index, values


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.router", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--questions", type=int, default=1000)
    flags = parser.parse_args()
    fetch(["minilm"])
    encoder = SentenceEncoder()
    measured = {"heads": heads(flags.split, flags.questions, encoder), "search": search(flags.split, encoder)}
    print(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
